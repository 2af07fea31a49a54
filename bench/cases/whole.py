"""A whole run, from the file to the exported answers, beside what people use today."""

import sys
from collections.abc import Iterable

from bench.cases.stages import PEERS, client_command, forget_store, lifted, prepared
from bench.measuring import (
    Line,
    Place,
    Sample,
    Side,
    cpu_us,
    peak_mb,
    seconds,
    skipped,
    take_turns,
    whole_process,
)
from bench.processes import measure_command

_COOKBOOK = "rows/s, × a script of the cookbook's design"
_CLIENT = "rows/s, × a loop with the official client, which stores nothing"


def run(place: Place) -> Iterable[Line]:
    """10,000 and 100,000 tasks on a server without latency: our whole process, and theirs."""
    few, many = place.many(10_000, 200), place.many(100_000, 1_000)
    at_few = _at(place, few, place.rounds)
    at_many = _at(place, many, place.rounds)
    yield from _lines(place, few, at_few, goals=("", ""))
    yield from _lines(place, many, at_many, goals=("≥ 4", "≥ 2"))
    yield Line(
        case="run.cpu",
        what=f"CPU a task at {many:,}, × that at {few:,}",
        ratio=cpu_us(at_many["ours"], many) / cpu_us(at_few["ours"], few),
        goal="≤ 1.1",
        figures={
            f"µs CPU a task at {few:,}": cpu_us(at_few["ours"], few),
            f"at {many:,}": cpu_us(at_many["ours"], many),
        },
        note="the process's start and end are in both",
    )
    yield Line(
        case="run.memory",
        what=f"MB at the most in a run of {many:,} tasks",
        ratio=peak_mb(at_many["ours"]),
        goal="≤ 100",
        figures={
            f"{name} MB": peak_mb(samples) for name, samples in at_many.items() if name != "ours"
        }
        | {f"MB at {few:,}": peak_mb(at_few["ours"])},
    )


def _at(place: Place, tasks: int, rounds: int) -> dict[str, list[Sample]]:
    folder = prepared(place, tasks)

    def ours() -> Sample:
        forget_store(folder)
        return whole_process(lifted(place, "run", "job.toml", "--progress", "none", "--quiet"))

    def cookbook() -> Sample:
        (folder / "cookbook.jsonl").unlink(missing_ok=True)
        script = str(PEERS / "cookbook_style.py")
        command = [sys.executable, script, place.url, "prompts.jsonl", "cookbook.jsonl"]
        return whole_process(measure_command(command, folder=folder))

    sides: dict[str, Side] = {"ours": ours, "cookbook-style": cookbook}
    command = client_command(place, "whole", tasks, "prompts.jsonl")
    if command is not None:
        sides["client"] = lambda: whole_process(measure_command(command, folder=place.folder))
    return take_turns(sides, rounds)


def _lines(
    place: Place, tasks: int, found: dict[str, list[Sample]], *, goals: tuple[str, str]
) -> Iterable[Line]:
    case = f"run.{tasks // 1000}k" if tasks >= 1000 else f"run.{tasks}"
    peers = (("cookbook-style", _COOKBOOK), ("client", _CLIENT))
    for (peer, what), goal in zip(peers, goals, strict=True):
        if peer not in found:
            yield skipped(case, what, place.client_why)
            continue
        yield Line(
            case=case,
            what=what,
            ratio=seconds(found[peer]) / seconds(found["ours"]),
            goal=goal,
            figures={
                "rows/s": tasks / seconds(found["ours"]),
                f"{peer} rows/s": tasks / seconds(found[peer]),
                "µs CPU a row": cpu_us(found["ours"], tasks),
                f"{peer} µs CPU a row": cpu_us(found[peer], tasks),
            },
        )

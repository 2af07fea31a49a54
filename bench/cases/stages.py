"""One stage at a time: a million rows loaded, tasks posted, answers collected and stored."""

import json
import shutil
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from bench.measuring import (
    Line,
    Place,
    Sample,
    Side,
    cpu_us,
    must_succeed,
    peak_mb,
    seconds,
    skipped,
    take_turns,
    told_seconds,
    whole_process,
)
from bench.processes import (
    Measured,
    ask_json,
    measure,
    measure_command,
    of_api,
    write_job,
    write_prompts,
)

PEERS = Path(__file__).resolve().parent.parent / "peers"

THREADS = 16
"""Calls that the official client has under way: it blocks, and at a tenth of a second for each the
API's 2,000 a minute need four at the least."""


def prepared(place: Place, rows: int) -> Path:
    """A folder with a job of *rows* prompts."""
    shutil.rmtree(place.folder, ignore_errors=True)
    place.folder.mkdir(parents=True)
    write_prompts(place.folder / "prompts.jsonl", rows)
    write_job(place.folder / "job.toml", data="prompts.jsonl")
    return place.folder


def forget_store(folder: Path) -> None:
    """Leave no trace of a store."""
    for path in folder.glob("runner.db*"):
        path.unlink()
    shutil.rmtree(folder / "out", ignore_errors=True)


def lifted(place: Place, *arguments: str, finishes: bool = True) -> Measured:
    """`runner ARGUMENTS` without the API's limits.

    Raises:
        RuntimeError: it did not end well, though it *finishes* what it begins.
    """
    done = measure_command(
        [sys.executable, "-m", "bench.ours", *arguments],
        folder=place.folder,
        quiet=True,
        variables=of_api(place.url),
    )
    if finishes:
        must_succeed(done)
    return done


def client(place: Place, what: str, number: int, *more: str) -> Side | None:
    """The official client doing *what*; None if it is not there."""
    command = client_command(place, what, number, *more)
    if command is None:
        return None
    return lambda: told_seconds(measure_command(command, folder=place.folder))


def client_command(place: Place, what: str, number: int, *more: str) -> list[str] | None:
    """What runs the official client; None if it is not there."""
    if place.client is None:
        return None
    script = str(PEERS / "official_client.py")
    return [str(place.client), script, place.url, what, str(number), str(THREADS), *more]


def _store(place: Place, query: str) -> float:
    with closing(sqlite3.connect(place.folder / "runner.db")) as db:
        return float(db.execute(query).fetchone()[0])


def load(place: Place) -> Iterable[Line]:
    """Prompts from JSON Lines, checked whole, keyed and queued, beside a bare ``executemany``."""
    rows = place.many(1_000_000, 20_000)
    folder = prepared(place, rows)

    def ours() -> Sample:
        forget_store(folder)
        done = whole_process(measure(["load", "job.toml", "--quiet"], folder=folder))
        (counted,) = (_store(place, "SELECT count(*) FROM tasks"),)
        assert counted == rows, f"{counted} tasks for {rows} rows"
        return done

    def bare() -> Sample:
        for path in folder.glob("bare.db*"):
            path.unlink()
        script = str(PEERS / "bare_table.py")
        return told_seconds(
            measure_command([sys.executable, script, "bare.db", str(rows)], folder=folder)
        )

    found = take_turns({"ours": ours, "bare": bare}, place.rounds)
    yield Line(
        case="load",
        what="rows/s, × executemany of the same rows into a bare table",
        ratio=seconds(found["bare"]) / seconds(found["ours"]),
        goal="≥ 0.25",
        figures={
            "rows": rows,
            "rows/s": rows / seconds(found["ours"]),
            "bare rows/s": rows / seconds(found["bare"]),
            "µs CPU a row": cpu_us(found["ours"], rows),
        },
    )
    yield Line(
        case="load.memory",
        what="MB at the most while loading",
        ratio=peak_mb(found["ours"]),
        goal="≤ 90",
        figures={"rows": rows},
    )


def post(place: Place) -> Iterable[Line]:
    """Tasks posted 100 a call, intent and outcome each synced, beside the client, which stores
    nothing. Timed from the first intent to the last outcome in the store."""
    tasks = place.many(50_000, 3_000)
    folder = prepared(place, tasks)
    span = "SELECT (max(settled_at) - min(intended_at)) / 1000.0 FROM batches"

    def ours() -> Sample:
        forget_store(folder)
        lifted(place, "load", "job.toml", "--quiet")
        done = lifted(place, "submit", "--quiet")
        assert _store(place, "SELECT sum(accepted) FROM batches") == tasks, "not all were posted"
        return Sample(_store(place, span), done.cpu_s, done.peak_mb)

    yield _beside_client(
        place,
        "post",
        "tasks/s posted and booked, × the official client, which stores nothing",
        tasks,
        ours,
        client(place, "post", tasks, "prompts.jsonl"),
        "≥ 1.0",
    )


def collect(place: Place) -> Iterable[Line]:
    """Answers of 4 KB fetched by id, parsed and stored, beside the client's loop of GETs. Timed
    from the first call to the last answer in the store."""
    tasks = place.many(20_000, 1_500)
    folder = prepared(place, tasks)

    def ours() -> Sample:
        forget_store(folder)
        lifted(place, "load", "job.toml", "--quiet")
        lifted(place, "submit", "--quiet")
        ask_json(f"{place.url}/bench/calls")
        done = lifted(place, "poll", "--wait", "10m", "--quiet")
        began = float(ask_json(f"{place.url}/bench/calls")["first_at"])
        assert _store(place, "SELECT count(*) FROM results") == tasks, "not all were stored"
        last = _store(place, "SELECT max(received_at) / 1000.0 FROM results")
        return Sample(last - began, done.cpu_s, done.peak_mb)

    yield _beside_client(
        place,
        "collect",
        "answers/s parsed and stored, × the official client's GETs, which stores nothing",
        tasks,
        ours,
        client(place, "get", tasks),
        "≥ 2",
    )


def _beside_client(
    place: Place, case: str, what: str, tasks: int, ours: Side, peer: Side | None, goal: str
) -> Line:
    if peer is None:
        return skipped(case, what, place.client_why)
    found = take_turns({"ours": ours, "client": peer}, place.rounds)
    return Line(
        case=case,
        what=what,
        ratio=seconds(found["client"]) / seconds(found["ours"]),
        goal=goal,
        figures={
            "tasks": tasks,
            "tasks/s": tasks / seconds(found["ours"]),
            "client tasks/s": tasks / seconds(found["client"]),
            "µs CPU a task": cpu_us(found["ours"], tasks),
            "client µs CPU a task": cpu_us(found["client"], tasks),
            "MB": peak_mb(found["ours"]),
        },
    )


def export(place: Place) -> Iterable[Line]:
    """A finished run written as JSON Lines, beside ``json.dumps`` of a bare SELECT."""
    tasks = place.many(50_000, 1_000)
    folder = prepared(place, tasks)
    lifted(place, "run", "job.toml", "--progress", "none", "--quiet")

    def ours() -> Sample:
        (folder / "ours.jsonl").unlink(missing_ok=True)
        arguments = ["export", "bench", "-o", "ours.jsonl"]
        return whole_process(measure(arguments, folder=folder))

    def bare() -> Sample:
        script = str(PEERS / "bare_export.py")
        return whole_process(
            measure_command([sys.executable, script, "runner.db", "bare.jsonl"], folder=folder)
        )

    found = take_turns({"ours": ours, "bare": bare}, place.rounds)
    with (folder / "ours.jsonl").open() as file:
        assert sum(bool(json.loads(line)) for line in file) == tasks, "rows are missing"
    yield Line(
        case="export",
        what="rows/s as JSONL, × json.dumps of a bare SELECT, whole processes",
        ratio=seconds(found["bare"]) / seconds(found["ours"]),
        figures={
            "rows": tasks,
            "rows/s": tasks / seconds(found["ours"]),
            "bare rows/s": tasks / seconds(found["bare"]),
            "MB": peak_mb(found["ours"]),
        },
    )

"""Tasks of earlier runs that no start posts: for a person to ask or to drop, each run by itself."""

import shlex
from collections.abc import Sequence
from typing import Final

from runner.app.left_over import LeftOver
from runner.cli.layout import count
from runner.errors import RunnerError

_SHOWN: Final = 5
"""Runs whose commands are printed; `runner status` and ``--json`` have them all."""


def left_over_error(left: Sequence[LeftOver]) -> RunnerError:
    """What is *left* of one job, and the commands that ask or drop it."""
    total = count(sum(each.tasks for each in left), "task")
    runs = "an earlier run" if len(left) == 1 else f"{len(left):,} earlier runs"
    more = len(left) - _SHOWN
    commands = [
        line
        for each in left[:_SHOWN]
        for line in (
            f"{ask_command(each)}   ({name_of(each)}: asks them)",
            f"{drop_command(each)}   (drops them)",
        )
    ]
    if more > 0:
        commands.append(f"runner status {left[0].run.job}   ({more:,} more)")
    return RunnerError(
        f"{total} of {runs} of {left[0].run.job} left over: no later start posts what was not "
        "posted in its own run",
        why=", ".join(f"{name_of(each)}: {each.tasks:,}" for each in left),
        how="\n".join(commands),
    )


def left_over_notes(left: Sequence[LeftOver]) -> list[str]:
    """The same for commands that look: a line for each run."""
    return [
        f"{count(each.tasks, 'task')} of {name_of(each)} left over, which no later start posts: "
        f"{ask_command(each)}, or {drop_command(each)}"
        for each in left
    ]


def left_over_document(left: Sequence[LeftOver]) -> list[dict[str, object]]:
    """The same for programs."""
    return [
        {
            "run": each.run.name,
            "number": each.run.number,
            "tasks": each.tasks,
            "ask": ask_command(each),
            "drop": drop_command(each),
        }
        for each in left
    ]


def ask_command(each: LeftOver) -> str:
    """What posts them. Where neither file nor key leads to the run, only what is queued there."""
    run = each.run
    if run.job_file and run.key and each.newest:
        return shlex.join(["runner", "run", run.job_file, "--run", run.key])
    return f"runner submit {run.number}"


def drop_command(each: LeftOver) -> str:
    """What drops them."""
    return f"runner cancel {each.run.number}"


def name_of(each: LeftOver) -> str:
    """``JOB@KEY (r42)``."""
    return f"{each.run.name} ({each.run.number})"

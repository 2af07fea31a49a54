"""Kills a run again and again while the API misbehaves, then asks what was paid and what was lost.

    python3 -m runner.dev soak --kills 200 --seed 1
    python3 -m runner.dev soak --kills 50 --tasks 5000 --faults none
    python3 -m runner.dev soak --kills 50 --listing off
    python3 -m runner.dev soak --workers 4 --tasks 20000

Exit code: 0 all held; 1 something did not; 2 wrong usage; 3 not over when the time was up.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.soak.killing import Plan, soak
from tests.soak.workers import soak_workers


def read_plan(arguments: Sequence[str]) -> tuple[Plan, Path | None]:
    """What was asked for; ends the process with code 2 where it makes no sense."""
    parser = argparse.ArgumentParser(prog="runner.dev soak", description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs, and backends ended")
    parser.add_argument("--seed", type=int, default=1, help="decides when, and what goes wrong")
    parser.add_argument("--tasks", type=int, default=3000, help="so many, over two targets")
    parser.add_argument("--workers", type=int, default=0, help="so many at once, on PostgreSQL")
    parser.add_argument("--faults", choices=("on", "none"), default="on")
    parser.add_argument("--listing", choices=("on", "off"), default="on")
    parser.add_argument("--minutes", type=float, default=30.0, help="after that it gives up")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work there, and leave it")
    given = parser.parse_args(arguments)
    if min(given.kills, given.workers) < 0 or given.tasks < 2 or given.minutes <= 0:
        parser.error("--kills, --tasks or --minutes is too small")
    if given.workers and given.listing == "off":
        parser.error("--listing off is for a single run, without --workers")
    plan = Plan(
        kills=given.kills,
        seed=given.seed,
        tasks=given.tasks,
        faults=given.faults == "on",
        listing=given.listing == "on",
        minutes=given.minutes,
        workers=given.workers,
    )
    return plan, given.keep


def main(arguments: Sequence[str]) -> int:
    """Carry out one soak; its exit code."""
    plan, keep = read_plan(arguments)
    try:
        if keep is not None:
            keep.mkdir(parents=True)
            return asyncio.run(_until_stopped(plan, keep))
        with tempfile.TemporaryDirectory(prefix="runner-soak-") as folder:
            return asyncio.run(_until_stopped(plan, Path(folder)))
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


async def _until_stopped(plan: Plan, folder: Path) -> int:
    # Cancelled, not killed: the simulator and the life under way are ours to end.
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await (soak_workers if plan.workers else soak)(plan, folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What the API's limits are used for: calls that bring nothing, and time that nobody needed.

Hours pass here on a virtual clock, so calls are counted and not seconds of this machine.
"""

import asyncio
import logging
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from bench.collecting import Collected, collect
from bench.measuring import Line, Place
from runner.pacing import Pacer, Priority

LIMIT: Final = 2_000
"""Calls a minute."""


def _collected(place: Place, tasks: int, latency: str) -> Collected:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    found = asyncio.run(collect(place.folder, tasks=tasks, latency=latency, calls_per_minute=LIMIT))
    assert found.completed == tasks, f"{found.completed} of {tasks} tasks were answered"
    for path in place.folder.glob("bench.db*"):
        path.unlink()
    return found


def makespan(place: Place) -> Iterable[Line]:
    """20,000 tasks, polled, at 2,000 calls a minute, beside what the limit allows at best."""
    tasks = place.many(20_000, 500)
    found = _collected(place, tasks, "lognormal 20s 0.7")
    yield Line(
        case="makespan",
        what=f"time of {tasks:,} tasks at {LIMIT:,} calls/min, × the bound",
        ratio=found.makespan_s / found.bound_s,
        goal="≤ 1.06",
        figures={"min": found.makespan_s / 60, "bound min": found.bound_s / 60} | _calls(found),
        note="half of the answers come within 20 s; virtual time, one round",
    )
    yield Line(
        case="minute",
        what=f"calls in the busiest 60 s of that, × the limit of {LIMIT:,}",
        ratio=found.largest_minute / LIMIT,
        goal="≤ 1.0",
        figures={"least share used while there was work": found.least_used_minute or 0.0},
    )


def spread(place: Place) -> Iterable[Line]:
    """GETs for each result when answers come over hours."""
    tasks = place.many(20_000, 300)
    typical = "5m" if place.quick else "1h"
    found = _collected(place, tasks, f"lognormal {typical} 0.7")
    yield Line(
        case="spread",
        what="GETs for each result, answers spread over hours",
        ratio=found.gets_per_result,
        goal="≤ 1.05",
        figures={"tasks": tasks, "hours": found.makespan_s / 3600} | _calls(found),
        note=f"half of the answers come within {typical}; virtual time, one round",
    )


def _calls(found: Collected) -> dict[str, float]:
    return {
        "GETs": found.gets,
        "ready-list calls": found.ready_calls,
        "posts": found.posts,
    }


class _Skipping:
    """Virtual time for one task: sleeping is what makes it pass, a little late, as timers are."""

    def __init__(self) -> None:
        self._at = 0.0
        self._random = random.Random(1)

    def monotonic(self) -> float:
        return self._at

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._at)

    async def sleep(self, seconds: float) -> None:
        self._at += max(seconds, 0.0) + self._random.uniform(0, 0.001)
        await asyncio.sleep(0)


def pace(place: Place) -> Iterable[Line]:
    """The busiest sliding minute at a server that sees each call up to a second late."""
    minutes = 5 if place.quick else 30
    for limit in (LIMIT, 10_000):
        busiest, used = asyncio.run(_paced(limit, minutes))
        yield Line(
            case="pace",
            what=f"calls in the busiest 60 s at the server, × the limit of {limit:,}",
            ratio=busiest / limit,
            goal="≤ 1.0",
            figures={"calls/min on the whole": used, "share used": used / limit},
            note="virtual time; `python3 -m bench.pacing` measures the same with a real clock",
        )


async def _paced(limit: int, minutes: int) -> tuple[int, float]:
    clock = _Skipping()
    pacer = Pacer(limit, clock)
    late = random.Random(2)
    arrivals = []
    while clock.monotonic() < minutes * 60:
        await pacer.take(Priority.POST)
        arrivals.append(clock.monotonic() + late.random())
    arrivals.sort()
    first = busiest = 0
    for last, moment in enumerate(arrivals):
        while moment - arrivals[first] >= 60:
            first += 1
        busiest = max(busiest, last - first + 1)
    return busiest, len(arrivals) / minutes

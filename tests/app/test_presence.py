"""Showing that one lives, and seeing that others do not."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import cast

import pytest
from structlog.testing import capture_logs

from runner.app.presence import LOOK, present
from runner.errors import StoreBroken
from runner.store.protocol import TaskStore
from runner.store.values import StoreUnwritable
from runner.store.workers import BEAT, GRACE, SILENCE, Inherited
from tests.support.clock import ManualClock


@dataclass
class Told:
    """Stands for a store; when each verb was asked."""

    clock: ManualClock
    beats: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    away: bool = False
    failure: Exception | None = None

    async def beat(self, worker: int, *, now: datetime) -> bool:
        self._reach()
        self.beats.append(self.clock.monotonic())
        return True

    async def take_over(self, worker: int, *, now: datetime) -> Inherited:
        self._reach()
        self.looks.append(self.clock.monotonic())
        return Inherited(workers=(3,), batches=1)

    def _reach(self) -> None:
        if self.away:
            raise StoreUnwritable("the server is away")
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(patient=True)


@pytest.fixture
async def told(clock: ManualClock) -> AsyncIterator[Told]:
    """Where a worker shows that it lives."""
    store = Told(clock)
    async with present(cast(TaskStore, store), 7, clock=clock):
        await clock.until_asleep()
        yield store


async def pass_time(clock: ManualClock, seconds: float) -> None:
    for _ in range(round(seconds)):
        clock.advance(BEAT / 10)
        for _ in range(5):
            await asyncio.sleep(0)


def gaps(moments: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(moments)]


async def test_a_heartbeat_leaves_room_for_a_few_that_are_missed(
    told: Told, clock: ManualClock
) -> None:
    """One every ten seconds; taken for dead is who misses six."""
    await pass_time(clock, 120)
    assert len(told.beats) in (11, 12)
    assert max(gaps(told.beats)) < GRACE.total_seconds()
    assert 5 * max(gaps(told.beats)) < SILENCE.total_seconds()


async def test_the_dead_are_looked_for_about_every_fifteen_seconds(
    told: Told, clock: ManualClock
) -> None:
    """Spread, so that the workers of a night do not all look at once."""
    await pass_time(clock, 600)
    waits = gaps(told.looks)
    assert len(waits) > 25
    assert min(waits) >= LOOK.total_seconds() * 2 / 3 - 1
    assert max(waits) <= LOOK.total_seconds() * 4 / 3 + 1
    assert len({round(each) for each in waits}) > 1


async def test_who_was_away_itself_does_not_say_who_else_was(
    told: Told, clock: ManualClock
) -> None:
    """After a failover every heartbeat is old for a moment: all would take each other for dead."""
    await pass_time(clock, 30)
    told.away = True
    await pass_time(clock, 90)
    told.away = False
    told.looks.clear()
    back = clock.monotonic()
    await pass_time(clock, SILENCE.total_seconds() - 5)
    assert told.looks == []
    assert told.beats[-1] > back
    await pass_time(clock, 30)
    assert told.looks


@pytest.mark.parametrize(
    "failure",
    [KeyError("nobody foresaw this"), StoreBroken("a page is gone")],
    ids=["any", "broken"],
)
async def test_whatever_hinders_a_heartbeat_the_next_one_is_tried(
    told: Told, clock: ManualClock, failure: Exception
) -> None:
    """Silent for a minute, a worker that is well is taken for dead; why must be in the log."""
    await pass_time(clock, 30)
    told.failure = failure
    with capture_logs() as lines:
        await pass_time(clock, 40)
    assert {line["event"] for line in lines} == {"presence.not_shown"}
    assert 2 < len(lines) < 8
    told.failure = None
    told.beats.clear()
    await pass_time(clock, 30)
    assert told.beats


async def test_a_heartbeat_that_failed_does_not_stand_before_what_ended_the_worker(
    clock: ManualClock,
) -> None:
    """The first cause is what a person needs to read."""
    store = Told(clock, failure=KeyError("nobody foresaw this"))

    async def work() -> None:
        async with present(cast(TaskStore, store), 7, clock=clock):
            await clock.until_asleep()
            await pass_time(clock, 30)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()

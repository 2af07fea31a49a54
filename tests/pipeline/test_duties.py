"""What one worker does for all: begun when its turn comes, ended when that is over."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.pipeline.duties import LOOK_S, in_turn
from runner.pipeline.engine import Engine, Signals
from runner.pipeline.ready import follow_ready_list, watch_ready_list
from runner.pipeline.reconciler import follow, heed_doubts
from runner.simulator.faults import Fault
from runner.store.protocol import TaskStore
from runner.store.workers import LEASE, Duty
from tests.pipeline.full_disk import FullDisk
from tests.pipeline.scene import Scene, staged
from tests.support.clock import ManualClock
from tests.support.waiting import until

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> ManualClock:
    """Time passes only when the test says so."""
    return ManualClock(patient=True)


@pytest.fixture
async def scene(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Scene]:
    async with staged(tmp_path, clock) as made:
        yield made


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Scene]:
    """One whose sleepers move the clock themselves."""
    async with staged(tmp_path, ManualClock()) as made:
        yield made


@dataclass(slots=True)
class Worker:
    """One engine that wants its turn."""

    engine: Engine
    at_work: bool = False
    looked: int = 0
    begun: int = 0
    running: "asyncio.Task[None] | None" = None
    failing: Exception | None = None

    def start(self) -> "Worker":
        turn = in_turn(self.engine, Duty.RECONCILE, self.work, meanwhile=self.look)
        self.running = asyncio.ensure_future(turn)
        return self

    async def work(self) -> None:
        self.begun += 1
        self.at_work = True
        try:
            if self.failing is not None:
                raise self.failing
            await asyncio.Event().wait()
        finally:
            self.at_work = False

    async def look(self) -> None:
        self.looked += 1

    async def stop(self) -> None:
        self.engine.signals.stop()
        assert self.running is not None
        await self.running


async def two_workers(scene: Scene) -> tuple[Worker, Worker]:
    other = await scene.store.begin_worker(now=scene.clock.now())
    engines = (scene.engine, replace(scene.engine, worker=other, signals=Signals()))
    return Worker(engines[0]), Worker(engines[1])


async def pass_time(clock: ManualClock, seconds: float) -> None:
    """Let it pass in steps that nobody sleeps through, and all be done that is due."""
    for _ in range(round(seconds / LOOK_S)):
        clock.advance(LOOK_S * SECOND)
        for _ in range(20):
            await asyncio.sleep(0.001)


async def test_one_works_and_the_other_looks_on(scene: Scene, clock: ManualClock) -> None:
    """Both of them would list the same account, ten calls a minute in all."""
    one, other = await two_workers(scene)
    one.start()
    await until(lambda: one.at_work)
    other.start()
    await pass_time(clock, 3 * LEASE.total_seconds())
    assert (one.at_work, other.at_work, one.begun) == (True, False, 1)
    assert other.looked > 10
    assert one.looked == 0
    await one.stop()
    await other.stop()


async def test_the_turn_passes_on_at_once_when_its_worker_lets_go(
    scene: Scene, clock: ManualClock
) -> None:
    """SIGTERM on one host: the other reconciles within seconds, not when the lease runs out."""
    one, other = await two_workers(scene)
    one.start()
    await until(lambda: one.at_work)
    other.start()
    await one.stop()
    await scene.store.drop_leases(one.engine.worker)
    await pass_time(clock, 2 * LOOK_S)
    # The store takes its time; the clock stands still meanwhile.
    await until(lambda: other.at_work)
    await other.stop()


async def test_who_cannot_renew_stops_before_another_may_begin(
    scene: Scene, clock: ManualClock
) -> None:
    """Cut off from the store, it does not see its lease run out, but knows how long it lasts."""
    one, other = await two_workers(scene)
    disk = FullDisk(scene.store)
    one.engine = replace(one.engine, store=disk)
    one.start()
    await until(lambda: one.at_work)
    other.start()
    disk.full.add("hold_lease")
    for _ in range(60):
        await pass_time(clock, LOOK_S)
        assert not (one.at_work and other.at_work)
        if other.at_work:
            break
    assert other.at_work
    disk.make_room()
    await pass_time(clock, 3 * LOOK_S)
    await until(lambda: one.looked)
    assert (one.at_work, other.at_work) == (False, True)
    await one.stop()
    await other.stop()


class Away(FullDisk):
    """A store on a server that is away: each try to renew takes half a minute to fail."""

    def __init__(self, store: TaskStore, clock: ManualClock) -> None:
        super().__init__(store)
        self.clock = clock

    async def hold_lease(self, *args: Any, **kwargs: Any) -> Any:
        if "hold_lease" in self.full:
            await self.clock.sleep(30.0)
        return await self.passing("hold_lease")(*args, **kwargs)


async def test_a_renewal_that_takes_long_to_fail_does_not_outlast_the_lease(
    scene: Scene, clock: ManualClock
) -> None:
    """Looked at between the tries alone, the limit was passed by forty seconds."""
    one, _ = await two_workers(scene)
    away = Away(scene.store, clock)
    one.engine = replace(one.engine, store=away)
    begun_s = clock.monotonic()
    one.start()
    await until(lambda: one.at_work)
    away.full.add("hold_lease")
    while one.at_work:
        await pass_time(clock, LOOK_S)
    assert clock.monotonic() - begun_s < LEASE.total_seconds()
    away.make_room()
    await pass_time(clock, 60)
    await until(lambda: one.at_work)
    await one.stop()


async def test_work_that_fails_is_told_and_not_begun_again(scene: Scene) -> None:
    """A bug must end the engine in good order, as that of any stage does."""
    one, _ = await two_workers(scene)
    one.failing = ValueError("ours")
    one.start()
    assert one.running is not None
    with pytest.raises(ValueError, match="ours"):
        await one.running


async def test_who_looks_on_knows_what_is_in_doubt_and_that_it_is_looked_for(
    quick: Scene,
) -> None:
    """Doubts of living workers hold back every worker's posts; those of the dead hold back none."""
    await quick.load(2)
    quick.strike(Fault.DROP_AFTER)
    assert await quick.poster.post_next() is not None
    other = replace(quick.engine, worker=99, signals=Signals())
    await follow(other)
    assert other.signals.in_doubt == quick.engine.signals.in_doubt != set()
    assert (other.signals.doubtful, other.signals.reconciled) == (True, True)
    assert not other.signals.extras_found
    await quick.store.begin_worker(now=quick.clock.now())
    await heed_doubts(other)
    assert (other.signals.in_doubt, other.signals.doubtful) == (set(), True)


async def test_who_looks_on_takes_the_readers_word_about_the_list(quick: Scene) -> None:
    """Asked for by their ids all the same, the tasks of a trusted list would cost calls."""
    other = replace(quick.engine, worker=99, signals=Signals())
    await quick.store.trust_ready_list(True, now=quick.clock.now())
    await follow_ready_list(other)
    assert (other.signals.list_trusted, other.signals.list_asked) == (True, True)
    await quick.store.trust_ready_list(False, now=quick.clock.now())
    await follow_ready_list(other)
    assert not other.signals.list_trusted


async def test_a_list_that_another_one_read_is_trusted_anew(quick: Scene) -> None:
    """What it saw is not known here: asked by age until this reader has seen it, too."""
    await quick.store.trust_ready_list(True, now=quick.clock.now())
    reading = asyncio.ensure_future(watch_ready_list(quick.engine))
    for _ in range(500):
        if not await quick.store.list_trusted(quick.engine.account):
            break
        await asyncio.sleep(0.01)
    quick.engine.signals.stop()
    await reading
    assert not await quick.store.list_trusted(quick.engine.account)

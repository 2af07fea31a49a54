"""Several engines on one queue: who lives, who takes over, and who does what for all."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.lifecycle import State
from runner.rows import Batch
from runner.store.lock import LoaderElsewhere
from runner.store.postgres.connection import Db
from runner.store.postgres.living import connected_workers, is_dead
from runner.store.postgres.store import PostgresStore
from runner.store.reconciling import IncidentKind, NewIncident, Sighting
from runner.store.values import StoreUnwritable
from runner.store.workers import (
    BEAT,
    GRACE,
    LEASE,
    OVERDUE,
    SILENCE,
    Duty,
    Inherited,
    Role,
    WorkerState,
    certainly_gone,
    this_boot,
)
from runner.task import Tag
from tests.store.places import ServerPlace
from tests.store.steps import (
    HOUR,
    MINUTE,
    RESERVE,
    OpenStore,
    Scene,
    accepted,
    begin,
    lost,
    not_taken,
    numbered,
    remote_id,
    still_running,
)
from tests.support.clock import START, ManualClock
from tests.support.waiting import until

SECOND = timedelta(seconds=1)


# --- on either store ------------------------------------------------------------------------------


async def test_a_worker_is_listed_with_what_it_does(scene: Scene, clock: ManualClock) -> None:
    """`runner workers` is where somebody looks who wonders why nothing is posted."""
    store = scene.store
    worker = await store.begin_worker(roles=[Role.POLL, Role.SUBMIT], now=clock.now())
    await store.hold_lease(scene.account, Duty.READY_LIST, worker, now=clock.now())
    clock.advance(BEAT)
    assert await store.beat(worker, now=clock.now())
    clock.advance(3 * SECOND)
    line = (await store.workers(now=clock.now()))[0]
    assert (line.id, line.roles, line.state) == (worker, "submit,poll", WorkerState.WORKING)
    assert (line.silent_s, line.open_batches, line.leases) == (3.0, 0, ("ready_list",))
    await store.end_worker(worker, now=clock.now())
    ended = {each.id: each for each in await store.workers(now=clock.now())}
    assert (ended[worker].state, ended[worker].leases) == (WorkerState.ENDED, ())
    # The one before it in this process never said that it ends.
    assert ended[scene.worker].state is WorkerState.TAKEN_FOR_DEAD
    clock.advance(timedelta(days=1, seconds=1))
    assert await store.workers(now=clock.now()) == []


async def test_a_worker_that_is_silent_is_shown_as_dead(scene: Scene, clock: ManualClock) -> None:
    """Nobody is there to take it for dead, and it does not work all the same."""
    await scene.load(numbered(1))
    await scene.batch()
    clock.advance(SILENCE + SECOND)
    (line,) = await scene.store.workers(now=clock.now())
    assert (line.state, line.open_batches) == (WorkerState.TAKEN_FOR_DEAD, 1)


async def test_a_lease_has_one_holder_until_it_ends(scene: Scene, clock: ManualClock) -> None:
    """Two readers of a listing would use up its ten calls a minute."""
    store, one = scene.store, scene.worker
    two = await store.begin_worker(now=clock.now())

    async def hold(worker: int, duty: Duty = Duty.RECONCILE) -> bool:
        return await store.hold_lease(scene.account, duty, worker, now=clock.now())

    assert await hold(one)
    assert not await hold(two)
    assert await hold(two, Duty.READY_LIST)
    clock.advance(LEASE - SECOND)
    assert await hold(one)
    clock.advance(LEASE - SECOND)
    assert not await hold(two)
    clock.advance(SECOND)
    assert await hold(two)
    assert not await hold(one)
    await store.drop_leases(two)
    assert await hold(one)
    await store.end_worker(one, now=clock.now())
    assert await hold(two)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 90)), max_size=12))
async def test_a_lease_never_has_two_holders(
    scene: Scene, clock: ManualClock, steps: list[tuple[int, int]]
) -> None:
    """Whoever asks whenever: who was told that it holds the lease is alone until it ends."""
    store = scene.store
    workers = [scene.worker, await store.begin_worker(now=clock.now())]
    held: dict[int, datetime] = {}
    for who, seconds in steps:
        clock.advance(seconds * SECOND)
        now = clock.now()
        if await store.hold_lease(scene.account, Duty.INBOX, workers[who], now=now):
            held[who] = now + LEASE
        others = [until for other, until in held.items() if other != who]
        if held.get(who) == now + LEASE:
            assert all(until <= now for until in others)
    for worker in workers:
        await store.drop_leases(worker)


async def test_what_an_ended_worker_was_asking_for_is_free_at_once(
    scene: Scene, clock: ManualClock
) -> None:
    """SIGTERM on one host: another goes on with its answers, without waiting for leases."""
    await scene.load(numbered(2))
    await scene.post()
    assert len(await scene.take()) == 2
    await scene.store.end_worker(scene.worker, now=clock.now())
    worker = await scene.store.begin_worker(now=clock.now())
    taken = await scene.store.take_posted(9, worker=worker, now=clock.now(), lease=MINUTE)
    assert len(taken) == 2


async def test_a_doubt_says_whether_its_worker_lives(scene: Scene, clock: ManualClock) -> None:
    """Three of living workers stop all posting, those of the dead do not."""
    await scene.load(numbered(2))
    await scene.post(1, how=lost)
    (doubt,) = await scene.store.doubts()
    assert doubt.alive
    await scene.store.begin_worker(now=clock.now())
    (doubt,) = await scene.store.doubts()
    assert not doubt.alive


async def test_one_process_loads_at_a_time(open_store: OpenStore, clock: ManualClock) -> None:
    """Two crontabs begin the same night: the lines of one run must not be those of two loads."""
    async with open_store() as one, open_store() as two:
        async with one.loading_alone(wait_s=0):
            with pytest.raises(LoaderElsewhere):
                async with two.loading_alone(wait_s=0):
                    pytest.fail("both load")
        async with two.loading_alone(wait_s=0):
            pass


# --- several at once ------------------------------------------------------------------------------


@pytest.fixture
async def two(dsn: str, clock: ManualClock) -> AsyncIterator[tuple[Scene, Scene]]:
    """Two engines on one server, at work on the same run."""
    async with AsyncExitStack() as stack:
        place = ServerPlace(dsn)
        scenes = [
            await begin(await stack.enter_async_context(place.open(clock)), clock) for _ in range(2)
        ]
        yield scenes[0], scenes[1]


async def cut_off(scene: Scene) -> None:
    """Its connection is gone, as when its process or host is."""
    assert isinstance(scene.store, PostgresStore)
    with suppress(StoreUnwritable):
        await scene.store._writer.call(_end_itself)
    # Its end takes the server a moment.
    for _ in range(500):
        if scene.worker not in await scene.store._reader.read(connected_workers):
            return
        await asyncio.sleep(0.01)
    raise TimeoutError("its lock is still held")


def _end_itself(db: Db) -> None:
    db.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def beating(scene: Scene, clock: ManualClock, length: timedelta) -> None:
    """Time passes, in which only *scene* beats."""
    left = length
    while left > timedelta(0):
        clock.advance(min(left, BEAT))
        left -= BEAT
        await scene.store.beat(scene.worker, now=clock.now())


async def took_over(scene: Scene, clock: ManualClock) -> Inherited:
    return await scene.store.take_over(scene.worker, now=clock.now())


async def test_a_dead_workers_work_is_taken_over_while_others_go_on(
    two: tuple[Scene, Scene], clock: ManualClock
) -> None:
    """A host dies in the night; nobody starts anything, and its tasks go on all the same."""
    one, dying = two
    await one.load(numbered(6))
    await dying.post(1)
    (asked,) = await dying.take()
    await one.store.beat(one.worker, now=clock.now())
    mine = await one.batch(2)
    await dying.batch(3)
    await cut_off(dying)
    assert await took_over(one, clock) == Inherited(workers=(dying.worker,), batches=1)
    assert await one.states() == {State.POSTING: 2, State.UNKNOWN: 3, State.POSTED: 1}
    (again,) = await one.store.take_posted(9, worker=one.worker, now=clock.now(), lease=MINUTE)
    assert again.task == asked.task
    await one.settle(mine, accepted)
    assert await took_over(one, clock) == Inherited()
    assert await one.store.verify() == []


async def test_a_connection_that_is_cut_for_a_moment_makes_nobody_dead(
    two: tuple[Scene, Scene], clock: ManualClock
) -> None:
    """It is made anew with the next beat; else each hiccup of the network would cost the settle
    time."""
    one, other = two
    await one.load(numbered(1))
    batch = await other.batch()
    await cut_off(other)
    await beating(one, clock, GRACE)
    assert await took_over(one, clock) == Inherited()
    await beating(one, clock, SECOND)
    assert await took_over(one, clock) == Inherited(workers=(other.worker,), batches=1)
    assert {each.task for each in batch.attempts} == {
        each.task for doubt in await one.store.doubts() for each in doubt.attempts
    }


async def test_a_worker_that_is_merely_slow_lives_and_one_that_is_silent_does_not(
    two: tuple[Scene, Scene], clock: ManualClock
) -> None:
    """A partition leaves the server's end of the connection: only the silence tells."""
    one, slow = two
    await one.load(numbered(1))
    await slow.batch()
    await beating(one, clock, SILENCE - SECOND)
    assert await took_over(one, clock) == Inherited()
    assert await slow.store.beat(slow.worker, now=clock.now())
    await beating(one, clock, SILENCE)
    assert await took_over(one, clock) == Inherited()
    await beating(one, clock, SECOND)
    assert await took_over(one, clock) == Inherited(workers=(slow.worker,), batches=1)
    assert isinstance(one.store, PostgresStore)
    assert await one.store.living_workers(now=clock.now()) == [one.worker]
    # It was only away, and is at work again.
    assert not await slow.store.beat(slow.worker, now=clock.now())
    assert await slow.store.beat(slow.worker, now=clock.now())
    lines = await slow.store.workers(now=clock.now())
    assert {line.state for line in lines} == {WorkerState.WORKING}


async def test_the_duties_of_a_dead_worker_are_anybodys(
    two: tuple[Scene, Scene], clock: ManualClock
) -> None:
    """Taken for dead after 15 seconds, it must not keep the reconciler's place for a minute."""
    one, dying = two

    async def hold(scene: Scene) -> bool:
        return await scene.store.hold_lease(
            scene.account, Duty.RECONCILE, scene.worker, now=clock.now()
        )

    assert await hold(dying)
    await cut_off(dying)
    await beating(one, clock, GRACE + SECOND)
    assert not await hold(one)
    await took_over(one, clock)
    assert await hold(one)


async def test_a_start_trusts_no_list_unless_somebody_reads_it(
    two: tuple[Scene, Scene], clock: ManualClock
) -> None:
    """A second worker must not have every task asked for by its id because it is new."""
    reader, other = two
    store, now = reader.store, clock.now
    await store.hold_lease(reader.account, Duty.READY_LIST, reader.worker, now=now())
    await store.trust_ready_list(True, now=now())
    await other.store.begin_worker(now=now())
    assert await store.list_trusted(reader.account)
    await store.drop_leases(reader.worker)
    await other.store.begin_worker(now=now())
    assert not await store.list_trusted(reader.account)


async def test_an_intent_that_nobody_knows_to_be_saved_does_not_stay_for_ever(
    two: tuple[Scene, Scene], clock: ManualClock
) -> None:
    """F33: the server was away in its COMMIT, so its living worker never sends it."""
    forgetful, other = two
    await forgetful.load(numbered(1))
    await forgetful.batch()
    await beating(other, clock, MINUTE + OVERDUE)
    await forgetful.store.beat(forgetful.worker, now=clock.now())
    assert await took_over(other, clock) == Inherited()
    clock.advance(SECOND)
    assert await took_over(other, clock) == Inherited(batches=1)
    assert await other.states() == {State.UNKNOWN: 1}


async def test_a_task_that_is_set_apart_is_alone_in_its_process_not_in_the_store(
    two: tuple[Scene, Scene], clock: ManualClock
) -> None:
    """With four workers there is never a moment at which nothing is under way."""
    one, dying = two
    await one.load(numbered(1))
    for _ in range(3):
        await dying.batch()
        await beating(one, clock, SILENCE + SECOND)
        await took_over(one, clock)
        (doubt,) = await one.store.doubts()
        attempts = [(each.task, each.number) for each in doubt.attempts]
        assert await one.store.prove_absent(attempts, now=clock.now()) == 1
        clock.advance(SECOND)
    await one.load(numbered(3))
    (first, *_) = (await one.batch(1)).attempts
    assert first.task != attempts[0][0]
    other = await dying.batch(1)
    await dying.settle(other, accepted)
    alone = await dying.batch()
    assert [each.task for each in alone.attempts] == [attempts[0][0]]
    await dying.settle(alone, not_taken)


async def test_two_that_look_for_the_dead_at_once_count_each_death_once(
    two: tuple[Scene, Scene], dsn: str, clock: ManualClock
) -> None:
    """Counted twice, a task would be held as poison after three deaths instead of six."""
    one, other = two
    async with ServerPlace(dsn).open(clock) as store:
        dying = await begin(store, clock)
        await dying.load(numbered(1))
        await dying.batch()
    await beating(one, clock, SILENCE + SECOND)
    await other.store.beat(other.worker, now=clock.now())
    await asyncio.gather(*(took_over(scene, clock) for scene in two))
    with psycopg.connect(dsn) as db:
        assert db.execute("SELECT posting FROM deaths").fetchall() == [(1,)]


async def posted_meanwhile(
    poster: Scene, place: ServerPlace, find: Callable[[], Coroutine[Any, Any, None]]
) -> Batch:
    """A batch of *poster*, whose intent is saved only once *find* waits for it."""
    writer = vars(poster.store)["_writer"]
    usual, inside, go_on = writer.before_commit, Event(), Event()

    def paused(db: Db, time_of: Callable[[Db], datetime]) -> None:
        usual(db, time_of)
        inside.set()
        go_on.wait(10)

    writer.before_commit = paused
    posting = asyncio.create_task(poster.batch())
    assert await asyncio.to_thread(inside.wait, 10)
    finding = asyncio.create_task(find())
    await until(lambda: place.read("SELECT 1 FROM pg_locks WHERE NOT granted") or finding.done())
    go_on.set()
    batch = await posting
    writer.before_commit = usual
    await finding
    return batch


@pytest.mark.parametrize("late", [False, True])
async def test_what_is_found_while_another_worker_posts_it_again_is_an_incident(
    two: tuple[Scene, Scene], dsn: str, clock: ManualClock, late: bool
) -> None:
    """Taken for absent, it is posted again just when a listing shows it, or its reply comes: paid
    twice, and booked on an attempt that nobody looks at any more it would be so in silence."""
    finder, poster = two
    await finder.load(numbered(1))
    batch = await finder.batch()
    (attempt,) = batch.attempts
    await beating(poster, clock, SILENCE + SECOND)
    await took_over(poster, clock)
    await poster.store.prove_absent([(attempt.task, attempt.number)], now=clock.now())
    sighting = Sighting(tag=attempt.tag, remote_id=remote_id(attempt.tag), cost=None)

    async def find() -> None:
        if late:
            await finder.settle(batch, accepted)
        else:
            await finder.store.found([sighting], now=clock.now(), account=finder.account)

    again = await posted_meanwhile(poster, ServerPlace(dsn), find)
    (incident,) = await finder.store.incidents()
    assert (incident.kind, incident.remote_id) == (IncidentKind.DOUBLE_CHARGE, sighting.remote_id)
    await poster.settle(again, accepted)
    assert await finder.states() == {State.POSTED: 1}
    assert await finder.store.verify() == []


async def test_an_orphan_is_not_adopted_over_what_another_worker_posts(
    two: tuple[Scene, Scene], dsn: str, clock: ManualClock
) -> None:
    """A worker that starts looks for them while the others are posting."""
    starting, poster = two
    await starting.load(numbered(1))
    (attempt,) = (await starting.post(how=lambda each: not_taken(each, 0))).attempts
    tag = Tag.parse(attempt.tag)
    assert tag is not None
    orphan = NewIncident(
        kind=IncidentKind.ORPHAN,
        message="of a later state of the store",
        amount=RESERVE,
        remote_id=remote_id("another"),
        tag=str(replace(tag, attempt=2)),
    )
    await starting.store.open_incident(orphan, now=clock.now())

    async def adopt() -> None:
        assert await starting.store.adopt_orphans(now=clock.now()) == 0

    batch = await posted_meanwhile(poster, ServerPlace(dsn), adopt)
    await poster.settle(batch, accepted)
    assert await poster.states() == {State.POSTED: 1}
    assert await poster.store.verify() == []


async def test_one_hosts_clock_moves_nothing_of_the_others(
    two: tuple[Scene, Scene], clock: ManualClock
) -> None:
    """F77: set back by an hour there, it would have every task asked for an hour too early."""
    one, other = two
    await one.load(numbered(1))
    await one.post()
    (task,) = await one.take()
    await one.book(still_running(task, clock.now() + 3 * HOUR))
    assert await other.store.redate(now=clock.now(), step=HOUR) == 0
    clock.advance(2 * HOUR)
    assert await other.take() == []
    clock.advance(HOUR)
    assert [each.task for each in await other.take()] == [task.task]


# --- the rule -------------------------------------------------------------------------------------


@given(silent_s=st.floats(0, 200), connected=st.booleans())
def test_death_is_a_silence_longer_than_its_limit(silent_s: float, connected: bool) -> None:
    """60 s whatever the connection says, 15 s where that is gone, too."""
    silence = timedelta(seconds=silent_s)
    limit = SILENCE if connected else GRACE
    assert is_dead(START, connected=connected, now=START + silence) is (silence > limit)


def test_only_a_process_of_this_boot_is_known_to_be_gone() -> None:
    """Another host's processes have numbers, too."""
    host, free = socket.gethostname(), 2**22 + 1
    assert certainly_gone(host, free, this_boot())
    assert not certainly_gone(host, os.getpid(), this_boot())
    assert not certainly_gone("elsewhere", free, this_boot())
    assert not certainly_gone(host, free, "another boot")
    assert not certainly_gone(host, free, "")

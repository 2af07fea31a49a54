"""Posting when replies get lost, disks fill up and processes pause: nothing is ever sent twice."""

import asyncio
import socket
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.lifecycle import State
from runner.pipeline.intents import STALE_S
from runner.pipeline.submitter import BatchSize
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.simulator.scenario import Scenario
from runner.task import Endpoint
from tests.pipeline.full_disk import FullDisk
from tests.pipeline.scene import HOUR, Scene, engine_at
from tests.support.clock import ManualClock
from tests.support.waiting import until

TOOK_EFFECT = [
    Fault.DROP_AFTER,
    Fault.HTTP_500_AFTER,
    Fault.CUT_BODY,
    Fault.GARBAGE_BODY,
    Fault.HTML,
]
NO_EFFECT = [Fault.DROP_BEFORE, Fault.HTTP_500_BEFORE, Fault.HTTP_429, Fault.REDIRECT]


@pytest.mark.parametrize("fault", TOOK_EFFECT + NO_EFFECT)
async def test_a_lost_reply_leaves_its_tasks_in_doubt_and_they_are_not_posted_again(
    scene: Scene, fault: Fault
) -> None:
    """F47 to F53: whether it took effect cannot be told from here; a second post may be a second
    charge."""
    await scene.load(3)
    scene.strike(fault)
    await scene.poster.post_next()
    assert await scene.states() == {State.UNKNOWN: 3}
    assert (await scene.status()).money.at_risk > 0
    scene.clock.advance(80 * HOUR)
    assert await scene.poster.post_next() is None
    assert scene.account.calls.counts[CallKind.TASK_POST] == 1
    assert len(scene.created()) == (3 if fault in TOOK_EFFECT else 0)


async def test_batches_shrink_while_replies_get_lost_and_grow_again(scene: Scene) -> None:
    """At most a few tasks are in doubt while the network is bad."""
    await scene.load(400)
    scene.strike(Fault.DROP_AFTER, times=3)
    while await scene.poster.post_next():
        pass
    sizes = [size for (size,) in scene.sql("SELECT size FROM batches ORDER BY id")]
    assert sizes == [100, 25, 5, 5, 10, 20, 40, 80, 100, 15]
    assert await scene.states() == {State.UNKNOWN: 130, State.POSTED: 270}


def test_a_batch_size_stays_between_five_and_a_hundred() -> None:
    """However long the network is bad, posting does not come to a stop."""
    size = BatchSize()
    sizes = []
    for _ in range(4):
        size.lost()
        sizes.append(size.size)
    for _ in range(6):
        size.clean()
        sizes.append(size.size)
    assert sizes == [25, 5, 5, 5, 10, 20, 40, 80, 100, 100]


async def test_a_refused_connection_costs_no_try_and_is_waited_out(
    tmp_path: Path, clock: ManualClock
) -> None:
    """F45: nothing left this machine, so the tasks are simply posted later."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    nobody = Account(Scenario(), clock=clock)
    async with engine_at(
        f"http://127.0.0.1:{port}", tmp_path / "runner.db", clock, nobody
    ) as scene:
        await scene.load(3)
        reply = await scene.poster.post_next()
        assert reply is not None
        assert not reply.sent
        status = await scene.status()
        assert status.states[State.PENDING] == 3
        assert status.next_due_at is not None
        assert status.next_due_at > clock.now()
        assert (status.money.reserved, status.money.at_risk) == (0, 0)
        assert scene.sql("SELECT DISTINCT tries FROM tasks") == [(0,)]
        assert scene.engine.signals.unreachable is not None
        assert not scene.engine.signals.reached


async def test_posts_to_a_dead_address_become_rare(tmp_path: Path, clock: ManualClock) -> None:
    """An outage of hours must not fill the store with attempts that never left."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    nobody = Account(Scenario(), clock=clock)
    async with engine_at(
        f"http://127.0.0.1:{port}", tmp_path / "runner.db", clock, nobody
    ) as scene:
        await scene.load(1)
        began = clock.now()
        async with asyncio.TaskGroup() as group:
            group.create_task(scene.poster.work())
            await until(lambda: clock.now() > began + 3 * HOUR)
            scene.engine.signals.stop()
        ((batches,),) = scene.sql("SELECT count(*) FROM batches")
    # With waits of up to five minutes, two and a half on average.
    assert 5 < batches < 200


async def test_an_intent_that_grew_old_is_not_sent(scene: Scene) -> None:
    """F11: a process that was stopped in between may be presumed dead, its tasks looked for."""
    await scene.load(2)
    intent = await scene.poster.intend()
    assert intent is not None
    scene.clock.advance(timedelta(seconds=STALE_S + 0.1))
    reply = await scene.poster.deliver(intent)
    assert not reply.sent
    assert await scene.states() == {State.PENDING: 2}
    assert scene.account.calls.counts[CallKind.TASK_POST] == 0
    scene.clock.advance(timedelta(minutes=1))
    await scene.poster.post_next()
    assert await scene.states() == {State.POSTED: 2}


async def test_an_outcome_that_cannot_be_saved_is_kept_and_nothing_new_is_posted(
    scene: Scene,
) -> None:
    """F22: the reply is the only record of what was paid; losing it would cost a reconciliation."""
    await scene.load(150)
    disk = FullDisk(scene.store, "settle_batch")
    poster = scene.on(disk)
    async with asyncio.TaskGroup() as group:
        intent = await poster.intend()
        assert intent is not None
        group.create_task(poster.deliver(intent))
        await until(lambda: disk.refused["settle_batch"] >= 3)
        assert scene.engine.signals.debts == 1
        group.create_task(poster.work())
        refused = disk.refused["settle_batch"]
        await until(lambda: disk.refused["settle_batch"] >= refused + 20)
        assert scene.account.calls.counts[CallKind.TASK_POST] == 1
        assert await scene.states() == {State.POSTING: 100, State.PENDING: 50}
        disk.make_room()
        await until(lambda: len(scene.remote_ids()) == 150)
        scene.engine.signals.stop()
    assert scene.engine.signals.debts == 0
    assert scene.remote_ids() == scene.created()


async def test_an_intent_that_cannot_be_written_sends_nothing(scene: Scene) -> None:
    """F21: no byte may leave for which there would be no record."""
    await scene.load(2)
    disk = FullDisk(scene.store, "begin_batch")
    poster = scene.on(disk)
    assert await poster.post_next() is None
    assert scene.engine.signals.unwritable is not None
    assert scene.engine.signals.in_flight == 0
    assert scene.account.calls.counts[CallKind.TASK_POST] == 0
    disk.make_room()
    await poster.post_next()
    assert await scene.states() == {State.POSTED: 2}
    assert scene.engine.signals.unwritable is None


async def test_a_stop_lets_the_post_under_way_come_home(scene: Scene) -> None:
    """F9: what was sent is paid for; its reply is waited for and saved, and nothing new begins."""
    await scene.load(1_000)
    scene.strike(Fault.SLOW, seconds=0.3, times=2)
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.poster.work())
        await until(scene.created)
        scene.engine.signals.stop()
        # The request of the second may be on its way, not counted there yet.
        begun = scene.poster.quota.posts
    assert scene.account.calls.counts[CallKind.TASK_POST] <= begun
    states = await scene.states()
    assert not states.keys() & {State.POSTING, State.UNKNOWN}
    assert scene.remote_ids() == scene.created()


async def test_a_failure_with_one_batch_does_not_cut_off_another(scene: Scene) -> None:
    """Our own bug must not cost the record of what other posts have paid."""
    await scene.load(150)
    scene.strike(Fault.SLOW, seconds=0.3)

    class Clumsy(FullDisk):
        async def targets_to_post(self, run: int, **asked: Any) -> list[tuple[int, Endpoint]]:
            if scene.created():
                raise LookupError("a bug of ours")
            return await scene.store.targets_to_post(run, **asked)

    poster = scene.on(Clumsy(scene.store))
    await scene.engine.guarded(poster.work)
    assert isinstance(scene.engine.signals.broken, LookupError)
    assert scene.remote_ids() == scene.created()
    assert Counter(await scene.states()) == {State.POSTED: 100, State.PENDING: 50}

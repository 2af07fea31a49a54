"""Storing answers: grouped, kept while the disk is full, given up only when asked to stop."""

import asyncio
from datetime import timedelta

import anyio
import pytest

from runner.lifecycle import State
from runner.pipeline.poller import claim
from runner.pipeline.writer import LINGER_S, MOST, store_group, write
from runner.store.endings import Ending
from tests.pipeline.full_disk import FullDisk
from tests.pipeline.scene import MINUTE, Scene
from tests.support.waiting import until


async def answers(scene: Scene, count: int) -> list[Ending]:
    """So many answers that were fetched and not stored."""
    await scene.load(count)
    while await scene.poster.post_next():
        pass
    scene.clock.advance(MINUTE)
    return await scene.fetch_all()


async def test_what_comes_together_is_stored_together(scene: Scene) -> None:
    """Every transaction is a sync of the disk: one for each answer would be the limit of all."""
    endings = await answers(scene, 120)
    disk = FullDisk(scene.store)
    scene.on(disk)
    send, receive = anyio.create_memory_object_stream[Ending](1_000)
    for ending in endings:
        send.send_nowait(ending)
    send.close()
    await write(scene.engine, receive)
    assert disk.called["book"] == 1
    assert await scene.states() == {State.COMPLETED: 120}
    assert scene.engine.signals.in_flight == 0


@pytest.mark.parametrize("others", [0, 3])
async def test_an_answer_waits_a_little_for_company_and_not_at_all_if_none_can_come(
    scene: Scene, others: int
) -> None:
    """The last answer of a run is stored at once, and each before it within the second."""
    (ending,) = await answers(scene, 1)
    scene.engine.signals.in_flight += others
    send, receive = anyio.create_memory_object_stream[Ending](MOST)
    began = scene.clock.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(write(scene.engine, receive))
        await send.send(ending)
        await until(lambda: scene.engine.signals.bookings)
        waited_s = scene.clock.monotonic() - began
        send.close()
    assert (0 < waited_s < LINGER_S + 1) if others else waited_s == 0


async def test_answers_wait_for_space_and_nothing_new_is_claimed_meanwhile(scene: Scene) -> None:
    """F22: what was fetched is kept, and memory does not fill up with more of it."""
    endings = await answers(scene, 3)
    disk = FullDisk(scene.store, "book")
    scene.on(disk)
    async with asyncio.TaskGroup() as group:
        group.create_task(store_group(scene.engine, endings))
        await until(lambda: disk.refused["book"] >= 3)
        assert scene.engine.signals.debts == 1
        assert scene.engine.signals.unwritable is not None
        scene.clock.advance(timedelta(hours=1))
        assert await claim(scene.engine, 10) == []
        assert not scene.engine.signals.collected
        disk.make_room()
    assert await scene.states() == {State.COMPLETED: 3}
    assert (scene.engine.signals.debts, scene.engine.signals.in_flight) == (0, 0)
    assert scene.engine.signals.unwritable is None


async def test_a_stop_does_not_wait_for_space(scene: Scene) -> None:
    """Who presses Ctrl-C on a full disk wants to go; the answers can be had again for nothing."""
    endings = await answers(scene, 3)
    scene.on(FullDisk(scene.store, "book"))
    scene.engine.signals.stop()
    await store_group(scene.engine, endings)
    assert await scene.states() == {State.POSTED: 3}
    assert scene.engine.signals.debts == 0


@pytest.mark.parametrize("broken", [False, True])
async def test_answers_on_their_way_are_stored_when_the_engine_stops(
    scene: Scene, broken: bool
) -> None:
    """They are here already; fetching them again would take a call each."""
    endings = await answers(scene, 30)
    send, receive = anyio.create_memory_object_stream[Ending](MOST)
    for ending in endings:
        send.send_nowait(ending)
    if broken:
        scene.engine.signals.crash(LookupError("a bug of ours"))
    else:
        scene.engine.signals.stop()
    send.close()
    await write(scene.engine, receive)
    assert await scene.states() == {State.COMPLETED: 30}

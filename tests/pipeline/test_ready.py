"""The list of finished tasks: it brings answers sooner, and may fail in every way without harm."""

import asyncio
import json
from pathlib import Path

import pytest

from runner.api.wire import Ready
from runner.lifecycle import State
from runner.pipeline.planner import FULL, LATELY_S, Trust
from runner.pipeline.ready import ask_list, our_tags, watch_ready_list
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault, Strike
from runner.simulator.scenario import EmptyList
from runner.task import Provider, RemoteId, Tag, TaskId
from tests.pipeline.full_disk import FullDisk
from tests.pipeline.scene import HOUR, MINUTE, Scene, lasting, staged
from tests.simulator.helpers import question
from tests.support.clock import ManualClock
from tests.support.waiting import until

CLAUDE = Provider.CLAUDE


async def listed(scene: Scene, trust: Trust | None = None) -> int:
    return await ask_list(scene.engine, CLAUDE, trust or Trust())


def fill_with_foreign_ids(scene: Scene, tag: str = "theirs") -> None:
    """Another program's finished tasks, so many that the list shows nothing else."""
    for _ in range(FULL // 100):
        scene.account.post(CLAUDE, [question(tag=tag) for _ in range(100)])


async def test_a_listed_task_is_asked_for_at_once(scene: Scene) -> None:
    """Without the list an answer that took two seconds would wait for the first minute."""
    await scene.load(3)
    await scene.poster.post_next()
    assert await scene.fetch_due() == []
    assert await listed(scene) == 3
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 3}
    assert await listed(scene) == 0


@pytest.mark.parametrize("form", list(EmptyList))
async def test_an_empty_list_comes_in_three_forms_and_is_never_an_error(
    tmp_path: Path, clock: ManualClock, form: EmptyList
) -> None:
    """All three are printed somewhere; none says that anything is wrong."""
    async with staged(tmp_path, clock, latency=lasting(HOUR), empty_list=form) as scene:
        await scene.load(1)
        await scene.poster.post_next()
        trust = Trust()
        assert await listed(scene, trust) == 0
        assert scene.engine.signals.unreachable is None


@pytest.mark.parametrize("trouble", ["foreign", "down", "garbage"])
async def test_answers_come_by_age_whatever_the_list_does(scene: Scene, trouble: str) -> None:
    """F65: the list is a hint that saves calls, never the reason why a task is asked for."""
    if trouble == "foreign":
        fill_with_foreign_ids(scene)
    else:
        fault = Fault.HTTP_500_BEFORE if trouble == "down" else Fault.GARBAGE_BODY
        scene.account.faults.arm(Strike(fault=fault, call=CallKind.TASKS_READY, times=99))
    await scene.load(2)
    await scene.poster.post_next()
    assert await listed(scene) == 0
    scene.clock.advance(MINUTE)
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 2}


async def test_a_list_that_shows_our_tasks_is_trusted_and_saves_calls(
    tmp_path: Path, clock: ManualClock
) -> None:
    """While it works, a task that runs for hours is not asked for every few minutes."""
    async with staged(tmp_path, clock, latency=lasting(MINUTE)) as scene:
        await scene.load(1)
        await scene.poster.post_next()
        clock.advance(MINUTE)
        trust = Trust()
        assert await listed(scene, trust) == 1
        assert trust.holds(clock.monotonic())
        clock.advance(MINUTE * 16)
        assert await listed(scene, trust) == 0
        assert not trust.holds(clock.monotonic())


def test_one_list_that_fails_or_overflows_ends_the_trust() -> None:
    """Tasks of that provider would wait for hours for a list that cannot show them."""
    trust = Trust()
    assert not trust.holds(0)
    trust.note(CLAUDE, good=True, ours=1, now_s=0)
    assert trust.holds(LATELY_S)
    assert not trust.holds(LATELY_S + 1)
    trust.note(Provider.GEMINI, good=False, ours=0, now_s=1)
    assert not trust.holds(1)
    trust.begin_round([CLAUDE])
    assert trust.holds(1)


@pytest.mark.parametrize("tag", ["theirs", str(Tag("a" * 8, "b" * 8, TaskId(1), "c" * 26, 1))])
async def test_a_list_full_of_other_people_s_ids_is_not_trusted(scene: Scene, tag: str) -> None:
    """F65: ours may stand behind them, and only a program that is not ours can clear the way:
    another store's runner on the account, too."""
    fill_with_foreign_ids(scene, tag)
    await scene.load(1)
    await scene.poster.post_next()
    trust = Trust()
    trust.note(CLAUDE, good=True, ours=1, now_s=scene.clock.monotonic())
    await listed(scene, trust)
    assert not trust.holds(scene.clock.monotonic())


async def test_trust_moves_what_waits_and_losing_it_moves_it_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The switch is no good if only tasks posted later follow it."""
    async with staged(tmp_path, clock, latency=lasting(3 * HOUR)) as scene:
        await scene.load(["slow?"])
        await scene.poster.post_next()
        posted_at = clock.now()

        def due_in_s() -> float:
            ((due,),) = scene.sql("SELECT due_at FROM tasks WHERE state = 'posted'")
            return float(due) / 1000 - posted_at.timestamp()

        assert due_in_s() == pytest.approx(60, abs=1)
        await scene.store.trust_ready_list(True, now=clock.now())
        assert due_in_s() == pytest.approx(6 * 3600, abs=1)
        await scene.store.trust_ready_list(False, now=clock.now())
        assert due_in_s() < 120


async def test_the_stage_trusts_and_collects_without_asking_by_age(
    tmp_path: Path, clock: ManualClock
) -> None:
    """All of it together: rounds over time, trust once the list has shown something of ours."""
    async with staged(tmp_path, clock) as scene:
        await scene.load(2)
        await scene.poster.post_next()
        began = clock.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(
                scene.engine.guarded(
                    lambda: scene.engine.unless_stopped(lambda: watch_ready_list(scene.engine))
                )
            )
            await until(lambda: scene.engine.signals.list_trusted)
            await until(lambda: clock.monotonic() > began + 600)
            scene.engine.signals.stop()
        assert scene.engine.signals.list_asked
        assert [row for (row,) in scene.sql("SELECT ready FROM tasks")] == [1, 1]
        passed_minutes = (clock.monotonic() - began) / 60
        asked = scene.account.calls.counts[CallKind.TASKS_READY]
        assert asked <= 19 * (passed_minutes + 1)


async def test_a_list_that_cannot_be_noted_for_lack_of_space_is_read_again(scene: Scene) -> None:
    """F23: a full disk stops nothing that can be repeated for free."""
    await scene.load(1)
    await scene.poster.post_next()
    disk = FullDisk(scene.store, "mark_ready")
    scene.on(disk)
    assert await listed(scene) == 0
    disk.make_room()
    assert await listed(scene) == 1


def test_only_tags_of_our_own_are_looked_up() -> None:
    """The list holds whatever anybody put into `tag`: nothing, objects, endless text."""
    ours, theirs = (Tag(install * 8, "b" * 8, TaskId(1), "c" * 26, 1) for install in "at")
    rows = [
        Ready(id=RemoteId("1"), tag=tag) for tag in (None, "", "theirs", "x" * 5000, json.dumps({}))
    ]
    rows += [Ready(id=RemoteId("2"), tag=str(tag)) for tag in (theirs, ours)]
    assert our_tags(rows, frozenset({ours.install})) == [ours]

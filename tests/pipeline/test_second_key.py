"""A listing without tags: the weaker key is used where it leaves no doubt, and nowhere else."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

from runner.lifecycle import State
from runner.pipeline.engine import SETTLE
from runner.pipeline.reconciler import Reconciler
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault, Strike
from tests.pipeline.scene import DAY, HOUR, MINUTE, Scene, lasting


def change(scene: Scene, **settings: Any) -> None:
    scene.account.change(replace(scene.account.scenario, **settings))


def no_ready_list(scene: Scene) -> None:
    """It would show the tags, too."""
    fault = Fault.HTTP_500_BEFORE
    scene.account.faults.arm(Strike(fault=fault, call=CallKind.TASKS_READY, times=10_000))


async def lose(scene: Scene, *faults: Fault) -> Reconciler:
    """Post three tasks with *faults* on the way, in an account whose listing has no tags."""
    change(scene, listing_tags=False)
    no_ready_list(scene)
    await scene.engine.api.user_data()
    await scene.load(3)
    for fault in faults:
        scene.strike(fault)
    await scene.poster.post_next()
    reconciler = Reconciler(scene.engine)
    await reconciler.look()
    return reconciler


async def look_after(scene: Scene, reconciler: Reconciler, time: timedelta) -> dict[State, int]:
    scene.clock.advance(time)
    await scene.engine.api.user_data()
    await reconciler.look()
    return await scene.states()


async def test_one_row_for_one_attempt_is_adopted_after_the_settle_time(scene: Scene) -> None:
    """Before that a second row may still arrive, and then neither would be the one."""
    reconciler = await lose(scene, Fault.DROP_AFTER)
    assert await look_after(scene, reconciler, SETTLE / 2) == {State.UNKNOWN: 3}
    assert await look_after(scene, reconciler, SETTLE) == {State.POSTED: 3}
    assert scene.remote_ids() == scene.created()
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 3}
    assert await scene.store.verify() == []


async def test_where_no_reply_echoes_the_tag_either_the_row_counts_all_the_same(
    scene: Scene,
) -> None:
    """The other branch: the vendor's examples leave fields out of `data`."""
    change(scene, echo_without=("tag",))
    reconciler = await lose(scene, Fault.DROP_AFTER)
    assert await look_after(scene, reconciler, 2 * SETTLE) == {State.POSTED: 3}
    assert scene.remote_ids() == scene.created()


async def test_a_task_that_bears_another_tag_is_left_to_its_owner(scene: Scene) -> None:
    """Another program on the account may ask the same question."""
    reconciler = await lose(scene, Fault.DROP_AFTER)
    theirs = scene.account.ledger.tasks[0]
    theirs.tag = "theirs"
    theirs.request = json.dumps({**json.loads(theirs.request), "tag": "theirs"}).encode()
    assert await look_after(scene, reconciler, 2 * SETTLE) == {State.POSTED: 2, State.UNKNOWN: 1}
    assert theirs.id not in scene.remote_ids().values()


async def test_two_rows_for_one_attempt_are_for_a_person(scene: Scene) -> None:
    """Which one is ours cannot be told, and sending again might pay a third time."""
    change(scene, echo_without=("tag",))
    await scene.engine.api.user_data()
    reconciler = await lose(scene, Fault.DROP_AFTER)
    for task in list(scene.account.ledger.tasks):
        scene.account.ledger.tasks.append(replace(task, id=f"{task.id[:-4]}beef"))
    assert await look_after(scene, reconciler, 2 * SETTLE) == {State.UNKNOWN: 3}
    assert await look_after(scene, reconciler, 3 * DAY) == {State.QUARANTINED: 3}


async def test_a_task_that_still_runs_is_not_adopted_by_the_weaker_key(scene: Scene) -> None:
    """Its tag cannot be asked for before it is done."""
    change(scene, latency=lasting(5 * HOUR))
    reconciler = await lose(scene, Fault.DROP_AFTER)
    assert await look_after(scene, reconciler, HOUR) == {State.UNKNOWN: 3}
    assert await look_after(scene, reconciler, 5 * HOUR) == {State.POSTED: 3}


async def test_rows_of_tasks_that_are_booked_are_nobody_elses(scene: Scene) -> None:
    """The same prompts were asked by another run, and answered: they are no sign of ours."""
    change(scene, listing_tags=False)
    no_ready_list(scene)
    await scene.engine.api.user_data()
    await scene.load(3)
    await scene.poster.post_next()
    scene.clock.advance(MINUTE)
    await scene.fetch_due()
    later = await scene.store.begin_run(
        job="sky",
        key="again",
        fresh=0,
        api="live",
        key_columns=["prompt"],
        targets=[(target, 10_200_000) for target in scene.targets],
        now=scene.clock.now(),
    )
    scene.posting = replace(scene.posting, run=later)
    scene.limited()
    await scene.load(3)
    scene.strike(Fault.DROP_BEFORE)
    await scene.poster.post_next()
    reconciler = Reconciler(scene.engine)
    await reconciler.look()
    assert await look_after(scene, reconciler, 2 * SETTLE) == {State.UNKNOWN: 3}
    assert len(scene.created()) == 3

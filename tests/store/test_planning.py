"""What was learned about when answers come is kept, and acted on by what is posted next."""

from datetime import timedelta

from runner.curve import Curve
from runner.store.planning import Kept, Kind
from tests.store.steps import Scene, numbered, still_running

KIND = Kind("dataforseo/claude/standard", "claude-sonnet-4-0")
HOUR = timedelta(hours=1)


async def test_a_learned_curve_outlives_the_process_and_dates_the_first_ask(scene: Scene) -> None:
    """The second night of a model must not ask for everything after a minute again."""
    curve = Curve()
    for _ in range(30):
        curve = curve.add(2 * HOUR)
    await scene.store.keep_curves(
        {KIND: Kept(curve=curve, first_ask=2 * HOUR)}, now=scene.clock.now()
    )
    assert await scene.store.curves() == {KIND: curve}
    await scene.load(numbered(2))
    await scene.post(2)
    scene.clock.advance(HOUR)
    assert await scene.take() == []
    hastened = await scene.store.hasten(1, older={KIND: scene.clock.now()}, now=scene.clock.now())
    assert hastened == len(await scene.take()) == 1
    scene.clock.advance(HOUR)
    assert len(await scene.take()) >= 1


async def test_a_task_that_was_asked_for_can_be_hastened_again_but_only_on_request(
    scene: Scene,
) -> None:
    """From 6 h of age on every task has been asked for: without one of them nothing could speak
    for the ready list any more, and all would be asked by age."""
    await scene.load(numbered(1))
    await scene.post(1)
    scene.clock.advance(HOUR)
    (task,) = await scene.take()
    now = scene.clock.now()
    await scene.book(still_running(task, now + HOUR))
    older = {KIND: now}
    assert await scene.store.hasten(1, older=older, now=now) == 0
    assert await scene.store.hasten(1, older=older, now=now, again=True) == 1
    assert [each.task for each in await scene.take()] == [task.task]

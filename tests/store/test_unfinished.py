"""What a daemon asks the store: which runs wait, how many tasks there are, what is being loaded."""

from runner.lifecycle import State
from runner.rows import Batch
from runner.store.values import Ceiling, Idle
from tests.store.steps import MINUTE, Scene, rows


async def test_nothing_of_an_input_is_posted_before_all_of_it_is_in_the_queue(
    scene: Scene,
) -> None:
    """It may turn out to have changed while it was read; half of it is nobody's wish."""
    load = await scene.begin_load("one")
    assert load is not None
    await scene.store.add_rows(load, rows("a", "b"), now=scene.clock.now())
    status = await scene.status()
    assert (status.loading, status.held, status.next_due_at) == (True, 2, None)
    assert await scene.intend() is Idle.NOTHING_DUE
    await scene.store.end_load(load, rejected=0, now=scene.clock.now())
    status = await scene.status()
    assert (status.loading, status.held) == (False, 0)
    assert isinstance(await scene.intend(), Batch)


async def test_a_load_that_begins_between_the_look_and_the_intent_stops_the_intent(
    scene: Scene,
) -> None:
    """Another process may load while the engine works: what counts is the intent's transaction."""
    await scene.load(rows("a"))
    ((target, _),) = await scene.store.targets_to_post(scene.run.id, now=scene.clock.now())
    assert await scene.begin_load("two") is not None
    intent = await scene.store.begin_batch(
        run=scene.run.id,
        target=target,
        account=scene.account,
        worker=scene.worker,
        limit=1,
        now=scene.clock.now(),
        patience=MINUTE,
        ceiling=Ceiling(),
        seal=lambda attempts: "0" * 64,
    )
    assert intent is Idle.NOTHING_DUE


async def test_a_run_is_unfinished_until_its_last_task_has_ended(scene: Scene) -> None:
    """The daemon looks at these every two seconds, however many runs there once were."""
    assert await scene.store.unfinished_runs() == []
    await scene.load(rows("a", "b"))
    assert [run.id for run in await scene.store.unfinished_runs()] == [scene.run.id]
    counts = await scene.store.counts()
    assert (counts[State.PENDING], counts[State.COMPLETED]) == (2, 0)
    await scene.complete(2)
    assert await scene.store.unfinished_runs() == []
    counts = await scene.store.counts()
    assert (counts[State.PENDING], counts[State.COMPLETED]) == (0, 2)

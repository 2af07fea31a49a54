"""A pause said by another process while the engine is at work."""

from pathlib import Path

from runner.lifecycle import State
from runner.store.listing import Selection
from runner.store.sqlite.store import open_store
from tests.pipeline.scene import staged
from tests.support.clock import ManualClock


async def test_an_engine_at_work_stops_posting_at_its_next_step_and_goes_on_when_told(
    tmp_path: Path, clock: ManualClock
) -> None:
    """`runner pause` in another window needs no signal to the engine and no restart of it."""
    async with staged(tmp_path, clock) as scene, open_store(scene.path, clock=clock) as person:
        await scene.load(250)
        assert await scene.poster.post_next() is not None
        await person.pause(job="sky", now=clock.now())
        assert await scene.poster.post_next() is None
        clock.advance(scene.engine.post_timeout * 60)
        await scene.fetch_due()
        assert await scene.states() == {State.COMPLETED: 100, State.PENDING: 150}
        await person.resume(job="sky", now=clock.now())
        assert await scene.poster.post_next() is not None
        assert len(scene.account.ledger.tasks) == 200


async def test_what_is_cancelled_under_an_engine_is_never_sent(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The rest of a night that went wrong is dropped while its first part is out."""
    async with staged(tmp_path, clock) as scene, open_store(scene.path, clock=clock) as person:
        await scene.load(250)
        assert await scene.poster.post_next() is not None
        assert await person.cancel(Selection()) == 150
        assert await scene.poster.post_next() is None
        assert len(scene.account.ledger.tasks) == 100
        assert scene.engine.signals.no_room(scene.run.id) is None

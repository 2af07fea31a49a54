"""A store that was copied, moved or put back finds again what was posted in its name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from runner.errors import WrongInput
from runner.lifecycle import State
from runner.rows import Ask, Batch
from runner.store.mark import Mark
from runner.store.reconciling import IncidentKind, Known, Sighting
from runner.store.recovering import Doubted
from runner.store.sqlite.copying import copy_store
from runner.store.sqlite.store import SqliteStore, open_store
from runner.task import RemoteId, Tag
from tests.store import steps
from tests.support.clock import ManualClock

MINUTE = timedelta(minutes=1)


@asynccontextmanager
async def engine_of(path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    """The store as an engine opens it, with its side file."""
    async with open_store(path, clock=clock) as store:
        mark = Mark.beside(path)
        try:
            await store.keep_mark(mark)
            yield store
        finally:
            mark.close()


async def copied(path: Path) -> Path:
    """A backup of the store as it is now, though it is open."""
    await copy_store(path, copy := path.with_name("yesterday.db"))
    return copy


def seen(batch: Batch) -> list[Sighting]:
    return [Sighting(tag=a.tag, remote_id=steps.remote_id(a.tag)) for a in batch.attempts]


async def why(path: Path, clock: ManualClock) -> Doubted | None:
    async with engine_of(path, clock) as store:
        found = await store.unlisted()
        return None if found is None else found.why


async def test_a_store_that_was_only_stopped_is_taken_at_its_word(
    path: Path, clock: ManualClock
) -> None:
    """A listing at each start would cost a minute of every night."""
    async with engine_of(path, clock) as store:
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(3))
        await scene.post(2)
    assert await why(path, clock) is None


async def test_an_older_copy_is_noticed_until_the_account_was_listed(
    path: Path, clock: ManualClock
) -> None:
    """F28: what was posted since is paid for, and the copy does not know it."""
    async with engine_of(path, clock) as store:
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(3))
        await scene.post(1)
        copy = await copied(path)
        newest = clock.now()
        clock.advance(MINUTE)
        await scene.post(1)
    copy.replace(path)
    for _ in range(2):
        assert await why(path, clock) is Doubted.BEHIND
    async with engine_of(path, clock) as store:
        unlisted = await store.unlisted()
        assert unlisted is not None
        assert unlisted.newest == newest
        await store.note_listing(at=newest)
        await store.note_listing(at=newest + MINUTE)
        unlisted = await store.unlisted()
        assert unlisted is not None
        assert unlisted.clean_api == newest
        await store.listed()
    assert await why(path, clock) is None


async def test_a_store_without_its_side_file_is_listed_for_unless_nothing_was_posted(
    path: Path, clock: ManualClock
) -> None:
    """It was moved or copied, and who knows what the other copy has done since."""
    async with open_store(path, clock=clock) as store:
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(3))
    assert await why(path, clock) is None
    async with open_store(path, clock=clock) as store:
        scene = await steps.begin(store, clock)
        await scene.post(1)
    path.with_name(f"{path.name}.newest").unlink()
    assert await why(path, clock) is Doubted.NO_MARK


@pytest.fixture
async def restored(path: Path, clock: ManualClock) -> AsyncIterator[tuple[steps.Scene, Batch]]:
    """Yesterday's copy of a store with three tasks, and what the lost day has posted."""
    async with open_store(path, clock=clock) as store:
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(3))
        copy = await copied(path)
        lost = await scene.post(how=steps.accepted)
    copy.replace(path)
    async with open_store(path, clock=clock) as store:
        yield await steps.begin(store, clock), lost


async def states(scene: steps.Scene) -> dict[State, int]:
    status = await scene.store.status(scene.run.id)
    return {state: n for state, n in status.states.items() if n}


async def test_a_task_posted_by_the_lost_day_is_adopted_and_not_asked_again(
    restored: tuple[steps.Scene, Batch], clock: ManualClock
) -> None:
    """F28: the copy has no attempt for the tag: the task's id and its digest say whose it is."""
    scene, lost = restored
    for adopted in (3, 0):
        found = await scene.store.found(seen(lost), now=clock.now())
        assert (len(found.adopted), found.incidents) == (adopted, 0)
    assert await states(scene) == {State.POSTED: 3}
    assert await scene.store.verify() == []
    taken = await scene.store.take_posted(
        9, worker=scene.worker, now=clock.now() + MINUTE, lease=MINUTE
    )
    assert {each.tag for each in taken} == {each.tag for each in lost.attempts}


async def test_what_was_found_again_is_later_than_nothing(
    restored: tuple[steps.Scene, Batch], clock: ManualClock
) -> None:
    """Its batch is numbered when it is found: that must not make it vouch for a newer listing."""
    scene, lost = restored
    for known in ({}, {each.tag: Known(batch=None, intended_api=None) for each in lost.attempts}):
        found = await scene.store.found(seen(lost), now=clock.now())
        assert found.known == known


async def test_rows_loaded_anew_in_another_order_are_matched_by_their_digest(
    path: Path, clock: ManualClock
) -> None:
    """Their numbers are other ones than in the tags, and an old number is another task's."""
    async with open_store(path, clock=clock) as store:
        await steps.begin(store, clock)
        copy = await copied(path)
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(3))
        lost = await scene.post(2)
    copy.replace(path)
    async with open_store(path, clock=clock) as store:
        scene = await steps.begin(store, clock)
        # Nothing is loaded yet: nobody asks for these, and nobody may pay for them again.
        found = await store.found(seen(lost), now=clock.now())
        assert found.incidents == 2
        await scene.load(steps.rows("question 3", "question 2", "question 1"))
        assert await store.adopt_orphans(now=clock.now()) == 2
        assert await store.adopt_orphans(now=clock.now()) == 0
        assert await store.incidents() == []
        assert await states(scene) == {State.POSTED: 2, State.PENDING: 1}
        asked = {a.body for a in (await scene.post(5)).attempts}
        assert asked == {a.body for a in steps_bodies(3)} - {a.body for a in lost.attempts}
        assert await store.verify() == []


def steps_bodies(count: int) -> list[Ask]:
    return [ask for row in steps.numbered(count) for ask in row.asks]


async def test_a_later_attempt_takes_the_place_of_the_one_that_the_copy_knows(
    path: Path, clock: ManualClock
) -> None:
    """In the copy it is still out; in truth it failed, and was posted anew: that one is paid."""
    async with open_store(path, clock=clock) as store:
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(1))
        first = await scene.post(how=steps.accepted)
        copy = await copied(path)
        clock.advance(MINUTE)
        (task,) = await scene.take()
        await scene.book(steps.failed(task, cost=None, again_at=clock.now()))
        second = await scene.post(how=steps.accepted)
    copy.replace(path)
    async with open_store(path, clock=clock) as store:
        scene = await steps.begin(store, clock)
        found = await store.found(seen(first) + seen(second), now=clock.now())
        assert found.adopted == frozenset({second.attempts[0].tag})
        assert found.incidents == 0
        assert await states(scene) == {State.POSTED: 1}
        assert await store.verify() == []
        assert (await scene.status()).money.at_risk > 0


async def test_what_the_copy_has_an_answer_for_stays_so_and_is_told(
    path: Path, clock: ManualClock
) -> None:
    """A completed task never moves by itself; the second charge is an incident."""
    async with open_store(path, clock=clock) as store:
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(1))
        (done,) = await scene.complete(1)
        tag = Tag.parse(done.tag)
        assert tag is not None
        again = Tag(tag.install, tag.run, tag.task, tag.digest, 2)
        sighting = Sighting(tag=str(again), remote_id=RemoteId("x"))
        assert (await store.found([sighting], now=clock.now())).incidents == 1
        (incident,) = await store.incidents()
        assert incident.kind is IncidentKind.ORPHAN
        assert await states(scene) == {State.COMPLETED: 1}


async def test_a_store_from_another_host_is_refused_until_it_is_claimed(
    path: Path, clock: ManualClock
) -> None:
    """F15: two copies that both go on would both pay. Where no host is known, nothing is."""
    async with engine_of(path, clock) as store:
        await store.check_host(None)
        await store.check_host("here")
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(1))
        with pytest.raises(WrongInput, match="another host"):
            await store.check_host("there")
        new = await store.claim("there")
        await store.check_host("there")
        with pytest.raises(WrongInput, match="another host"):
            await store.check_host("here")
        # The same account's, though the digest of its login was made with the old id.
        scene = await steps.begin(store, clock)
        batch = await scene.post()
        assert batch.attempts[0].tag.startswith(new)
    assert await why(path, clock) is Doubted.CLAIMED


async def test_tags_from_before_a_claim_are_still_ours(
    restored: tuple[steps.Scene, Batch], clock: ManualClock
) -> None:
    """What the other copy had posted is what a claimed store looks for."""
    scene, lost = restored
    assert isinstance(scene.store, SqliteStore)
    await scene.store.claim(None)
    await scene.store.claim(None)
    assert len((await scene.store.found(seen(lost), now=clock.now())).adopted) == 3


async def test_attempts_that_the_lost_day_burnt_leave_no_gap(
    restored: tuple[steps.Scene, Batch], clock: ManualClock
) -> None:
    """A refused connection uses up a number; the account has no trace of it."""
    scene, lost = restored
    first = Tag.parse(lost.attempts[0].tag)
    assert first is not None
    third = Tag(first.install, first.run, first.task, first.digest, 3)
    sighting = Sighting(tag=str(third), remote_id=RemoteId("x"), cost=10_000_000)
    assert len((await scene.store.found([sighting], now=clock.now())).adopted) == 1
    assert await scene.store.verify() == []

"""A store that was copied, moved or put back finds again what was posted in its name."""

import errno
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runner.errors import WrongInput
from runner.lifecycle import State
from runner.parameters import request_digest
from runner.rows import Ask, Batch
from runner.store.mark import Mark
from runner.store.reconciling import IncidentKind, Known, Sighting
from runner.store.recovering import Doubted, Look
from runner.store.sqlite import identity, recovering
from runner.store.sqlite.connection import connect
from runner.store.sqlite.copying import copy_store, note_that_it_is_a_copy
from runner.store.sqlite.store import SqliteStore, open_store
from runner.store.values import StoreUnwritable
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


@asynccontextmanager
async def loaded(path: Path, clock: ManualClock) -> AsyncIterator[SqliteStore]:
    """The store after a load of three rows that no engine was at."""
    async with open_store(path, clock=clock) as store:
        with closing(Mark.beside(path)) as mark:
            await store.begin_mark(mark)
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(3))
        await store.end_worker(scene.worker, now=clock.now())
        yield store


async def posted(path: Path, clock: ManualClock) -> Batch:
    """What an engine posts that loads the same three rows, unless they are loaded already."""
    async with engine_of(path, clock) as store:
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(3))
        return await scene.post(how=steps.accepted)


def side_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.newest")


def delete(path: Path) -> None:
    """The store alone, as somebody does who knows of no side file."""
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        each.unlink(missing_ok=True)


def asked(sighting: Sighting, batch: Batch) -> str:
    """The digest of the request, as the account's listing gives it."""
    (body,) = (each.body for each in batch.attempts if each.tag == sighting.tag)
    return request_digest(json.loads(body))


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
        await store.note_look(Look(at=newest, counts=True))
        await store.note_look(Look(at=newest + MINUTE, counts=True))
        unlisted = await store.unlisted()
        assert unlisted is not None
        assert unlisted.clean_api == newest
        await store.listed()
    assert await why(path, clock) is None


async def test_a_store_without_its_side_file_is_listed_for_unless_nothing_was_loaded(
    path: Path, clock: ManualClock
) -> None:
    """It was moved or copied, and who knows what the other copy has done since."""
    assert await why(path, clock) is None
    side_file(path).unlink()
    assert await why(path, clock) is None
    async with engine_of(path, clock) as store:
        await (await steps.begin(store, clock)).load(steps.numbered(3))
    assert await why(path, clock) is None
    side_file(path).unlink()
    assert await why(path, clock) is Doubted.NO_MARK


async def test_a_copy_from_before_the_first_post_is_an_older_copy(
    path: Path, clock: ManualClock
) -> None:
    """Who loads first and starts by cron makes the backup in between."""
    async with loaded(path, clock):
        copy = await copied(path)
    lost = await posted(path, clock)
    copy.replace(path)
    assert await why(path, clock) is Doubted.BEHIND
    async with engine_of(path, clock) as store:
        scene = await steps.begin(store, clock)
        assert len((await store.found(seen(lost), now=clock.now())).adopted) == 3
        assert await states(scene) == {State.POSTED: 3}


async def test_a_backup_is_listed_for_whatever_its_side_file_says(
    path: Path, clock: ManualClock
) -> None:
    """Put back beside an equally old side file, or where there is none, nothing else would tell."""
    async with loaded(path, clock) as store:
        await (await steps.begin(store, clock)).post(1)
        note_that_it_is_a_copy(copy := await copied(path))
    copy.replace(path)
    assert await why(path, clock) is Doubted.COPIED
    side_file(path).unlink()
    assert await why(path, clock) is Doubted.COPIED
    async with engine_of(path, clock) as store:
        await store.listed()
    assert await why(path, clock) is None


async def test_a_backup_without_a_post_is_listed_for_since_the_store_was_made(
    path: Path, clock: ManualClock
) -> None:
    """A run that was loaded after the copy was put back says nothing of what went before."""
    made_at = clock.now()
    async with open_store(path, clock=clock):
        note_that_it_is_a_copy(copy := await copied(path))
    copy.replace(path)
    clock.advance(timedelta(days=9))
    async with loaded(path, clock):
        pass
    async with engine_of(path, clock) as store:
        unlisted = await store.unlisted()
        assert unlisted is not None
        assert (unlisted.newest, unlisted.by_api) == (made_at, False)


async def test_a_store_in_the_place_of_one_that_has_posted_is_listed_for_from_the_beginning(
    path: Path, clock: ManualClock
) -> None:
    """Deleted by mistake, it is made anew by the next cron job, which would pay for all again."""
    lost = await posted(path, clock)
    delete(path)
    async with loaded(path, clock):
        pass
    for _ in range(2):
        assert await why(path, clock) is Doubted.REPLACED
    async with engine_of(path, clock) as store:
        unlisted = await store.unlisted()
        assert unlisted is not None
        assert unlisted.newest is None
        # Somebody else's window would be shorter.
        await store.note_look(Look(at=clock.now(), counts=True))
        await store.claim(None)
        unlisted = await store.unlisted()
        assert unlisted is not None
        assert (unlisted.newest, unlisted.clean_api) == (None, None)
        scene = await steps.begin(store, clock)
        sightings = [replace(each, request=asked(each, lost)) for each in seen(lost)]
        assert len((await store.found(sightings, now=clock.now())).adopted) == 3
        assert await states(scene) == {State.POSTED: 3}
        assert await store.verify() == []
        await store.listed()
    assert await why(path, clock) is None


async def test_a_store_that_was_replaced_twice_is_still_known(
    path: Path, clock: ManualClock
) -> None:
    """What the second one has taken up bears the first one's tags."""
    lost = []
    for _ in range(3):
        batch = await posted(path, clock)
        lost.append(batch.attempts[0].tag.partition(".")[0])
        delete(path)
    async with engine_of(path, clock):
        pass
    async with connect(path) as db:
        assert await db.read(recovering.installs) > set(lost)
        assert await db.read(identity.replaced_installs) == lost


async def test_a_store_in_the_place_of_one_that_never_posted_is_taken_at_its_word(
    path: Path, clock: ManualClock
) -> None:
    """Loaded by mistake and deleted: nothing was paid for, so nobody has to wait."""
    for _ in range(2):
        async with loaded(path, clock):
            pass
        delete(path)
    async with loaded(path, clock):
        pass
    assert await why(path, clock) is None


async def test_a_store_knows_its_login_though_it_took_another_one_s_place(
    path: Path, clock: ManualClock
) -> None:
    """The digest of its login was made with its own id: the other one is no former one."""
    await posted(path, clock)
    own = path.rename(path.with_name("mine.db"))
    await posted(path, clock)
    delete(path)
    own.rename(path)
    async with engine_of(path, clock) as store:
        await steps.begin(store, clock)
    assert await why(path, clock) is Doubted.REPLACED


async def test_a_load_beside_an_engine_leaves_its_side_file_alone(
    path: Path, clock: ManualClock
) -> None:
    """Set back, it would not tell of the batches that an older copy lacks."""
    async with engine_of(path, clock) as store:
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(3))
        copy = await copied(path)
        await scene.post(1)
        async with loaded(path, clock):
            pass
    copy.replace(path)
    assert await why(path, clock) is Doubted.BEHIND


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


async def test_a_side_file_that_cannot_be_read_is_told_as_what_may_pass(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails for a moment is no bug of ours."""

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    with (
        closing(Mark.beside(path)) as mark,
        pytest.raises(StoreUnwritable, match="newest cannot be read: Input/output error"),
    ):
        mark.read()


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

"""The process dies again and again at one task: that is set apart and held, and nothing else is."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest

from runner.lifecycle import Reason, State
from runner.rows import Batch
from runner.store.reconciling import Sighting
from runner.store.values import Ceiling, Idle
from runner.task import Lost
from tests.store import steps
from tests.store.places import AnyStore, Place
from tests.support.clock import ManualClock

MINUTE = timedelta(minutes=1)


@dataclass
class Lives:
    """A store whose engine dies and is started again."""

    store: AnyStore
    clock: ManualClock
    scene: steps.Scene
    place: Place

    async def begin(self, limit: int = 100, *, at_once: bool = False) -> Batch | Idle:
        if not at_once:
            # A server may still hold the connection of the life before for a moment.
            self.clock.advance(2 * MINUTE)
        ((target, _),) = await self.store.targets_to_post(
            self.scene.run.id, now=self.clock.now()
        ) or ((0, None),)
        if target == 0:
            return Idle.NOTHING_DUE
        return await self.store.begin_batch(
            run=self.scene.run.id,
            target=target,
            account=self.scene.account,
            worker=self.scene.worker,
            limit=limit,
            now=self.clock.now(),
            patience=MINUTE,
            ceiling=Ceiling(),
            seal=steps.seal,
        )

    async def post(self, limit: int = 100, *, at_once: bool = False) -> Batch:
        batch = await self.begin(limit, at_once=at_once)
        assert isinstance(batch, Batch)
        return batch

    async def save(self, batch: Batch, *, lost: bool = False, at_once: bool = False) -> None:
        if not at_once:
            self.clock.advance(timedelta(seconds=1))
        outcomes = [(steps.lost if lost else steps.accepted)(each) for each in batch.attempts]
        await self.store.settle_batch(
            batch, outcomes, outcome="answered", code=20000, message=None, now=self.clock.now()
        )

    async def die(self) -> None:
        """The process is gone; the next one starts, and finds that nothing was taken."""
        self.scene.worker = await self.store.begin_worker(now=self.clock.now())
        attempts = [(a.task, a.number) for d in await self.store.doubts() for a in d.attempts]
        await self.store.prove_absent(attempts, now=self.clock.now())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.place.read(query)

    async def states(self) -> dict[State, int]:
        status = await self.store.status(self.scene.run.id)
        return {state: n for state, n in status.states.items() if n}


@pytest.fixture
async def lives(place: Place, clock: ManualClock) -> AsyncIterator[Lives]:
    async with place.open(clock) as opened:
        store = cast(AnyStore, opened)
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(5))
        yield Lives(store, clock, scene, place)


async def test_three_deaths_split_a_batch_and_three_more_hold_the_one_that_kills(
    lives: Lives,
) -> None:
    """F17: one task that crashes the process must not keep the others from their answers."""
    for _ in range(3):
        assert len((await lives.post()).attempts) == 5
        await lives.die()
    deaths = 0
    while (state := await lives.states()).get(State.PENDING):
        batch = await lives.post()
        assert len(batch.attempts) == 1
        if batch.attempts[0].task == 3:
            deaths += 1
            await lives.die()
        else:
            await lives.save(batch)
        assert deaths <= 3, state
    assert await lives.states() == {State.POSTED: 4, State.QUARANTINED: 1}
    assert lives.rows("SELECT id, reason FROM tasks WHERE state = 'quarantined'") == [
        (3, Reason.POISON)
    ]
    assert lives.rows("SELECT task_id FROM deaths") == [(3,)]


async def test_a_suspect_is_posted_with_nothing_else_under_way(lives: Lives) -> None:
    """Else the death of one would be held against its neighbours."""
    for _ in range(3):
        await lives.post()
        await lives.die()
    await lives.scene.load(steps.numbered(8))
    others = await lives.post()
    assert len(others.attempts) == 3
    assert await lives.begin() is Idle.NOTHING_DUE
    await lives.save(others)
    suspect = await lives.post()
    assert len(suspect.attempts) == 1
    assert await lives.begin() is Idle.NOTHING_DUE


async def test_a_process_killed_in_the_middle_of_its_work_blames_nobody(lives: Lives) -> None:
    """Two hundred kills of a nightly run: each time something was saved since the intent."""
    await lives.scene.load(steps.numbered(250))
    for _ in range(200):
        await lives.post(3)
        await lives.save(await lives.post(1))
        await lives.die()
    assert lives.rows("SELECT count(*) FROM deaths") == [(0,)]
    assert State.QUARANTINED not in await lives.states()


@pytest.mark.parametrize("later", [False, True])
async def test_what_was_saved_in_the_millisecond_of_an_intent_came_before_it(
    lives: Lives, later: bool
) -> None:
    """A task that is posted alone follows the others at once, and they did not outlive it; unless
    they were begun after it."""
    if later:
        await lives.post(1)
    others = await lives.post(4, at_once=later)
    await lives.save(others, at_once=later)
    if not later:
        await lives.post(1, at_once=True)
    await lives.die()
    assert lives.rows("SELECT posting FROM deaths") == ([] if later else [(1,)])


@pytest.mark.parametrize("lost", [False, True])
async def test_whatever_is_saved_about_a_task_ends_its_row_of_deaths(
    lives: Lives, lost: bool
) -> None:
    """The process outlived it, even if its reply got lost: three deaths in a row means in a row."""
    for _ in range(2):
        await lives.post()
        await lives.die()
    await lives.save(await lives.post(), lost=lost)
    assert lives.rows("SELECT count(*) FROM deaths") == [(0,)]


async def test_a_suspect_that_is_found_in_the_account_is_one_no_more(lives: Lives) -> None:
    """The process died over the reply, not over the task: its answer is asked for by its id."""
    for _ in range(2):
        await lives.post()
        await lives.die()
    batch = await lives.post()
    lives.scene.worker = await lives.store.begin_worker(now=lives.clock.now())
    seen = [Sighting(tag=each.tag, remote_id=steps.remote_id(each.tag)) for each in batch.attempts]
    await lives.store.found(seen, now=lives.clock.now())
    assert await lives.states() == {State.POSTED: 5}
    assert lives.rows("SELECT count(*) FROM deaths") == [(0,)]


async def test_an_answer_that_kills_the_process_is_asked_for_later_and_later(lives: Lives) -> None:
    """It is paid for, so it is never given up; but the others must have their turn before it."""
    await lives.save(await lives.post(2))
    for death in range(3):
        if death == 2:
            await lives.save(await lives.post())
        lives.clock.advance(timedelta(hours=7))
        taken = await lives.store.take_posted(
            2, worker=lives.scene.worker, now=lives.clock.now(), lease=MINUTE
        )
        assert sorted(each.task for each in taken) == [1, 2]
        lives.scene.worker = await lives.store.begin_worker(now=lives.clock.now())
    now = lives.clock.now()
    taken = await lives.store.take_posted(9, worker=lives.scene.worker, now=now, lease=MINUTE)
    assert sorted(each.task for each in taken) == [3, 4, 5]
    lives.clock.advance(MINUTE)
    now = lives.clock.now()
    taken = await lives.store.take_posted(9, worker=lives.scene.worker, now=now, lease=MINUTE)
    assert {1, 2} <= {each.task for each in taken}
    running = steps.still_running(next(t for t in taken if t.task == 1), now + MINUTE)
    await lives.store.book([running], now=now)
    assert (1,) not in lives.rows("SELECT task_id FROM deaths")


async def take_and_die(lives: Lives, *, book: bool) -> None:
    """One life: ask for all that is due, say what came of the third if *book*, die."""
    lives.clock.advance(20 * MINUTE)
    now = lives.clock.now()
    taken = await lives.store.take_posted(9, worker=lives.scene.worker, now=now, lease=MINUTE)
    if book:
        third = next(each for each in taken if each.task == 3)
        await lives.store.book([steps.still_running(third, now + MINUTE)], now=now)
    lives.scene.worker = await lives.store.begin_worker(now=lives.clock.now())


@pytest.mark.parametrize("book", [False, True])
async def test_what_was_asked_for_is_suspect_only_if_nothing_at_all_was_booked(
    lives: Lives, book: bool
) -> None:
    """Many are leased at any moment: fifty random kills must not put off hundreds of them."""
    await lives.save(await lives.post())
    for _ in range(4):
        await take_and_die(lives, book=book)
    counted = lives.rows("SELECT count(*) FROM deaths WHERE asking >= 3")
    assert counted == [(0 if book else 5,)]


async def test_what_waits_after_deaths_does_not_wait_for_the_ready_list(lives: Lives) -> None:
    """The list forgets what it once handed out: six hours for each such kill were lost."""
    await lives.save(await lives.post())
    for _ in range(3):
        await take_and_die(lives, book=False)
    due = lives.rows("SELECT id, due_at FROM tasks ORDER BY id")
    await lives.store.trust_ready_list(True, now=lives.clock.now())
    assert lives.rows("SELECT id, due_at FROM tasks ORDER BY id") == due


async def test_what_a_whole_batch_may_have_been_refused_for_is_posted_alone(lives: Lives) -> None:
    """F57: across starts, too; in a batch again it would put its neighbours in doubt once more."""
    batch = await lives.post()
    lives.clock.advance(timedelta(seconds=1))
    outcomes = [
        Lost(tag=each.tag, why="40501", code=40501, suspect=each.task < 3)
        for each in batch.attempts
    ]
    await lives.store.settle_batch(
        batch, outcomes, outcome="unknown", code=40501, message=None, now=lives.clock.now()
    )
    await lives.die()
    sizes = []
    while (await lives.states()).get(State.PENDING):
        again = await lives.post()
        sizes.append(len(again.attempts))
        await lives.save(again)
    assert sizes == [3, 1, 1]
    assert lives.rows("SELECT count(*) FROM deaths") == [(0,)]

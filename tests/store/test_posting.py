"""The intent is durable before anything leaves; what came of it is booked once, whole or not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from runner.errors import WrongInput
from runner.lifecycle import State
from runner.money import ADVANCE, BASE_PRICE_STANDARD
from runner.rows import Attempt, Batch
from runner.store.amounts import Money
from runner.store.protocol import TaskStore
from runner.store.values import AttemptOver, Ceiling, Idle, RequestGone
from runner.task import Outcome, Tag
from tests.store.places import Place
from tests.store.steps import (
    ADVANCED,
    CLAUDE,
    GEMINI,
    MINUTE,
    PRICE,
    RESERVE,
    OpenStore,
    Scene,
    accepted,
    answered,
    begin,
    failed,
    lost,
    not_taken,
    numbered,
    refused,
    row,
    rows,
    task_ids,
)
from tests.support.clock import ManualClock

# --- the intent -----------------------------------------------------------------------------------


async def test_an_intent_is_there_after_the_process_is_gone(
    open_store: OpenStore, clock: ManualClock
) -> None:
    """Only what was written before the send can be looked for after a crash (F3, F4)."""
    async with open_store() as store:
        scene = await begin(store, clock)
        await scene.load(numbered(3))
        await scene.batch(2)
        assert await scene.states() == {State.PENDING: 1, State.POSTING: 2}
    async with open_store() as store:
        status = await store.status(scene.run.id)
    assert (status.states[State.POSTING], status.money) == (2, Money(reserved=2 * RESERVE))


async def test_an_intent_whose_body_cannot_be_made_is_none(scene: Scene) -> None:
    """A body that cannot be encoded must not leave tasks in doubt that never left."""
    await scene.load(numbered(2))
    (target, _), *_ = await scene.store.targets_to_post(scene.run.id, now=scene.clock.now())

    def broken(attempts: tuple[Attempt, ...]) -> str:
        raise UnicodeError(attempts[0].tag)

    with pytest.raises(UnicodeError):
        await scene.store.begin_batch(
            run=scene.run.id,
            target=target,
            account=scene.account,
            worker=scene.worker,
            limit=2,
            now=scene.clock.now(),
            patience=MINUTE,
            ceiling=Ceiling(),
            seal=broken,
        )
    assert (await scene.status()).money == Money()
    assert [attempt.number for attempt in (await scene.batch()).attempts] == [1, 1]


async def test_a_batch_tells_all_that_the_send_needs(scene: Scene) -> None:
    """Nothing is looked up between the intent and the send."""
    await scene.load(rows("why?", "how?"))
    batch = await scene.batch()
    assert batch.endpoint == CLAUDE.endpoint
    assert (batch.intended_at, batch.deadline) == (
        scene.clock.now(),
        scene.clock.now() + MINUTE,
    )
    assert [attempt.body for attempt in batch.attempts] == [
        line.asks[0].body for line in rows("why?", "how?")
    ]


async def test_tags_are_unique_and_lead_back_to_their_attempt(scene: Scene) -> None:
    """A tag is all that a listing of the account tells of us."""
    await scene.load([row(1, samples=3), *numbered(5)[1:]])
    seen: set[str] = set()
    for number in (1, 2, 3):
        batch = await scene.batch()
        for attempt in batch.attempts:
            tag = Tag.parse(attempt.tag)
            assert tag is not None
            assert (tag.task, tag.attempt) == (attempt.task, attempt.number)
            assert attempt.number == number
            seen.add(attempt.tag)
        await scene.settle(batch, not_taken)
        scene.clock.advance(MINUTE)
    assert len(seen) == 3 * 7
    assert len({tag[:17] for tag in seen}) == 1


async def test_targets_with_nothing_due_are_not_offered(
    store: TaskStore, clock: ManualClock
) -> None:
    """A call token is not spent on an empty batch."""
    scene = await begin(store, clock, targets=[CLAUDE, GEMINI])
    await scene.load([row(1, targets=[CLAUDE, GEMINI]), row(2, targets=[GEMINI])])
    due = await store.targets_to_post(scene.run.id, now=clock.now())
    assert [endpoint for _, endpoint in due] == [CLAUDE.endpoint, GEMINI.endpoint]
    await scene.batch()
    assert await store.targets_to_post(scene.run.id, now=clock.now()) == due[1:]
    assert len((await scene.batch()).attempts) == 2
    assert await store.targets_to_post(scene.run.id, now=clock.now()) == []
    assert await scene.intend(target=due[0][0]) is Idle.NOTHING_DUE


async def test_a_batch_is_of_one_run_and_target(store: TaskStore, clock: ManualClock) -> None:
    """Tasks of two endpoints in one call would be refused; of two runs, charged to the wrong."""
    scene = await begin(store, clock, targets=[CLAUDE, GEMINI])
    other = await begin(store, clock, fresh=1, targets=[CLAUDE, GEMINI])
    for each in (scene, other):
        await each.load([row(n, targets=[CLAUDE, GEMINI]) for n in (1, 2)])
    assert len((await scene.batch()).attempts) == 2
    assert await scene.states() == {State.PENDING: 2, State.POSTING: 2}
    assert await other.states() == {State.PENDING: 4}


# --- ceilings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "posted"), [(3 * RESERVE, 3), (3 * RESERVE - 1, 2), (RESERVE, 1)]
)
async def test_a_budget_is_kept_to_the_nano_dollar(scene: Scene, budget: int, posted: int) -> None:
    """What a person allowed is a promise, and the last intent is where it would be broken."""
    await scene.load(numbered(5))
    batch = await scene.intend(ceiling=Ceiling(budget=budget))
    assert isinstance(batch, Batch)
    assert len(batch.attempts) == posted
    assert await scene.intend(ceiling=Ceiling(budget=budget)) is Idle.BUDGET


async def test_a_budget_counts_what_is_charged_reserved_and_at_risk(scene: Scene) -> None:
    """Money that may still be taken is spent until the opposite is known."""
    await scene.load(numbered(6))
    await scene.complete(1)
    await scene.post(1, how=lost)
    await scene.post(1)
    spent = PRICE + RESERVE + RESERVE
    assert (await scene.status()).money == Money(
        charged=PRICE,
        at_risk=RESERVE,
        reserved=RESERVE,
        advanced=2 * ADVANCED,
        refunded=ADVANCED - PRICE,
    )
    short = Ceiling(budget=spent + RESERVE - 1)
    assert await scene.intend(ceiling=short) is Idle.BUDGET
    exact = await scene.intend(ceiling=Ceiling(budget=spent + RESERVE))
    assert isinstance(exact, Batch)
    assert len(exact.attempts) == 1


async def test_a_hold_waits_for_answers_and_a_budget_does_not(scene: Scene) -> None:
    """`max_hold_usd` posts in waves: answers free what they held."""
    await scene.load(numbered(3))
    hold = Ceiling(hold=2 * RESERVE)
    batch = await scene.intend(ceiling=hold)
    assert isinstance(batch, Batch)
    assert len(batch.attempts) == 2
    await scene.settle(batch, accepted)
    assert await scene.intend(ceiling=hold) is Idle.HOLD
    (first, *_) = await scene.take()
    await scene.book(answered(first))
    after = await scene.intend(ceiling=hold)
    assert isinstance(after, Batch)
    assert len(after.attempts) == 1


async def test_a_reached_ceiling_is_not_told_when_nothing_is_left_to_post(scene: Scene) -> None:
    """Exit code 4 (money) after all was asked would send people to raise a budget for nothing."""
    await scene.load(numbered(1))
    (target, _), *_ = await scene.store.targets_to_post(scene.run.id, now=scene.clock.now())
    await scene.complete()
    assert await scene.intend(target=target, ceiling=Ceiling(budget=0)) is Idle.NOTHING_DUE


# --- the outcome ----------------------------------------------------------------------------------


async def test_each_task_comes_out_as_its_own_outcome_says(scene: Scene) -> None:
    """One refused task among a hundred fails alone (F57)."""
    await scene.load(numbered(4))
    batch = await scene.batch()
    how: list[Callable[[Attempt], Outcome]] = [accepted, refused, not_taken, lost]
    kinds = dict(zip(batch.attempts, how, strict=True))
    await scene.settle(batch, lambda attempt: kinds[attempt](attempt))
    status = await scene.status()
    assert {state: n for state, n in status.states.items() if n} == {
        State.POSTED: 1,
        State.FAILED: 1,
        State.PENDING: 1,
        State.UNKNOWN: 1,
    }
    assert status.reasons[State.FAILED, "refused"] == 1
    assert status.money == Money(reserved=RESERVE, at_risk=RESERVE, advanced=ADVANCED)


async def test_outcomes_are_matched_by_tag_in_any_order(scene: Scene) -> None:
    """The API may answer in another order, and with tasks that are not ours (F62)."""
    await scene.load(numbered(3))
    batch = await scene.batch()
    first, second, third = batch.attempts
    foreign = replace(accepted(first), tag="somebody else's")
    await scene.store.settle_batch(
        batch,
        [lost(third), foreign, accepted(first), refused(second)],
        outcome="answered",
        code=20000,
        message=None,
        now=scene.clock.now(),
    )
    states = [line.values["state"] for line in await scene.lines()]
    assert states == ["posted", "failed", "unknown"]


async def test_an_attempt_without_an_outcome_is_in_doubt(scene: Scene) -> None:
    """Silence is no evidence that nothing was taken."""
    await scene.load(numbered(2))
    batch = await scene.batch()
    await scene.store.settle_batch(
        batch,
        [accepted(batch.attempts[0])],
        outcome="answered",
        code=20000,
        message=None,
        now=scene.clock.now(),
    )
    assert await scene.states() == {State.POSTED: 1, State.UNKNOWN: 1}
    assert (await scene.status()).money.at_risk == RESERVE


@pytest.mark.parametrize("how", [accepted, refused, not_taken, lost])
async def test_an_outcome_is_booked_once(scene: Scene, how: Callable[[Attempt], Outcome]) -> None:
    """The answer debt is saved again and again until it is known to be saved."""
    await scene.load(numbered(2))
    batch = await scene.post(how=how)
    before = await scene.status()
    for second in (how, accepted, not_taken):
        with pytest.raises(AttemptOver):
            await scene.settle(batch, second)
    assert await scene.status() == before


async def test_a_late_outcome_does_not_touch_the_next_attempt(scene: Scene) -> None:
    """A process thought dead wakes up with a reply for an attempt that was put back since."""
    await scene.load(numbered(1))
    old = await scene.post(how=lambda a: not_taken(a, wait_s=0))
    new = await scene.batch()
    assert task_ids(old) == task_ids(new)
    before = await scene.status()
    with pytest.raises(AttemptOver):
        await scene.settle(old, accepted)
    assert await scene.status() == before
    await scene.settle(new, accepted)


async def test_one_stale_attempt_leaves_the_whole_batch_unbooked(scene: Scene) -> None:
    """A batch booked by half would hide that two processes worked on it."""
    await scene.load(numbered(2))
    batch = await scene.batch()
    half = replace(batch, attempts=batch.attempts[:1])
    await scene.settle(half, accepted)
    before = await scene.status()
    with pytest.raises(AttemptOver):
        await scene.settle(batch, accepted)
    assert await scene.status() == before


async def test_a_task_not_taken_is_due_again_after_its_wait(scene: Scene) -> None:
    """The wait is kept by the store: it goes on across starts."""
    await scene.load(numbered(1))
    await scene.post(how=lambda a: not_taken(a, wait_s=90.5))
    again = scene.clock.now() + timedelta(seconds=90.5)
    assert (await scene.status()).next_due_at == again
    scene.clock.advance(timedelta(seconds=90.4))
    assert await scene.intend() is Idle.NOTHING_DUE
    scene.clock.advance(timedelta(seconds=0.1))
    assert [attempt.number for attempt in (await scene.batch()).attempts] == [2]


async def test_a_task_not_taken_costs_nothing_and_uses_no_try(scene: Scene) -> None:
    """A network that was down for an hour must not use up what the job allows for failures."""
    await scene.load(numbered(1))
    for _ in range(5):
        await scene.post(how=not_taken)
        scene.clock.advance(MINUTE)
    assert (await scene.status()).money == Money()
    await scene.post()
    assert [task.tries for task in await scene.take()] == [0]


@pytest.mark.parametrize(
    ("reported", "advanced"),
    [
        (None, ADVANCE + BASE_PRICE_STANDARD),
        (0, ADVANCE + BASE_PRICE_STANDARD),
        (10_200_001, 10_200_001),
    ],
)
async def test_the_advance_is_what_the_reply_says_else_what_the_price_list_says(
    scene: Scene, reported: int | None, advanced: int
) -> None:
    """Vendor examples print 0 where money was taken."""
    await scene.load(numbered(1))
    await scene.post(how=lambda a: accepted(a, reported))
    assert (await scene.status()).money == Money(reserved=RESERVE, advanced=advanced)


# --- a process that died --------------------------------------------------------------------------


async def test_what_a_dead_process_was_posting_is_in_doubt_with_its_money(
    open_store: OpenStore, clock: ManualClock
) -> None:
    """It may have been sent (F4): never back to pending, and nobody posts it again."""
    async with open_store() as store:
        scene = await begin(store, clock)
        await scene.load(numbered(3))
        dead = await scene.batch(2)
    # A server may still hold the connection for a moment.
    clock.advance(2 * MINUTE)
    async with open_store() as store:
        scene = await begin(store, clock)
        status = await scene.status()
        assert {state: n for state, n in status.states.items() if n} == {
            State.UNKNOWN: 2,
            State.PENDING: 1,
        }
        assert status.money == Money(at_risk=2 * RESERVE)
        assert set(task_ids(await scene.batch())).isdisjoint(task_ids(dead))


async def test_what_a_dead_process_was_asking_for_is_asked_for_again(
    open_store: OpenStore, clock: ManualClock
) -> None:
    """A lease ends with its holder, not ten minutes later."""
    async with open_store() as store:
        scene = await begin(store, clock)
        await scene.load(numbered(2))
        await scene.post()
        taken = await scene.take()
        again = await store.take_posted(5, worker=scene.worker, now=clock.now(), lease=MINUTE)
        assert (len(taken), again) == (2, [])
    async with open_store() as store:
        scene = await begin(store, clock)
        again = await store.take_posted(5, worker=scene.worker, now=clock.now(), lease=MINUTE)
        assert again == taken


async def test_a_second_start_changes_nothing_more(scene: Scene) -> None:
    """Doubts of one death are not multiplied by the next."""
    await scene.load(numbered(2))
    await scene.batch()
    await begin(scene.store, scene.clock)
    before = await scene.status()
    await begin(scene.store, scene.clock)
    assert await scene.status() == before


# --- whose store it is ----------------------------------------------------------------------------


async def test_a_store_belongs_to_one_account(scene: Scene) -> None:
    """Ids of two accounts in one store could not be told apart, and cannot be fetched."""
    bind = scene.store.bind_account
    mine = {"gateway": "dataforseo", "base_url": "https://api.test", "login": "me@example.org"}
    assert await bind(**mine) == scene.account
    with pytest.raises(WrongInput, match=r"belongs to https://api\.test, not to https://other"):
        await bind(**mine | {"base_url": "https://other.test"})
    with pytest.raises(WrongInput, match="another login") as refusal:
        await bind(**mine | {"login": "you@example.org"})
    assert "example.org" not in "".join(refusal.value.lines())
    assert await bind(**mine | {"gateway": "aisa"}) != scene.account


@pytest.mark.parametrize("all_of_them", [False, True])
async def test_a_task_whose_request_is_gone_stops_the_batch_before_anything_is_moved(
    place: Place, clock: ManualClock, all_of_them: bool
) -> None:
    """A damaged store: what would be posted without an attempt, nobody would ever look for."""
    async with place.open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(3))
        place.damage("DELETE FROM payloads" + ("" if all_of_them else " WHERE task_id = 1"))
        with pytest.raises(RequestGone, match="task 1 is queued, and its request is not in the"):
            await scene.post()
        assert await scene.states() == {State.PENDING: 3}
    assert place.read("SELECT count(*) FROM batches") == [(0,)]


async def test_only_what_the_api_has_failed_is_posted_when_retries_are_asked_for(
    scene: Scene,
) -> None:
    """An earlier run's failures go on being asked; its other tasks are for a person."""
    await scene.load(numbered(3))
    await scene.post(1)
    now = scene.clock.now()
    await scene.book(*(failed(each, cost=0, again_at=now) for each in await scene.take()))
    store, run = scene.store, scene.run.id
    assert await store.to_retry(run) == 1
    assert len(await store.targets_to_post(run, now=now, retries=True)) == 1
    wanted = (await store.targets_to_post(run, now=now))[0][0]
    batch = await scene.intend(target=wanted, retries=True)
    assert isinstance(batch, Batch)
    assert [attempt.number for attempt in batch.attempts] == [2]
    assert await scene.intend(target=wanted, retries=True) is Idle.NOTHING_DUE
    assert await store.targets_to_post(run, now=now, retries=True) == []
    assert await store.waiting_to_post(run, now=now, retries=True) == {}
    assert await store.to_retry(run) == 0
    assert len(await store.waiting_to_post(run, now=now)) == 1

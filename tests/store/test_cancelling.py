"""Dropping what was not sent: all of it, none of the rest, whatever the engine does meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from runner.lifecycle import Event, State, after
from runner.rows import Attempt
from runner.store.control import Control
from runner.store.listing import Selection
from runner.store.postgres import controlling as on_postgres
from runner.store.protocol import TaskStore
from runner.store.sqlite import controlling as on_sqlite
from runner.store.values import Decision, Idle, RetryFilter
from runner.task import Outcome, RemoteId
from tests.store.steps import (
    CLAUDE,
    GEMINI,
    HOUR,
    Scene,
    accepted,
    answered,
    begin,
    failed,
    lost,
    not_taken,
    numbered,
    row,
)
from tests.support.clock import ManualClock

HOW: Final[dict[str, Callable[[Attempt], Outcome]]] = {"absent": lost, "not taken": not_taken}


def of(scene: Scene) -> Selection:
    """The tasks of the scene's run."""
    return Selection(runs=frozenset({scene.run.id}))


async def test_only_what_was_not_sent_is_dropped(scene: Scene) -> None:
    """What is at the API, or may be, is paid for and stays what it was."""
    await scene.load(numbered(6))
    await scene.post(1, how=lost)
    await scene.complete(1)
    await scene.post(1)
    await scene.batch(1)
    assert await scene.store.cancel(of(scene)) == 2
    assert await scene.states() == {
        State.UNKNOWN: 1,
        State.COMPLETED: 1,
        State.POSTED: 1,
        State.POSTING: 1,
        after(State.PENDING, Event.CANCELLED): 2,
    }
    assert await scene.intend() is Idle.NOTHING_DUE


async def test_a_cancelled_run_can_finish(scene: Scene) -> None:
    """Nothing waits any more, and nothing counts as failed."""
    await scene.load(numbered(3))
    await scene.post(1)
    await scene.store.cancel(of(scene))
    await scene.book(*map(answered, await scene.take()))
    status = await scene.status()
    assert {s: n for s, n in status.states.items() if n} == {
        State.COMPLETED: 1,
        State.CANCELLED: 2,
    }
    assert status.next_due_at is None


async def test_cancelling_costs_nothing_and_loses_no_money(scene: Scene) -> None:
    """A task that failed before keeps what its first attempt cost."""
    await scene.load(numbered(1))
    await scene.post()
    (posted,) = await scene.take()
    await scene.book(failed(posted, cost=700, again_at=scene.clock.now() + HOUR))
    before = (await scene.status()).money
    assert await scene.store.cancel(of(scene)) == 1
    assert (await scene.status()).money == before


async def test_cancelled_is_for_good(scene: Scene) -> None:
    """Neither a retry, nor the same file again, nor an edit brings it back."""
    await scene.load(numbered(2))
    await scene.store.cancel(of(scene))
    now = scene.clock.now()
    assert not await scene.store.retry(scene.run.id, RetryFilter(pay_again=True), now=now)
    await scene.load(numbered(2))
    await scene.load([row(1, "question 1", temperature=0.9)])
    assert (await scene.status()).changed == 0, "nobody is asked about what is dropped"
    await scene.store.decide_changes(scene.run.id, Decision.ASK, now=now)
    assert await scene.states() == {State.CANCELLED: 2}


async def test_an_edit_that_waited_for_a_decision_goes_with_its_task(scene: Scene) -> None:
    """Or the run would ask for ever what to do about a task that is gone."""
    await scene.load([row(1, "a", key="k", temperature=0.1)])
    edited = [row(1, "a", key="k", temperature=0.9)]
    await scene.load(edited)
    assert await scene.store.cancel(of(scene)) == 1
    assert (await scene.status()).changed == 0
    await scene.load(edited, digest="once more")
    assert (await scene.status()).changed == 0


async def test_selectors_say_which(store: TaskStore, clock: ManualClock) -> None:
    """`cancel r42 --provider gemini` leaves the other half alone."""
    scene = await begin(store, clock, targets=(CLAUDE, GEMINI))
    other = await begin(store, clock, job="other")
    await scene.load([row(n, targets=(CLAUDE, GEMINI)) for n in (1, 2)])
    await other.load(numbered(1))
    assert await store.cancel(replace(of(scene), providers=frozenset({"gemini"}))) == 2
    assert await store.cancel(replace(of(scene), states=frozenset({State.FAILED}))) == 2
    assert await scene.states() == {State.CANCELLED: 4}
    assert await other.states() == {State.PENDING: 1}


@pytest.mark.parametrize("limit", [1, 3, 4, 7])
async def test_a_limit_holds_across_chunks(
    scene: Scene, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those with the lowest numbers, and no more than asked."""
    for module in (on_sqlite, on_postgres):
        monkeypatch.setattr(module, "CANCELLED_AT_ONCE", 2)
    await scene.load(numbered(6))
    assert await scene.store.cancel(replace(of(scene), limit=limit)) == min(limit, 6)
    left = [task.id async for page in scene.store.tasks(_pending(scene)) for task in page]
    assert left == list(range(limit + 1, 7))


def _pending(scene: Scene) -> Selection:
    return replace(of(scene), states=frozenset({State.PENDING}))


async def test_what_was_posted_between_two_chunks_is_left_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine is at work while a person cancels."""
    for module in (on_sqlite, on_postgres):
        monkeypatch.setattr(module, "CANCELLED_AT_ONCE", 2)
    await scene.load(numbered(6))
    slept = scene.clock.sleep

    async def post_meanwhile(seconds: float) -> None:
        if (await scene.states()).get(State.POSTED, 0) == 0:
            await scene.post(3)
        await slept(seconds)

    monkeypatch.setattr(scene.clock, "sleep", post_meanwhile)
    control: Control = scene.store
    cancelled = await control.cancel(of(scene))
    assert await scene.states() == {State.POSTED: 3, State.CANCELLED: cancelled}
    assert cancelled == 3


async def test_a_task_taken_between_reading_and_writing_is_not_cancelled(scene: Scene) -> None:
    """The write itself looks whether it is pending still (compare-and-set)."""
    await scene.load(numbered(3))
    batch = await scene.batch(2)
    assert await scene.store.cancel(of(scene)) == 1
    await scene.settle(batch, lost)
    assert await scene.states() == {State.UNKNOWN: 2, State.CANCELLED: 1}


@pytest.mark.parametrize("how", ["absent", "not taken", "try again"])
async def test_what_is_out_when_it_is_cancelled_is_not_posted_anew(scene: Scene, how: str) -> None:
    """Who cancels has said that nothing more is to be paid for, whatever becomes of what is out."""
    await scene.load(numbered(2))
    batch = await scene.batch(1)
    now = scene.clock.now()
    assert await scene.store.cancel(of(scene)) == 1
    await scene.settle(batch, HOW.get(how, accepted))
    if how == "absent":
        (attempt,) = batch.attempts
        assert await scene.store.prove_absent([(attempt.task, attempt.number)], now=now) == 1
    if how == "try again":
        await scene.book(*(failed(each, cost=700, again_at=now) for each in await scene.take()))
    assert await scene.states() == {State.CANCELLED: 2}
    assert await scene.intend() is Idle.NOTHING_DUE
    status = await scene.status()
    assert status.next_due_at is None
    assert status.money.charged == (700 if how == "try again" else 0)
    assert (status.money.reserved, status.money.at_risk) == (0, 0)


async def test_an_answer_to_what_was_cancelled_while_it_was_out_is_kept(scene: Scene) -> None:
    """It is paid for."""
    await scene.load(numbered(1))
    await scene.post()
    assert await scene.store.cancel(of(scene)) == 0
    await scene.book(*map(answered, await scene.take()))
    assert await scene.states() == {State.COMPLETED: 1}


async def test_a_person_who_asks_again_takes_the_cancel_back(scene: Scene) -> None:
    """The later word counts, for the tries that come after it, too."""
    await scene.load(numbered(1))
    await scene.post()
    await scene.store.cancel(of(scene))
    await scene.book(*(failed(each, cost=0) for each in await scene.take()))
    now = scene.clock.now()
    assert await scene.store.retry(scene.run.id, RetryFilter(), now=now) == 1
    await scene.post()
    await scene.book(*(failed(each, cost=0, again_at=now) for each in await scene.take()))
    assert await scene.states() == {State.PENDING: 1}


async def test_a_quarantined_task_that_is_cancelled_is_not_posted_anew_either(
    scene: Scene,
) -> None:
    """Its tag may be found after all, and the API may report a failure of it then."""
    await scene.load(numbered(1))
    await scene.post(how=lost)
    now, number = scene.clock.now(), 1
    (task,) = [line.id async for page in scene.store.tasks(of(scene)) for line in page]
    await scene.store.quarantine([(task, number)], message="no proof", now=now)
    await scene.store.cancel(of(scene))
    assert await scene.store.adopt(task, number, RemoteId("found by hand"), now=now)
    await scene.book(*(failed(each, cost=0, again_at=now) for each in await scene.take()))
    assert await scene.states() == {State.CANCELLED: 1}


@pytest.mark.parametrize(
    "queued", [Selection(limit=5), Selection(states=frozenset({State.PENDING}))]
)
async def test_who_means_what_is_queued_leaves_what_is_out_alone(
    scene: Scene, queued: Selection
) -> None:
    """A number of tasks, or a state, is of those that wait."""
    await scene.load(numbered(1))
    batch = await scene.batch()
    which = replace(queued, runs=frozenset({scene.run.id}))
    assert await scene.store.cancel(which) == 0
    await scene.settle(batch, not_taken)
    assert await scene.states() == {State.PENDING: 1}

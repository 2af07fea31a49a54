"""What a person may say of a quarantined task, and what becomes of its money."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import pytest

from runner.errors import WrongInput
from runner.lifecycle import Reason, State
from runner.rows import Batch
from runner.store.amounts import Money
from runner.store.listing import Selection
from runner.store.reconciling import IncidentKind, Sighting
from runner.store.values import RetryFilter
from runner.task import RemoteId
from tests.store import steps
from tests.store.places import AnyStore
from tests.store.steps import OpenStore
from tests.support.clock import ManualClock


@dataclass
class Doubtful:
    """A store with three quarantined tasks, a posted one and one in doubt."""

    store: AnyStore
    clock: ManualClock
    scene: steps.Scene
    batch: Batch

    @property
    def attempts(self) -> list[tuple[int, int]]:
        return [(each.task, each.number) for each in self.batch.attempts]

    async def money(self) -> Money:
        return (await self.scene.status()).money

    async def see(self, tag: str, remote_id: str) -> None:
        seen = [Sighting(tag=tag, remote_id=RemoteId(remote_id))]
        await self.store.found(seen, now=self.clock.now())


@pytest.fixture
async def doubtful(open_store: OpenStore, clock: ManualClock) -> AsyncIterator[Doubtful]:
    async with open_store() as opened:
        store = cast(AnyStore, opened)
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(5))
        batch = await scene.post(3, how=steps.lost)
        made = Doubtful(store, clock, scene, batch)
        await store.quarantine(made.attempts, message="no proof", now=clock.now())
        await scene.post(1)
        await scene.post(1, how=steps.lost)
        yield made
        assert await store.verify() == []


async def test_what_is_held_is_told_with_its_tag_and_its_money(doubtful: Doubtful) -> None:
    """It is what a person looks for at the API, and what is at stake."""
    held = await doubtful.store.held(Selection())
    assert [(each.task, each.attempt) for each in held] == doubtful.attempts
    assert [each.tag for each in held] == [each.tag for each in doubtful.batch.attempts]
    assert {each.at_risk for each in held} == {steps.RESERVE}
    assert len(await doubtful.store.held(Selection(limit=2))) == 2
    assert await doubtful.store.held(Selection(states=frozenset({State.POSTED}))) == held
    assert await doubtful.store.held(Selection(tasks=frozenset({4, 5}))) == []


async def test_an_adopted_task_is_asked_for_by_the_id_that_was_given(doubtful: Doubtful) -> None:
    """Its money is booked as for any posted task, and no more is at risk for it."""
    (task, number), *_ = doubtful.attempts
    before = await doubtful.money()
    now = doubtful.clock.now()
    assert await doubtful.store.adopt(task, number, RemoteId("by-hand"), now=now)
    after = await doubtful.money()
    assert after.at_risk == before.at_risk - steps.RESERVE
    assert after.reserved == before.reserved + steps.RESERVE
    assert after.advanced == before.advanced + steps.ADVANCED
    assert await doubtful.store.verify() == []
    taken = {each.task: each for each in await doubtful.scene.take()}
    assert taken[doubtful.batch.attempts[0].task].remote_id == "by-hand"
    await doubtful.scene.book(steps.answered(taken[doubtful.batch.attempts[0].task]))
    assert (await doubtful.scene.states())[State.COMPLETED] == 1


async def test_an_id_that_another_attempt_has_is_refused(doubtful: Doubtful) -> None:
    """Two tasks would get one answer, and one of them would be somebody else's."""
    (task, number), *_ = doubtful.attempts
    detail = await doubtful.store.task(4)
    assert detail is not None
    known = detail.attempts[0].remote_id
    assert known is not None
    with pytest.raises(WrongInput, match="attempt 1 of task 4"):
        await doubtful.store.adopt(task, number, RemoteId(known), now=doubtful.clock.now())
    assert (await doubtful.scene.states())[State.QUARANTINED] == 3


async def test_an_id_that_an_incident_is_about_is_refused(doubtful: Doubtful) -> None:
    """The listing showed it under another attempt's tag."""
    (task, number), *_ = doubtful.attempts
    detail = await doubtful.store.task(4)
    assert detail is not None
    await doubtful.see(detail.attempts[0].tag, "second")
    with pytest.raises(WrongInput, match="incident 1"):
        await doubtful.store.adopt(task, number, RemoteId("second"), now=doubtful.clock.now())


async def test_what_is_said_to_be_absent_is_asked_anew_with_nothing_at_risk(
    doubtful: Doubtful,
) -> None:
    """A new attempt, a new tag, a new charge; the old one is on record."""
    before = await doubtful.money()
    now = doubtful.clock.now()
    assert await doubtful.store.ask_absent(doubtful.attempts, now=now) == 3
    assert (await doubtful.money()).at_risk == before.at_risk - 3 * steps.RESERVE
    batch = await doubtful.scene.post()
    assert [each.number for each in batch.attempts] == [2, 2, 2]
    assert {each.tag for each in batch.attempts}.isdisjoint(
        each.tag for each in doubtful.batch.attempts
    )


async def test_what_was_there_after_all_is_told_with_its_amount(doubtful: Doubtful) -> None:
    """A person may be wrong: then it was paid twice, and is not swallowed."""
    await doubtful.store.ask_absent(doubtful.attempts, now=doubtful.clock.now())
    await doubtful.scene.post()
    await doubtful.see(doubtful.batch.attempts[0].tag, "late")
    (incident,) = await doubtful.store.incidents()
    assert (incident.kind, incident.attempt) == (IncidentKind.DOUBLE_CHARGE, 1)
    assert incident.amount == steps.ADVANCED


async def test_what_is_written_off_is_failed_and_its_money_stays_at_risk(
    doubtful: Doubtful,
) -> None:
    """Giving up is no knowledge; only `retry --pay-again` asks it once more."""
    before = await doubtful.money()
    now, run = doubtful.clock.now(), doubtful.scene.run.id
    assert await doubtful.store.write_off(doubtful.attempts[:2], now=now) == 2
    assert await doubtful.money() == before
    status = await doubtful.scene.status()
    assert status.reasons[State.FAILED, Reason.WRITTEN_OFF] == 2
    assert status.states[State.QUARANTINED] == 1
    assert await doubtful.store.retriable(run, RetryFilter()) == {}
    assert await doubtful.store.retry(run, RetryFilter(pay_again=True), now=now) == 2


async def test_what_was_seen_while_it_was_written_off_is_not_adopted_later(
    doubtful: Doubtful,
) -> None:
    """It was taken for a charge of its own then: adopted, it would be booked twice."""
    now, (first, *_) = doubtful.clock.now(), doubtful.batch.attempts
    await doubtful.store.write_off(doubtful.attempts[:1], now=now)
    await doubtful.see(first.tag, "there")
    assert len(await doubtful.store.incidents()) == 1
    which = RetryFilter(pay_again=True)
    await doubtful.store.retry(doubtful.scene.run.id, which, now=now)
    await doubtful.see(first.tag, "there")
    assert len(await doubtful.store.incidents()) == 1
    assert (await doubtful.scene.states())[State.PENDING] == 1


@pytest.mark.parametrize("state", [State.POSTED, State.UNKNOWN, State.PENDING])
async def test_only_what_is_quarantined_at_that_attempt_is_decided_about(
    doubtful: Doubtful, state: State
) -> None:
    """An engine may have found it meanwhile; what is unknown the reconciler decides."""
    store, now = doubtful.store, doubtful.clock.now()
    attempts = [(task, number) for task, number in [(4, 1), (5, 1)]]
    if state is State.PENDING:
        await store.ask_absent(doubtful.attempts, now=now)
        attempts = doubtful.attempts
    stale = [(task, 7) for task, _ in doubtful.attempts]
    for each in (attempts, stale):
        assert await store.ask_absent(each, now=now) == 0
        assert await store.write_off(each, now=now) == 0
        assert not await store.adopt(*each[0], RemoteId("by-hand"), now=now)

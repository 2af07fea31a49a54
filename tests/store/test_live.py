"""Live calls: the answer comes with the call or never, and what was lost stays on the books."""

from dataclasses import dataclass, replace
from datetime import datetime

import pytest
from msgspec.structs import replace as altered

from runner.lifecycle import Reason, State
from runner.money import Evidence
from runner.rows import Batch
from runner.store.amounts import Money
from runner.store.endings import Answered, AnswerLost, LiveEnding, RemotelyFailed
from runner.store.protocol import TaskStore
from runner.store.reconciling import Sighting
from runner.store.values import AttemptOver, RetryFilter
from runner.task import (
    Endpoint,
    Gateway,
    Method,
    NotTaken,
    Provider,
    Refused,
    RemoteId,
    Tag,
    Target,
    TaskId,
)
from tests.store.steps import ANSWER, CLAUDE, HOUR, MINUTE, OpenStore, Scene, begin, numbered
from tests.support.clock import ManualClock

PERPLEXITY = Target(
    name="perplexity",
    endpoint=Endpoint(provider=Provider.PERPLEXITY, method=Method.LIVE),
    model="sonar",
)
RESERVE = 50_000_000
CHARGE = 12_345_678
ID = RemoteId("11211234-1535-0066-0000-0123456789ab")


@dataclass(slots=True)
class Live:
    """A run of one Live target and one task."""

    scene: Scene

    async def call(self) -> Batch:
        store, scene = self.scene.store, self.scene
        due = await store.targets_to_post(scene.run.id, now=scene.clock.now(), method=Method.LIVE)
        batch = await scene.intend(1, target=due[0][0])
        assert isinstance(batch, Batch)
        return batch

    async def settle(self, batch: Batch, ending: LiveEnding, *, remote_id: RemoteId = ID) -> None:
        await self.scene.store.settle_live(
            batch,
            ending,
            remote_id=remote_id if isinstance(ending, Answered | RemotelyFailed) else None,
            outcome="answered",
            code=20000,
            message=None,
            now=self.scene.clock.now(),
        )

    async def resend(self, resend: bool) -> None:
        """What the job now says of lost answers."""
        await self.scene.store.begin_run(
            job="sky",
            key="",
            fresh=0,
            api="live",
            key_columns=["prompt"],
            targets=[(PERPLEXITY, RESERVE)],
            live_resend=resend,
            now=self.scene.clock.now(),
        )

    async def sound(self) -> bool:
        return not await self.scene.store.verify()


async def prepared(store: TaskStore, clock: ManualClock, *, tries: int = 3) -> Live:
    scene = await begin(store, clock, targets=(PERPLEXITY,), reserve=RESERVE, tries=tries)
    (line,) = numbered(1)
    ask = altered(line.asks[0], target=PERPLEXITY.name)
    await scene.load([altered(line, asks=(ask,))])
    return Live(scene)


@pytest.fixture
async def live(store: TaskStore, clock: ManualClock) -> Live:
    return await prepared(store, clock)


def answered(batch: Batch) -> Answered:
    (attempt,) = batch.attempts
    return Answered(
        task=attempt.task,
        attempt=attempt.number,
        answer=ANSWER,
        parse_error=None,
        reply=b"the reply",
        charge=CHARGE,
        evidence=Evidence.REPORTED,
    )


def lost(batch: Batch, again_at: datetime, *, cost: int | None = None) -> AnswerLost:
    (attempt,) = batch.attempts
    return AnswerLost(
        task=attempt.task,
        attempt=attempt.number,
        code=None,
        message="no reply",
        reply=b"",
        again_at=again_at,
        cost=cost,
    )


def failed(batch: Batch, again_at: datetime | None, cost: int | None) -> RemotelyFailed:
    (attempt,) = batch.attempts
    return RemotelyFailed(
        task=attempt.task,
        attempt=attempt.number,
        code=40103,
        message="failed",
        reason=Reason.REMOTE,
        reply=b"the reply",
        again_at=again_at,
        cost=cost,
    )


async def test_an_answer_and_its_reported_cost_are_booked_together(live: Live) -> None:
    """The reply is the only copy; a crash between the two would lose one of them."""
    batch = await live.call()
    assert (await live.scene.status()).money == Money(reserved=RESERVE)
    await live.settle(batch, answered(batch))
    status = await live.scene.status()
    assert status.states[State.COMPLETED] == 1
    assert status.money == Money(charged=CHARGE)
    (line,) = await live.scene.lines()
    assert line.values["answer"] == ANSWER.text
    detail = await live.scene.store.task(batch.attempts[0].task)
    assert detail is not None
    assert detail.attempts[-1].evidence is Evidence.REPORTED
    assert await live.sound()


async def test_a_lost_answer_keeps_its_money_at_risk(live: Live) -> None:
    """Perhaps it was paid: it must be seen, and not be asked again by itself."""
    batch = await live.call()
    await live.settle(batch, lost(batch, live.scene.clock.now()))
    status = await live.scene.status()
    assert status.reasons == {(State.FAILED, Reason.ANSWER_LOST): 1}
    assert status.money == Money(at_risk=RESERVE)
    assert await live.sound()


async def test_a_lost_answer_whose_cost_is_known_is_charged(live: Live) -> None:
    """What the reply states is no risk any more."""
    batch = await live.call()
    await live.settle(batch, lost(batch, live.scene.clock.now(), cost=CHARGE))
    assert (await live.scene.status()).money == Money(charged=CHARGE)


async def test_only_paying_again_asks_for_a_lost_answer(live: Live) -> None:
    """The default `retry` never pays twice in silence."""
    batch = await live.call()
    await live.settle(batch, lost(batch, live.scene.clock.now()))
    store, run, now = live.scene.store, live.scene.run.id, live.scene.clock.now()
    assert await store.retry(run, RetryFilter(), now=now) == 0
    assert await store.retry(run, RetryFilter(pay_again=True), now=now) == 1
    again = await live.call()
    await live.settle(again, answered(again))
    status = await live.scene.status()
    assert again.attempts[0].number == 2
    assert status.money == Money(charged=CHARGE, at_risk=RESERVE)
    assert await live.sound()


async def test_a_lost_answer_is_asked_again_where_the_run_says_so_while_tries_last(
    live: Live,
) -> None:
    """live_resend pays again, but not for ever."""
    await live.resend(True)
    later = live.scene.clock.now() + MINUTE
    for number in (1, 2, 3):
        batch = await live.call()
        assert batch.attempts[0].number == number
        await live.settle(batch, lost(batch, later))
        live.scene.clock.advance(2 * MINUTE)
    status = await live.scene.status()
    assert status.reasons == {(State.FAILED, Reason.ANSWER_LOST): 1}
    assert status.money == Money(at_risk=3 * RESERVE)


@pytest.mark.parametrize(("resend", "state"), [(False, State.FAILED), (True, State.PENDING)])
async def test_the_calls_of_a_killed_process_are_lost_and_never_in_doubt(
    open_store: OpenStore, clock: ManualClock, resend: bool, state: State
) -> None:
    """No listing can bring the answer back, so there is nothing to wait for (F3)."""
    async with open_store() as store:
        live = await prepared(store, clock)
        await live.resend(resend)
        await live.call()
    # A server may still hold the connection for a moment.
    clock.advance(2 * MINUTE)
    async with open_store() as store:
        await store.begin_worker(now=clock.now())
        status = await store.status(live.scene.run.id)
        assert {each: n for each, n in status.states.items() if n} == {state: 1}
        assert status.money == Money(at_risk=RESERVE)
        assert await store.doubts() == []
        assert await store.verify() == []


@pytest.mark.parametrize(
    ("cost", "money"),
    [(0, Money()), (None, Money(at_risk=RESERVE)), (CHARGE, Money(charged=CHARGE))],
)
async def test_a_failure_at_the_api_costs_what_it_states_or_stays_at_risk(
    live: Live, cost: int | None, money: Money
) -> None:
    """Only a stated cost shows that nothing was charged."""
    batch = await live.call()
    await live.settle(batch, failed(batch, None, cost))
    status = await live.scene.status()
    assert status.reasons == {(State.FAILED, Reason.REMOTE): 1}
    assert status.money == money
    assert await live.sound()


async def test_a_failure_is_tried_again_only_while_the_policy_has_tries(
    store: TaskStore, clock: ManualClock
) -> None:
    """tries = 2 is one more attempt, not two."""
    live = await prepared(store, clock, tries=2)
    for state in (State.PENDING, State.FAILED):
        batch = await live.call()
        await live.settle(batch, failed(batch, clock.now(), 0))
        assert await live.scene.states() == {state: 1}


async def test_what_was_not_taken_or_refused_gives_its_reserve_back(live: Live) -> None:
    """Nothing left, or nothing was made of it: there is no money in it."""
    batch = await live.call()
    tag = batch.attempts[0].tag
    await live.settle(batch, NotTaken(tag=tag, why="40202", wait_s=0))
    assert (await live.scene.states(), (await live.scene.status()).money) == (
        {State.PENDING: 1},
        Money(),
    )
    batch = await live.call()
    tag = batch.attempts[0].tag
    await live.settle(batch, Refused(tag=tag, code=40501, message="no"))
    assert (await live.scene.status()).reasons == {(State.FAILED, Reason.REFUSED): 1}
    assert await live.sound()


async def test_a_call_is_settled_once(live: Live) -> None:
    """A reply that is booked twice would be charged twice."""
    batch = await live.call()
    await live.settle(batch, answered(batch))
    for again in (answered(batch), lost(batch, live.scene.clock.now())):
        with pytest.raises(AttemptOver):
            await live.settle(batch, again)
    assert (await live.scene.status()).money == Money(charged=CHARGE)


async def test_a_listed_live_task_is_not_taken_for_one_to_fetch(live: Live) -> None:
    """Should the listing show it, its answer is still nowhere: no adoption, no false incident."""
    await live.resend(True)
    batch = await live.call()
    await live.settle(batch, lost(batch, live.scene.clock.now() + HOUR))
    seen = Sighting(tag=batch.attempts[0].tag, remote_id=ID, cost=CHARGE)
    found = await live.scene.store.found([seen], now=live.scene.clock.now())
    assert (found.adopted, found.incidents) == (frozenset(), 0)
    assert await live.scene.states() == {State.PENDING: 1}


@pytest.mark.parametrize(
    ("cost", "money"),
    [(CHARGE, Money(charged=CHARGE)), (None, Money(at_risk=RESERVE)), (0, Money(at_risk=RESERVE))],
)
@pytest.mark.parametrize("asked_before", [False, True])
async def test_a_live_call_of_a_day_that_was_lost_is_a_lost_answer(
    live: Live, cost: int | None, money: Money, asked_before: bool
) -> None:
    """F28: its answer was in the reply. Asked for by its id, it would stop every later start."""
    store, now = live.scene.store, live.scene.clock.now()
    batch = await live.call()
    first = batch.attempts[0].tag
    if asked_before:
        await live.settle(batch, failed(batch, None, 0))
    else:
        await live.settle(batch, NotTaken(tag=first, why="40202", wait_s=0))
    tag = Tag.parse(first)
    assert tag is not None
    # Two later, and of a row that has another number since it was loaded anew.
    later = str(replace(tag, task=TaskId(tag.task + 9), attempt=3))
    seen = [Sighting(tag=later, remote_id=ID, cost=cost, posted_at=now, live=True)]
    # Twice, as a waiting time lies between two listings.
    for adopted in (frozenset({later}), frozenset[str]()):
        found = await store.found(seen, now=now)
        assert (found.adopted, found.incidents) == (adopted, 0)
    status = await live.scene.status()
    assert status.reasons == {(State.FAILED, Reason.ANSWER_LOST): 1}
    assert status.money == money
    taken = await store.take_posted(9, worker=live.scene.worker, now=now + HOUR, lease=MINUTE)
    assert taken == []
    assert await store.retry(live.scene.run.id, RetryFilter(), now=now) == 0
    assert await live.sound()


async def test_a_live_call_of_a_day_that_was_lost_is_asked_again_where_the_run_says_so(
    live: Live,
) -> None:
    """The same as for any other lost answer."""
    await live.resend(True)
    batch = await live.call()
    tag = Tag.parse(batch.attempts[0].tag)
    assert tag is not None
    await live.settle(batch, NotTaken(tag=str(tag), why="40202", wait_s=0))
    seen = [Sighting(tag=str(replace(tag, attempt=2)), remote_id=ID, cost=CHARGE, live=True)]
    await live.scene.store.found(seen, now=live.scene.clock.now())
    assert await live.scene.states() == {State.PENDING: 1}
    assert (await live.call()).attempts[0].number == 3
    assert (await live.scene.status()).money == Money(charged=CHARGE, reserved=RESERVE)
    assert await live.sound()


async def test_each_lane_sees_only_its_own_tasks(store: TaskStore, clock: ManualClock) -> None:
    """A Live task posted by task_post would be refused, or paid the wrong way."""
    aisa = replace(
        CLAUDE,
        name="aisa",
        endpoint=Endpoint(gateway=Gateway.AISA, provider=Provider.CLAUDE, method=Method.LIVE),
    )
    scene = await begin(store, clock, targets=(CLAUDE, aisa))
    (line,) = numbered(1)
    both = tuple(altered(line.asks[0], target=each.name) for each in scene.targets)
    await scene.load([altered(line, asks=both)])
    now = clock.now()
    posted = await store.targets_to_post(scene.run.id, now=now)
    live = await store.targets_to_post(scene.run.id, now=now, method=Method.LIVE)
    assert [each for _, each in posted] == [CLAUDE.endpoint]
    assert [each for _, each in live] == [aisa.endpoint]
    waiting = await store.waiting_to_post(scene.run.id, now=now)
    assert set(waiting) == {CLAUDE.endpoint, aisa.endpoint}
    await store.pause(run=scene.run.id, now=now)
    assert await store.waiting_to_post(scene.run.id, now=now) == {}

"""F34 for Live: a worker that was taken for dead brings the answer that it paid for.

The API keeps no Live answer, so what the worker holds is the only copy there is.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from msgspec.structs import replace as altered

from runner.lifecycle import State
from runner.rows import Batch
from runner.store.amounts import Money
from runner.store.endings import LiveEnding
from runner.store.listing import Selection
from runner.store.protocol import TaskStore
from runner.store.reconciling import IncidentKind
from runner.store.values import AttemptOver, RetryFilter
from runner.store.workers import SILENCE
from runner.task import NotTaken, Refused, RemoteId
from tests.store.places import ServerPlace
from tests.store.steps import ANSWER
from tests.store.test_live import CHARGE, RESERVE, Live, answered, failed, lost, prepared
from tests.support.clock import ManualClock

Ending = Callable[[Batch], LiveEnding]
ANOTHER = RemoteId("11211234-1535-0066-0000-ffffffffffff")


@pytest.fixture
async def elsewhere(dsn: str, clock: ManualClock) -> AsyncIterator[TaskStore]:
    """Another worker's store."""
    async with ServerPlace(dsn).open(clock) as store:
        yield store


@pytest.fixture
async def live(dsn: str, clock: ManualClock) -> AsyncIterator[Live]:
    """The worker that is cut off, with a call open."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(ServerPlace(dsn).open(clock))
        yield await prepared(store, clock)


async def taken_for_dead(live: Live, elsewhere: TaskStore) -> Batch:
    """A call of *live* that another worker has booked as lost."""
    batch = await live.call()
    live.scene.clock.advance(2 * SILENCE)
    await elsewhere.begin_worker(now=live.scene.clock.now())
    assert (await live.scene.status()).money == Money(at_risk=RESERVE)
    return batch


@pytest.mark.parametrize("resend", [False, True])
async def test_its_answer_completes_a_task_that_was_not_asked_again(
    live: Live, elsewhere: TaskStore, resend: bool
) -> None:
    """It is paid: given up, it would be asked, and paid, a second time."""
    await live.resend(resend)
    batch = await taken_for_dead(live, elsewhere)
    expected = State.PENDING if resend else State.FAILED
    assert await live.scene.states() == {expected: 1}
    await live.settle(batch, answered(batch))
    status = await live.scene.status()
    assert (await live.scene.states(), status.money) == (
        {State.COMPLETED: 1},
        Money(charged=CHARGE),
    )
    (line,) = await live.scene.lines()
    assert line.values["answer"] == ANSWER.text
    assert await elsewhere.incidents() == []
    assert await live.sound()
    with pytest.raises(AttemptOver):
        await live.settle(batch, answered(batch))


@pytest.mark.parametrize("ended", [False, True])
async def test_its_answer_stands_beside_that_of_a_task_that_was_asked_again(
    live: Live, elsewhere: TaskStore, ended: bool
) -> None:
    """Paid twice, which is told with its amount; and neither answer is lost."""
    await live.resend(True)
    batch = await taken_for_dead(live, elsewhere)
    again = await live.call()
    if ended:
        await live.settle(again, answered(again), remote_id=ANOTHER)
    await live.settle(batch, answered(batch))
    if not ended:
        await live.settle(again, answered(again), remote_id=ANOTHER)
    (incident,) = await elsewhere.incidents()
    assert (incident.kind, incident.attempt) == (IncidentKind.DOUBLE_CHARGE, 1)
    assert (incident.amount, incident.tag) == (CHARGE, batch.attempts[0].tag)
    status = await live.scene.status()
    assert await live.scene.states() == {State.COMPLETED: 1}
    assert status.money.charged == 2 * CHARGE
    assert status.money.at_risk == 0
    assert await elsewhere.reply(batch.attempts[0].task, 1) == b"the reply"
    assert await live.sound()


@pytest.mark.parametrize(
    ("ending", "state", "money"),
    [
        (lambda batch: failed(batch, None, 0), State.FAILED, Money()),
        (lambda batch: failed(batch, None, CHARGE), State.FAILED, Money(charged=CHARGE)),
        (lambda batch: failed(batch, None, None), State.FAILED, Money(at_risk=RESERVE)),
        (
            lambda batch: NotTaken(tag=batch.attempts[0].tag, why="refused", wait_s=0),
            State.PENDING,
            Money(),
        ),
        (
            lambda batch: Refused(tag=batch.attempts[0].tag, code=40501, message="no"),
            State.FAILED,
            Money(),
        ),
        (lambda batch: lost(batch, batch.deadline), State.FAILED, Money(at_risk=RESERVE)),
    ],
    ids=["failed free", "failed, charged", "failed, untold", "not taken", "refused", "lost"],
)
async def test_whatever_it_brings_is_booked_as_if_it_had_never_been_away(
    live: Live, elsewhere: TaskStore, ending: Ending, state: State, money: Money
) -> None:
    """Money that is certainly not spent must not stay at risk for ever."""
    batch = await taken_for_dead(live, elsewhere)
    await live.settle(batch, ending(batch))
    assert await live.scene.states() == {state: 1}
    assert (await live.scene.status()).money == money
    assert await live.sound()


@pytest.mark.parametrize(
    ("ending", "first"),
    [
        (lambda batch: failed(batch, None, 0), Money()),
        (lambda batch: failed(batch, None, CHARGE), Money(charged=CHARGE)),
        (lambda batch: NotTaken(tag=batch.attempts[0].tag, why="refused", wait_s=0), Money()),
        (lambda batch: lost(batch, batch.deadline), Money(at_risk=RESERVE)),
    ],
    ids=["failed free", "failed, charged", "not taken", "lost"],
)
async def test_what_it_brings_after_its_task_was_asked_again_moves_only_its_own_money(
    live: Live, elsewhere: TaskStore, ending: Ending, first: Money
) -> None:
    """The task is another attempt's by now."""
    await live.resend(True)
    batch = await taken_for_dead(live, elsewhere)
    again = await live.call()
    await live.settle(batch, ending(batch))
    assert await live.scene.states() == {State.POSTING: 1}
    assert (await live.scene.status()).money == first + Money(reserved=RESERVE)
    await live.settle(again, answered(again), remote_id=ANOTHER)
    assert await elsewhere.incidents() == []
    assert await live.sound()


async def test_an_answer_to_a_question_that_was_edited_meanwhile_is_not_its_answer(
    live: Live, elsewhere: TaskStore
) -> None:
    """The task waits to ask something else now."""
    await live.resend(True)
    batch = await taken_for_dead(live, elsewhere)
    (attempt,) = batch.attempts
    asked = altered(attempt, body=attempt.body + b" ")
    await live.settle(replace(batch, attempts=(asked,)), answered(batch))
    assert await live.scene.states() == {State.PENDING: 1}
    (incident,) = await elsewhere.incidents()
    assert incident.amount == CHARGE
    assert await live.sound()


async def test_a_person_who_retries_it_meanwhile_pays_once(
    live: Live, elsewhere: TaskStore
) -> None:
    """Put back to pending and not asked yet: the answer that comes is the one he wants."""
    batch = await taken_for_dead(live, elsewhere)
    now = live.scene.clock.now()
    which = RetryFilter(pay_again=True)
    assert await elsewhere.retry(live.scene.run.id, which, now=now) == 1
    await live.settle(batch, answered(batch))
    assert await live.scene.states() == {State.COMPLETED: 1}
    assert (await live.scene.status()).money == Money(charged=CHARGE)


async def test_the_answer_of_a_cancelled_task_is_kept_and_told(
    live: Live, elsewhere: TaskStore
) -> None:
    """It was paid for though nobody wants it any more."""
    await live.resend(True)
    batch = await taken_for_dead(live, elsewhere)
    assert await elsewhere.cancel(Selection(runs=frozenset({live.scene.run.id}))) == 1
    await live.settle(batch, answered(batch))
    assert await live.scene.states() == {State.CANCELLED: 1}
    assert len(await elsewhere.incidents()) == 1
    assert await live.sound()

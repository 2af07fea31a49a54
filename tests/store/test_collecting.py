"""Every posted task is asked for in time; what comes back is booked once, to the nano-dollar."""

from dataclasses import replace
from datetime import timedelta

import pytest

from runner.lifecycle import Reason, State
from runner.money import ADVANCE, BASE_PRICE_STANDARD
from runner.store.amounts import Money
from runner.store.endings import Failing
from runner.store.protocol import TaskStore
from runner.task import Provider, Tag, TaskId
from runner.windows import CHECKPOINTS
from tests.store.steps import (
    ADVANCED,
    CLAUDE,
    GEMINI,
    HOUR,
    MINUTE,
    PRICE,
    RESERVE,
    OpenStore,
    Scene,
    accepted,
    answered,
    begin,
    failed,
    gone,
    not_taken,
    numbered,
    remote_id,
    row,
    still_running,
)
from tests.support.clock import ManualClock

SECOND = timedelta(seconds=1)


async def posted(scene: Scene, count: int) -> list[Tag]:
    """Tags of *count* tasks that wait at the API."""
    await scene.load(numbered(count))
    tags = [Tag.parse(attempt.tag) for attempt in (await scene.post()).attempts]
    return [tag for tag in tags if tag is not None]


# --- whom to ask for ------------------------------------------------------------------------------


async def test_a_posted_task_is_asked_for_after_a_minute(scene: Scene) -> None:
    """Nothing depends on the ready list: age alone brings every answer in."""
    await posted(scene, 2)
    take = scene.store.take_posted
    scene.clock.advance(MINUTE - SECOND)
    assert await take(9, worker=scene.worker, now=scene.clock.now(), lease=MINUTE) == []
    scene.clock.advance(SECOND)
    (first, second) = await take(9, worker=scene.worker, now=scene.clock.now(), lease=MINUTE)
    assert first.posted_at == second.posted_at == scene.clock.now() - MINUTE
    assert (first.remote_id, first.endpoint) == (remote_id(first.tag), CLAUDE.endpoint)
    assert (first.attempt, first.polls, first.tries, first.ready) == (1, 0, 0, False)


async def test_a_claimed_task_is_claimed_once_until_its_lease_ends(scene: Scene) -> None:
    """Two fetchers on one task waste the call budget; a lost fetcher must not lose the task."""
    await posted(scene, 3)
    first = await scene.take(2)
    second = await scene.store.take_posted(
        9, worker=scene.worker, now=scene.clock.now(), lease=HOUR
    )
    assert (len(first), len(second)) == (2, 1)
    scene.clock.advance(5 * MINUTE)
    again = await scene.store.take_posted(9, worker=scene.worker, now=scene.clock.now(), lease=HOUR)
    assert again == first


async def test_what_is_on_the_ready_list_is_asked_for_first_and_at_once(scene: Scene) -> None:
    """Its answer is there: asking for it never costs a call in vain."""
    tags = await posted(scene, 4)
    assert await scene.store.mark_ready([tags[2]], now=scene.clock.now()) == 1
    (early,) = await scene.store.take_posted(
        9, worker=scene.worker, now=scene.clock.now(), lease=MINUTE
    )
    assert (early.tag, early.ready) == (str(tags[2]), True)
    assert await scene.store.mark_ready([tags[3]], now=scene.clock.now()) == 1
    taken = await scene.take(3)
    assert [task.tag for task in taken] == [str(tags[n]) for n in (2, 3, 0)]


async def test_only_the_current_attempt_of_our_own_is_marked_ready(scene: Scene) -> None:
    """The list holds ids of other programs, of copies of this store, and of attempts long over."""
    stale, done = await posted(scene, 2)
    first, second = await scene.take()
    await scene.book(failed(first, cost=0, again_at=scene.clock.now()), answered(second))
    current = Tag.parse((await scene.post()).attempts[0].tag)
    assert current is not None
    copy = replace(current, install="aaaaaaaa")
    other = replace(current, task=TaskId(999))
    assert await scene.store.mark_ready([stale, done, copy, other], now=scene.clock.now()) == 0
    assert await scene.store.mark_ready([current], now=scene.clock.now()) == 1


async def test_a_task_is_made_due_by_the_list_once(scene: Scene) -> None:
    """The list shows a task until it is collected, every few seconds."""
    tags = await posted(scene, 2)
    assert await scene.store.mark_ready(tags, now=scene.clock.now()) == 2
    assert await scene.store.mark_ready(tags, now=scene.clock.now()) == 0
    assert await scene.store.mark_ready([], now=scene.clock.now()) == 0
    await scene.take()
    assert await scene.store.mark_ready(tags, now=scene.clock.now()) == 0


async def test_a_whole_ready_list_is_taken_in_at_once(scene: Scene) -> None:
    """A reply holds up to 1,000 ids (API.md §3), and more providers may follow."""
    await scene.load(numbered(1_500))
    tags: list[Tag | None] = []
    for _ in range(15):
        tags += [Tag.parse(attempt.tag) for attempt in (await scene.post()).attempts]
    ours = [tag for tag in tags if tag is not None]
    assert await scene.store.mark_ready(ours, now=scene.clock.now()) == 1_500
    assert len(await scene.take(2_000)) == 1_500


async def test_a_task_that_is_still_running_waits_and_counts_the_asking(scene: Scene) -> None:
    """Asking costs a call each time: intervals grow with the count."""
    tags = await posted(scene, 1)
    await scene.store.mark_ready(tags, now=scene.clock.now())
    (task,) = await scene.take()
    await scene.book(still_running(task, scene.clock.now() + HOUR))
    assert await scene.take() == []
    scene.clock.advance(HOUR)
    (task,) = await scene.take()
    assert (task.polls, task.ready) == (1, False)


async def test_while_the_list_is_trusted_tasks_wait_for_their_checkpoint(scene: Scene) -> None:
    """Asking for what is not on the list is a call in vain, also for what is posted meanwhile."""
    await scene.load(numbered(3))
    await scene.post(1)
    await scene.store.trust_ready_list(True, now=scene.clock.now())
    await scene.post(1)
    scene.clock.advance(CHECKPOINTS[0] - 3 * MINUTE)
    assert await scene.take() == []
    scene.clock.advance(MINUTE)
    assert len(await scene.take()) == 2
    await scene.post(1)
    await scene.store.trust_ready_list(False, now=scene.clock.now())
    await scene.store.trust_ready_list(False, now=scene.clock.now() + HOUR)
    assert len(await scene.take()) == 1


async def test_a_new_process_does_not_trust_a_list_it_has_not_seen(
    open_store: OpenStore, clock: ManualClock
) -> None:
    """The list may be down today; tasks would wait six hours for nothing."""
    async with open_store() as store:
        scene = await begin(store, clock)
        await store.trust_ready_list(True, now=clock.now())
        await posted(scene, 2)
    async with open_store() as store:
        scene = await begin(store, clock)
        assert len(await scene.take()) == 2


async def test_what_a_dead_process_was_asking_for_does_not_wait_for_a_list(
    open_store: OpenStore, clock: ManualClock
) -> None:
    """F7: the API may have handed the answer over, and lists no task that was collected. Trusting
    the list must not put off the one ask that brings it, nor that after a lost reply."""
    async with open_store() as store:
        scene = await begin(store, clock)
        tags = await posted(scene, 2)
        await store.mark_ready(tags, now=clock.now())
        (first, _) = await scene.take()
        await scene.book(still_running(first, clock.now() + HOUR))
    async with open_store() as store:
        scene = await begin(store, clock)
        await store.trust_ready_list(True, now=clock.now())
        assert len(await scene.take()) == 1
        clock.advance(HOUR)
        # The lease of the other one has ended as well.
        assert first.task in {task.task for task in await scene.take()}


async def test_the_providers_that_are_waited_for_are_known(
    store: TaskStore, clock: ManualClock
) -> None:
    """One list call for each of them, 20 a minute for all together."""
    scene = await begin(store, clock, targets=[CLAUDE, GEMINI])
    await scene.load([row(1, targets=[CLAUDE, GEMINI])])
    assert await store.waiting_providers() == []
    await scene.post()
    assert await store.waiting_providers() == [Provider.CLAUDE]
    await scene.post()
    assert await store.waiting_providers() == [Provider.CLAUDE, Provider.GEMINI]
    await scene.book(*map(answered, await scene.take()))
    assert await store.waiting_providers() == []


async def test_the_oldest_waiting_task_is_known(store: TaskStore, clock: ManualClock) -> None:
    """At 20 days it is a warning, at 27 an alarm: the answer is gone after 30."""
    one = await begin(store, clock)
    two = await begin(store, clock, fresh=1)
    assert await store.oldest_uncollected() is None
    await two.load(numbered(1))
    await two.post()
    first = clock.now()
    clock.advance(HOUR)
    await one.load(numbered(1))
    await one.post()
    assert await store.oldest_uncollected() == first
    assert (await one.status()).oldest_posted_at == clock.now()
    assert (await two.status()).oldest_posted_at == first


# --- answers and their money ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charge", "refunded", "over"),
    [
        (0, ADVANCED, 0),
        (PRICE, ADVANCED - PRICE, 0),
        (ADVANCED, 0, 0),
        (ADVANCED + 1, 0, ADVANCED + 1 - RESERVE),
        (490_000_000, 0, 490_000_000 - RESERVE),
    ],
)
async def test_an_answer_settles_its_advance(
    scene: Scene, charge: int, refunded: int, over: int
) -> None:
    """The advance is no ceiling: an answer may cost 49 times as much, and that must show."""
    await posted(scene, 1)
    (task,) = await scene.take()
    await scene.book(answered(task, charge))
    assert await scene.states() == {State.COMPLETED: 1}
    assert (await scene.status()).money == Money(
        advanced=ADVANCED, charged=charge, refunded=refunded, over_reserve=over
    )


async def test_an_answer_that_could_not_be_read_is_kept_and_charged(scene: Scene) -> None:
    """It was paid for; its bytes can be read by a later version, for nothing (F61)."""
    await posted(scene, 1)
    (task,) = await scene.take()
    await scene.book(answered(task, answer=None, reply=b"\x00 strange"))
    (line,) = await scene.lines()
    assert (line.values["state"], line.values["answer"]) == ("completed", "")
    assert (await scene.status()).money.charged == PRICE


@pytest.mark.parametrize(
    ("cost", "money"),
    [
        (None, Money(advanced=ADVANCED, at_risk=ADVANCED)),
        (0, Money(advanced=ADVANCED, refunded=ADVANCED)),
        (PRICE, Money(advanced=ADVANCED, charged=PRICE, refunded=ADVANCED - PRICE)),
        (ADVANCED + 7, Money(advanced=ADVANCED, charged=ADVANCED + 7, over_reserve=7)),
    ],
)
async def test_the_advance_of_a_failed_task_is_at_risk_until_the_refund_shows(
    scene: Scene, cost: int | None, money: Money
) -> None:
    """F67: the vendor says that it comes back; we believe it when it is seen."""
    await posted(scene, 1)
    (task,) = await scene.take()
    await scene.book(failed(task, cost=cost))
    status = await scene.status()
    assert (status.money, status.reasons) == (money, {(State.FAILED, "remote"): 1})


async def test_a_failure_with_tries_left_is_posted_again_when_it_is_due(scene: Scene) -> None:
    """A try is a failure that the API reported; its attempt is over, with its own money."""
    await posted(scene, 1)
    for tries in range(2):
        (task,) = await scene.take()
        assert (task.tries, task.allowed_tries, task.attempt) == (tries, 3, tries + 1)
        await scene.book(failed(task, cost=0, again_at=scene.clock.now() + HOUR))
        assert (await scene.status()).next_due_at == scene.clock.now() + HOUR
        scene.clock.advance(HOUR)
        await scene.post()
    (task,) = await scene.take()
    await scene.book(failed(task, cost=0, reason=Reason.TIMED_OUT))
    status = await scene.status()
    assert status.reasons == {(State.FAILED, "timed_out"): 1}
    assert status.money == Money(advanced=3 * ADVANCED, refunded=3 * ADVANCED)


async def test_the_tries_are_those_of_the_run(store: TaskStore, clock: ManualClock) -> None:
    """Collecting serves runs of different jobs, each with its own `[retry] tries`."""
    scene = await begin(store, clock, tries=5)
    await posted(scene, 1)
    assert [task.allowed_tries for task in await scene.take()] == [5]


async def test_an_expired_result_is_charged_as_far_as_it_is_known(scene: Scene) -> None:
    """The answer was made and paid for; only what it cost was never read."""
    await posted(scene, 1)
    (task,) = await scene.take()
    await scene.book(gone(task))
    assert await scene.states() == {State.EXPIRED: 1}
    assert (await scene.status()).money == Money(advanced=ADVANCED, charged=ADVANCED)
    assert ADVANCED == ADVANCE + BASE_PRICE_STANDARD


async def test_a_reply_that_nobody_understood_is_kept_until_a_better_one_comes(
    scene: Scene,
) -> None:
    """A later version may read it (F61), though it was the last that came."""
    await posted(scene, 2)
    first, second = await scene.take()
    running = still_running(first, scene.clock.now() + HOUR)
    strange = b"strange"
    await scene.book(replace(running, reply=strange), replace(gone(second), reply=strange))
    assert [await scene.store.reply(each.task, 1) for each in (first, second)] == [strange] * 2
    await scene.book(answered(first, reply=b"the reply"))
    assert await scene.store.reply(first.task, 1) == b"the reply"


async def test_a_failure_that_may_pass_is_noted_until_the_task_is_said_to_run(
    scene: Scene,
) -> None:
    """What was said before a start counts after it; what was taken back must not."""
    since = scene.clock.now()
    failing = Failing(since=since, code=50000, message="Internal Error.", said=1)
    (tag,) = await posted(scene, 1)
    (task,) = await scene.take()
    waits = still_running(task, scene.clock.now())
    await scene.book(waits)
    await scene.book(replace(waits, failing=failing))
    (task,) = await scene.take()
    assert (task.failing_since, task.polls) == (since, 1)
    await scene.book(waits)
    # Asked for at its own pace, though the ready list shows it.
    assert await scene.store.mark_ready([tag], now=scene.clock.now()) == 0
    (task,) = await scene.take()
    assert (task.failing_since, task.polls) == (since, 2)
    await scene.book(replace(waits, recovered=True))
    (task,) = await scene.take()
    assert (task.failing_since, task.polls) == (None, 3)
    await scene.book(replace(waits, failing=failing))
    await scene.book(answered(task))
    detail = await scene.store.task(task.task)
    assert detail is not None
    (attempt,) = detail.attempts
    assert (attempt.state, attempt.code, attempt.message) == ("completed", None, None)


async def test_what_is_booked_twice_or_late_changes_nothing(scene: Scene) -> None:
    """Asking is free, so an answer may come twice: from two fetchers, or after a retry."""
    await scene.load(numbered(2))
    await scene.post()
    first, second = await scene.take()
    await scene.book(answered(first), failed(second, cost=0, again_at=scene.clock.now()))
    before = await scene.status()
    for ending in (
        answered(first, 2 * PRICE),
        failed(first, cost=PRICE),
        gone(first),
        still_running(first, scene.clock.now() + HOUR),
        answered(second),
        gone(second),
    ):
        await scene.book(ending)
        assert await scene.status() == before
    await scene.post()
    await scene.book(answered(second))
    assert await scene.states() == {State.COMPLETED: 1, State.POSTED: 1}


async def test_of_several_endings_in_one_write_one_counts(scene: Scene) -> None:
    """Two fetchers may bring the same task within the 20 ms that a write collects."""
    await posted(scene, 2)
    first, second = await scene.take()
    later = scene.clock.now() + HOUR
    await scene.book(
        still_running(first, later),
        answered(first),
        answered(first, 9 * PRICE),
        gone(first),
        still_running(second, later),
        still_running(second, later),
    )
    status = await scene.status()
    assert (status.states[State.COMPLETED], status.states[State.POSTED]) == (1, 1)
    assert status.money.charged == PRICE


async def test_nothing_to_book_is_booked(scene: Scene) -> None:
    """A group may turn out empty."""
    await scene.book()
    assert await scene.states() == {}


async def test_many_answers_are_booked_in_one_write(scene: Scene) -> None:
    """Postbacks may come by the thousand while a disk is slow."""
    await scene.load(numbered(1_200))
    for _ in range(12):
        await scene.post()
    taken = await scene.take(2_000)
    await scene.book(*map(answered, taken))
    assert await scene.states() == {State.COMPLETED: 1_200}
    assert (await scene.status()).money.charged == 1_200 * PRICE


async def test_a_task_that_came_back_is_not_on_the_list_of_its_next_attempt(scene: Scene) -> None:
    """What the list said of an old attempt would send fetchers for the new one in vain."""
    tags = await posted(scene, 1)
    await scene.store.mark_ready(tags, now=scene.clock.now())
    (task,) = await scene.take()
    await scene.book(failed(task, cost=0, again_at=scene.clock.now()))
    await scene.post(how=not_taken)
    scene.clock.advance(MINUTE)
    await scene.post(how=accepted)
    (again,) = await scene.take()
    assert (again.ready, again.polls, again.attempt) == (False, 0, 3)


async def test_no_due_time_stays_further_ahead_than_any_wait_of_ours(
    scene: Scene, clock: ManualClock
) -> None:
    """F76: written while the clock was a week ahead, they would let all lie for that week; what
    waits for good reason is left."""
    now, week = clock.now(), timedelta(days=7)
    await scene.load(numbered(2))
    await scene.post(2)
    clock.set_wall(now + MINUTE)
    one, two = await scene.take()
    await scene.book(still_running(one, now + week), still_running(two, now + HOUR))
    clock.set_wall(now + week)
    await scene.load([row(3)])
    clock.set_wall(now)
    assert await scene.store.redate(now=now) == 2
    assert len((await scene.batch()).attempts) == 1
    clock.set_wall(now + HOUR)
    assert [task.task for task in await scene.take()] == [two.task]
    clock.set_wall(now + timedelta(hours=6))
    assert one.task in [task.task for task in await scene.take()]

"""What only a person may decide: to ask again what failed, or may have been paid for."""

import pytest

from runner.lifecycle import Reason, State
from runner.store.listing import Selection
from runner.store.protocol import TaskStore
from runner.store.values import RetryFilter
from tests.store.steps import (
    Scene,
    answered,
    begin,
    failed,
    gone,
    lost,
    numbered,
    refused,
    row,
)
from tests.support.clock import ManualClock

REFUSED_CODE = 40501
REMOTE_CODE = 50000


async def unsuccessful(scene: Scene) -> None:
    """One task of each kind: refused, remote, timed out, answer lost, expired, unknown, done."""
    await scene.load(numbered(7))
    await scene.post(1, how=refused)
    await scene.post(1, how=lost)
    await scene.post()
    remote, timed_out, answer_lost, expired, done = await scene.take()
    await scene.book(
        failed(remote, cost=0, code=REMOTE_CODE),
        failed(timed_out, cost=None, code=40103, reason=Reason.TIMED_OUT),
        failed(answer_lost, cost=None, code=50401, reason=Reason.ANSWER_LOST),
        gone(expired),
        answered(done),
    )


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (RetryFilter(), {"remote", "timed_out"}),
        (RetryFilter(pay_again=True), {"remote", "timed_out", "answer_lost", "expired"}),
        (RetryFilter(codes=frozenset({REFUSED_CODE})), {"refused"}),
        (RetryFilter(codes=frozenset({REMOTE_CODE, 40103})), {"remote", "timed_out"}),
        (RetryFilter(codes=frozenset({50401})), set()),
        (RetryFilter(codes=frozenset({50401}), pay_again=True), {"answer_lost"}),
        (RetryFilter(codes=frozenset({40403}), pay_again=True), {"expired"}),
        (RetryFilter(codes=frozenset()), set()),
        (RetryFilter(codes=frozenset({99})), set()),
        (RetryFilter(among=Selection(limit=1)), {"remote"}),
        (RetryFilter(among=Selection(models=frozenset({"none"}))), set()),
        (RetryFilter(among=Selection(tasks=frozenset({1, 4}))), {"timed_out"}),
    ],
)
async def test_retry_takes_what_it_says(
    scene: Scene, which: RetryFilter, expected: set[str]
) -> None:
    """Refused for good only by its code, paid already only with the word to pay again."""
    await unsuccessful(scene)
    before = await reasons(scene)
    told = await scene.store.retriable(scene.run.id, which)
    assert told == ({"claude": len(expected)} if expected else {})
    assert await reasons(scene) == before
    assert await scene.store.retry(scene.run.id, which, now=scene.clock.now()) == len(expected)
    assert await reasons(scene) == before - expected
    status = await scene.status()
    assert status.states[State.PENDING] == len(expected)
    assert (status.states[State.UNKNOWN], status.states[State.COMPLETED]) == (1, 1)


async def reasons(scene: Scene) -> set[str]:
    """How the unsuccessful ended."""
    return {group.reason or group.state for group in await scene.store.failures(scene.run.id)}


async def test_a_retried_task_is_a_new_attempt_with_all_its_tries(scene: Scene) -> None:
    """The old attempt and its money stay as they were."""
    await unsuccessful(scene)
    money = (await scene.status()).money
    await scene.store.retry(scene.run.id, RetryFilter(), now=scene.clock.now())
    assert (await scene.status()).money == money
    assert [attempt.number for attempt in (await scene.post()).attempts] == [2, 2]
    assert [task.tries for task in await scene.take()] == [0, 0]


async def test_retry_stays_within_its_run(store: TaskStore, clock: ManualClock) -> None:
    """Yesterday's failures are not paid again with today's."""
    one, two = await begin(store, clock), await begin(store, clock, fresh=1)
    for scene in (one, two):
        await scene.load(numbered(1))
        await scene.post()
    for task in await one.take():
        await one.book(failed(task, cost=0))
    assert await store.retry(one.run.id, RetryFilter(), now=clock.now()) == 1
    assert await one.states() == {State.PENDING: 1}
    assert await two.states() == {State.FAILED: 1}


async def test_naming_the_error_is_the_word_to_ask_the_edited_request(scene: Scene) -> None:
    """The usual repair of a refused task: correct the row, then retry its error."""
    await scene.load([row(1, "too long", key="k")])
    await scene.post(how=refused)
    await scene.load([row(1, "shorter", key="k")])
    codes = frozenset({REFUSED_CODE})
    await scene.store.retry(scene.run.id, RetryFilter(codes=codes), now=scene.clock.now())
    assert ((await scene.status()).changed, (await scene.status()).held) == (0, 0)
    (attempt,) = (await scene.batch()).attempts
    assert b"shorter" in attempt.body


async def test_a_plain_retry_of_an_edited_task_waits_for_the_decision(scene: Scene) -> None:
    """Nothing is sent for a changed task until ask or keep is said."""
    await scene.load([row(1, key="k")])
    await scene.post()
    for task in await scene.take():
        await scene.book(failed(task, cost=0))
    await scene.load([row(1, key="k", temperature=0.5)])
    await scene.store.retry(scene.run.id, RetryFilter(), now=scene.clock.now())
    assert ((await scene.status()).changed, (await scene.status()).held) == (1, 1)


async def test_failures_are_grouped_by_cause_most_frequent_first(scene: Scene) -> None:
    """The first line of `runner errors` is what to repair first."""
    await scene.load(numbered(6))
    await scene.post(3, how=refused)
    await scene.post()
    first, second, third = await scene.take()
    await scene.book(failed(first, cost=0), failed(second, cost=0), gone(third))
    groups = await scene.store.failures(scene.run.id)
    assert [(g.state, g.reason, g.code, g.count) for g in groups] == [
        (State.FAILED, "refused", REFUSED_CODE, 3),
        (State.FAILED, "remote", REMOTE_CODE, 2),
        (State.EXPIRED, "", 40403, 1),
    ]
    assert (groups[0].provider, groups[0].model) == ("claude", "claude-sonnet-4-0")
    assert (groups[0].message, groups[0].sample_task) == ("Invalid Field: 'user_prompt'.", 1)

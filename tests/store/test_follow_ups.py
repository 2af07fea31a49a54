"""Second turns: asked with the first answer, or not at all; never twice because of each other."""

import json
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace as altered

from runner.lifecycle import WAITING, Reason, State
from runner.rows import Attempt, InputRow
from runner.store.control import Keep
from runner.store.endings import Answered, Ending, Posted, RemotelyFailed, ResultGone
from runner.store.listing import Selection, TaskLine
from runner.store.protocol import TaskStore
from runner.store.sqlite.follow_ups import CUT, shortened
from runner.store.values import Decision, Idle, RetryFilter
from runner.task import Outcome
from tests.store.steps import (
    ANSWER,
    CLAUDE,
    MINUTE,
    Scene,
    accepted,
    answered,
    failed,
    gone,
    lost,
    not_taken,
    refused,
    row,
)

CANCELLED = (State.CANCELLED, str(Reason.NO_FIRST_ANSWER))


def conversation(
    follow_up: str = "And at dusk?", *, first: str = "why?", samples: int = 1, **fields: object
) -> InputRow:
    """A row with two turns."""
    line = row(1, first, key="a conversation", targets=(CLAUDE,), samples=samples, **fields)
    second = row(1, follow_up, key="", targets=(CLAUDE,), samples=samples, **fields).asks
    return altered(line, asks=(*line.asks, *(altered(ask, turn=2) for ask in second)))


def bodies(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    return [json.loads(attempt.body) for attempt in attempts]


async def turns(scene: Scene) -> list[tuple[State, str]]:
    """State and reason of each task, first turns before second ones."""
    lines = [line async for page in scene.store.tasks(Selection()) for line in page]
    return [(line.state, line.reason) for line in sorted(lines, key=lambda line: line.turn)]


async def test_a_follow_up_is_not_due_before_its_first_question_is_answered(scene: Scene) -> None:
    """Its history is the answer: sent earlier it would be another question, paid for nothing."""
    await scene.load([conversation()])
    assert len((await scene.post()).attempts) == 1
    scene.clock.advance(MINUTE * 600)
    assert await scene.intend() is Idle.NOTHING_DUE
    assert await scene.states() == {State.PENDING: 1, State.POSTED: 1}
    assert (await scene.status()).next_due_at is None


async def test_a_follow_up_that_waits_is_no_breach(scene: Scene) -> None:
    """It has no due time by design: `verify` must not cry wolf over a store that is sound."""
    await scene.load([conversation()])
    assert await scene.store.verify() == []
    await scene.post(how=lost)
    assert await scene.store.verify() == []


async def test_a_follow_up_is_due_with_the_booking_of_the_first_answer(scene: Scene) -> None:
    """A crash after the booking must find it due, or the conversation would stop for ever."""
    await scene.load([conversation()])
    await scene.complete()
    assert (await scene.status()).next_due_at == scene.clock.now()
    batch = await scene.batch()
    assert bodies(batch.attempts) == [
        {
            "message_chain": [
                {"role": "user", "message": "why?"},
                {"role": "ai", "message": ANSWER.text},
            ],
            "model_name": "claude-sonnet-4-0",
            "user_prompt": "And at dusk?",
        }
    ]


async def test_the_history_stands_behind_the_conversation_that_the_row_brought(
    scene: Scene,
) -> None:
    """Both turns begin with it, so the model must see it first in both."""
    own = [{"role": "user", "message": "hello"}, {"role": "ai", "message": "hi"}]
    await scene.load([conversation(message_chain=own)])
    await scene.complete()
    (body,) = bodies((await scene.batch()).attempts)
    assert body["message_chain"][:2] == own
    assert [message["message"] for message in body["message_chain"][2:]] == ["why?", ANSWER.text]


async def test_a_long_answer_is_cut_at_a_sign_that_says_so(scene: Scene) -> None:
    """The API takes 500 characters a message (API.md §2), and refuses the task beyond."""
    await scene.load([conversation()])
    await scene.post()
    (taken,) = await scene.take()
    await scene.book(answered(taken, answer=structs.replace(ANSWER, text="x" * 501)))
    (body,) = bodies((await scene.batch()).attempts)
    said = body["message_chain"][1]["message"]
    assert said == "x" * 496 + CUT


@given(st.text())
def test_what_is_cut_fits_and_what_fits_is_not_cut(text: str) -> None:
    """One character too many, and the follow-up is refused after the first was paid."""
    said = shortened(text * 40)
    assert len(said) <= 500
    assert said == text * 40 or (said.endswith(CUT) and len(text * 40) > 500)
    assert (text * 40).startswith(said.removesuffix(CUT))


@pytest.mark.parametrize(
    "end", ["failed", "expired", "refused", "cancelled", "empty", "unreadable"]
)
async def test_a_first_question_without_an_answer_cancels_its_follow_up(
    scene: Scene, end: str
) -> None:
    """A run must end even so, and nothing is paid for a question without its history."""
    await scene.load([conversation()])
    if end == "refused":
        await scene.post(how=refused)
    elif end == "cancelled":
        first, _ = [line async for page in scene.store.tasks(Selection()) for line in page]
        await scene.store.cancel(Selection(tasks=frozenset({first.id})))
    else:
        await scene.post()
        (taken,) = await scene.take()
        ending: dict[str, Answered | RemotelyFailed | ResultGone] = {
            "failed": failed(taken, cost=0),
            "expired": gone(taken),
            "empty": answered(taken, answer=structs.replace(ANSWER, text=" \n")),
            "unreadable": answered(taken, answer=None),
        }
        await scene.book(ending[end])
    assert (await turns(scene))[1] == CANCELLED
    assert (await scene.status()).next_due_at is None


async def test_a_first_question_that_is_tried_again_keeps_its_follow_up_waiting(
    scene: Scene,
) -> None:
    """An automatic retry is no end."""
    await scene.load([conversation()])
    await scene.post()
    (taken,) = await scene.take()
    await scene.book(failed(taken, cost=0, again_at=scene.clock.now() + MINUTE))
    assert await turns(scene) == [(State.PENDING, ""), (State.PENDING, "")]
    scene.clock.advance(MINUTE)
    assert len((await scene.batch()).attempts) == 1


async def test_a_retry_of_the_first_question_brings_the_follow_up_back(scene: Scene) -> None:
    """The person wants the conversation, not half of it."""
    await scene.load([conversation()])
    await scene.post()
    (taken,) = await scene.take()
    await scene.book(failed(taken, cost=0))
    assert await scene.store.retry(scene.run.id, RetryFilter(), now=scene.clock.now())
    assert await turns(scene) == [(State.PENDING, ""), (State.PENDING, "")]
    await scene.complete()
    await scene.complete()
    assert await scene.states() == {State.COMPLETED: 2}


async def test_a_follow_up_that_a_person_dropped_stays_dropped(scene: Scene) -> None:
    """Who drops a task does not pay for it later."""
    await scene.load([conversation()])
    tasks = [line async for page in scene.store.tasks(Selection()) for line in page]
    await scene.store.cancel(Selection(tasks=frozenset({tasks[1].id})))
    await scene.complete()
    assert await turns(scene) == [(State.COMPLETED, ""), (State.CANCELLED, "")]
    assert await scene.intend() is Idle.NOTHING_DUE


async def test_a_follow_up_that_was_not_taken_waits_for_its_backoff_alone(scene: Scene) -> None:
    """Its first question being answered must not make it due before the API wants it."""
    await scene.load([conversation()])
    await scene.complete()
    await scene.post(how=lambda attempt: not_taken(attempt, 90.0))
    assert await scene.intend() is Idle.NOTHING_DUE
    scene.clock.advance(2 * MINUTE)
    (body,) = bodies((await scene.batch()).attempts)
    assert len(body["message_chain"]) == 2


async def test_a_follow_up_in_doubt_is_left_alone_whatever_its_first_question_does(
    scene: Scene,
) -> None:
    """It may be at the API already: only the reconciler decides."""
    await scene.load([conversation()])
    await scene.complete()
    await scene.post(how=lost)
    await scene.load([conversation(first="why, please?")])
    await scene.store.decide_changes(scene.run.id, Decision.ASK, now=scene.clock.now())
    assert await turns(scene) == [(State.PENDING, ""), (State.UNKNOWN, "")]


async def test_loading_again_finds_no_edit_in_a_follow_up_that_has_its_history(
    scene: Scene,
) -> None:
    """Its identity and its request never contain the answer, or every start would find edits."""
    await scene.load([conversation()])
    await scene.complete()
    again = await scene.load([conversation()], digest="the same rows, another file")
    assert again is not None
    assert (again.new, again.known) == (0, 2)
    assert (await scene.status()).changed == 0


async def test_an_edited_follow_up_is_asked_with_the_history_it_had(scene: Scene) -> None:
    """`--changed ask` takes the new words; the first answer is the same."""
    await scene.load([conversation()])
    await scene.complete()
    await scene.load([conversation("And at dawn?")])
    assert (await scene.status()).changed == 1
    await scene.store.decide_changes(scene.run.id, Decision.ASK, now=scene.clock.now())
    (body,) = bodies((await scene.batch()).attempts)
    assert body["user_prompt"] == "And at dawn?"
    assert [message["message"] for message in body["message_chain"]] == ["why?", ANSWER.text]


async def test_an_edit_asked_before_the_first_answer_is_in_does_not_make_it_due(
    scene: Scene,
) -> None:
    """`--changed ask` sets a due time; without a history there is nothing to send."""
    await scene.load([conversation()])
    await scene.load([conversation("And at dawn?")])
    await scene.store.decide_changes(scene.run.id, Decision.ASK, now=scene.clock.now())
    assert len((await scene.post()).attempts) == 1
    assert await scene.intend() is Idle.NOTHING_DUE


async def test_an_edit_of_a_cancelled_follow_up_counts_when_it_comes_back(scene: Scene) -> None:
    """The word was given once; it must not have to be given again before the run can end."""
    await scene.load([conversation()])
    await scene.post(how=refused)
    await scene.load([conversation("And at dawn?")])
    assert await scene.store.decide_changes(scene.run.id, Decision.ASK, now=scene.clock.now()) == 1
    assert (await turns(scene))[1] == CANCELLED
    which = RetryFilter(codes=frozenset({40501}))
    await scene.store.retry(scene.run.id, which, now=scene.clock.now())
    await scene.complete()
    (body,) = bodies((await scene.batch()).attempts)
    assert body["user_prompt"] == "And at dawn?"


async def test_a_follow_up_behind_an_undecided_edit_counts_as_held(scene: Scene) -> None:
    """Or `runner run` would wait for ever for a question that nobody may send."""
    await scene.load([conversation()])
    await scene.load([conversation(first="why, please?")])
    status = await scene.status()
    assert (status.changed, status.held, status.states[State.PENDING]) == (1, 2, 2)


async def test_a_follow_up_that_comes_later_is_asked_at_once_of_what_is_answered(
    scene: Scene,
) -> None:
    """Adding `follow_up` to a job that is done pays for the new turn alone."""
    await scene.load([altered(conversation(), asks=conversation().asks[:1])])
    await scene.complete()
    added = await scene.load([conversation()])
    assert added is not None
    assert (added.new, added.known) == (1, 1)
    (body,) = bodies((await scene.batch()).attempts)
    assert body["message_chain"][1]["message"] == ANSWER.text


async def test_each_sample_has_its_own_conversation(scene: Scene) -> None:
    """Answers differ: a follow-up behind the answer of another sample would make no sense."""
    await scene.load([conversation(samples=3)])
    await scene.post()
    taken = await scene.take()
    assert len(taken) == 3
    await scene.book(
        *(answered(task, answer=structs.replace(ANSWER, text=f"as {task.task}")) for task in taken)
    )
    batch = await scene.batch()
    said = {
        attempt.task: body["message_chain"][1]["message"]
        for attempt, body in zip(batch.attempts, bodies(batch.attempts), strict=True)
    }
    lines = {line.id: line async for page in scene.store.tasks(Selection()) for line in page}
    firsts = {line.sample: id_ for id_, line in lines.items() if line.turn == 1}
    assert said == {task: f"as {firsts[lines[task].sample]}" for task in said}


async def test_a_prune_takes_the_history_too(scene: Scene, store: TaskStore) -> None:
    """It holds a prompt and an answer, which somebody wanted gone."""
    await scene.load([conversation()])
    await scene.complete()
    await scene.complete()
    tasks = [line async for page in store.tasks(Selection()) for line in page]
    before = await store.task(tasks[1].id)
    assert before is not None
    assert ANSWER.text in (before.body or "")
    await store.prune(scene.run.id, keep=Keep.COSTS, now=scene.clock.now())
    after = await store.task(tasks[1].id)
    assert after is not None
    assert after.body is None


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_happens_a_follow_up_is_sent_only_with_an_answer_and_every_run_can_end(
    scene: Scene, seed: int
) -> None:
    """Failures, retries, cancels, edits and doubts in any order: the rule holds at every step."""
    chance = random.Random(seed)
    lines = [conversation(f"then {n}?", first=f"why {n}?") for n in range(3)]
    lines = [
        altered(line, position=n, key=bytes([n]) * 16) for n, line in enumerate(lines, start=1)
    ]
    await scene.load(lines)
    hows: list[Callable[[Attempt], Outcome]] = [accepted, accepted, refused, not_taken]
    endings: list[Callable[[Posted], Ending]] = [answered, partial(failed, cost=0), gone]
    for step in range(25):
        scene.clock.advance(MINUTE)
        match chance.randrange(7):
            case 0 | 1:
                batch = await scene.intend(chance.randint(1, 3))
                if not isinstance(batch, Idle):
                    for body in bodies(batch.attempts):
                        follows = body["user_prompt"].startswith("then")
                        assert len(body.get("message_chain", ())) == (2 if follows else 0)
                    await scene.settle(batch, chance.choice(hows))
            case 2 | 3:
                for task in await scene.take(2):
                    await scene.store.book([chance.choice(endings)(task)], now=scene.clock.now())
            case 4:
                which = RetryFilter(codes=frozenset({40501, 50000}), pay_again=True)
                await scene.store.retry(scene.run.id, which, now=scene.clock.now())
            case 5:
                edited = altered(
                    conversation(f"then {step}?", first="why 0?"), position=1, key=lines[0].key
                )
                await scene.load([edited, *lines[1:]])
                await scene.store.decide_changes(
                    scene.run.id, chance.choice(list(Decision)), now=scene.clock.now()
                )
            case 6 if chance.random() < 0.2:
                tasks = [line async for page in scene.store.tasks(Selection()) for line in page]
                chosen = frozenset({chance.choice(tasks).id})
                await scene.store.cancel(Selection(tasks=chosen))
        for first, second in await pairs_of(scene):
            if second.reason == Reason.NO_FIRST_ANSWER:
                assert first.state in ENDED_UNANSWERED
            elif second.state is State.PENDING:
                assert first.state in WAITING or first.state is State.COMPLETED
    assert await scene.store.verify() == []
    for _ in range(60):
        scene.clock.advance(10 * MINUTE)
        if not isinstance(batch := await scene.intend(), Idle):
            await scene.settle(batch, accepted)
        await scene.book(*map(answered, await scene.take()))
    assert not WAITING & set(await scene.states())


ENDED_UNANSWERED = {State.FAILED, State.EXPIRED, State.CANCELLED, State.QUARANTINED}


async def pairs_of(scene: Scene) -> list[tuple[TaskLine, TaskLine]]:
    """First and second turn of each row, as they stand."""
    tasks = [line async for page in scene.store.tasks(Selection()) for line in page]
    firsts = [line for line in tasks if line.turn == 1]
    seconds = [line for line in tasks if line.turn == 2]
    return list(zip(firsts, seconds, strict=True))

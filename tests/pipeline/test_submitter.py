"""Posting when the API answers: durable intents, sorted replies, pauses, limits on money."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runner.api.errors import CredentialsBlocked, MoneyBlocked, RateLimited, WrongAddress
from runner.errors import Exit
from runner.lifecycle import State
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.simulator.scenario import Place, Scenario
from runner.store.reconciling import IncidentKind
from runner.store.values import Idle
from tests.api.loopback import serving
from tests.api.replies import envelope
from tests.pipeline.scene import CLAUDE, GEMINI, MINUTE, RESERVE, Scene, engine_at, staged
from tests.support.clock import ManualClock
from tests.support.waiting import until


async def test_every_task_of_a_batch_gets_its_own_id(scene: Scene) -> None:
    """The plain case: a hundred tasks in a call, each receipt with the task it belongs to."""
    await scene.load(100)
    reply = await scene.poster.post_next()
    assert reply is not None
    assert reply.trouble is None
    assert await scene.states() == {State.POSTED: 100}
    assert scene.remote_ids() == scene.created()
    assert scene.account.calls.counts[CallKind.TASK_POST] == 1
    assert await scene.poster.post_next() is None
    assert scene.engine.signals.in_flight == 0


async def test_the_intent_is_durable_before_the_first_byte_arrives(
    tmp_path: Path, clock: ManualClock
) -> None:
    """If the process dies at any moment after the send, the next start must know of every tag."""
    path = tmp_path / "runner.db"
    on_disk: list[tuple[str, int, str]] = []

    async def look_first(writer: asyncio.StreamWriter) -> None:
        with closing(sqlite3.connect(path)) as db:
            on_disk.extend(
                db.execute(
                    """
                    SELECT t.state, b.size, a.tag FROM tasks t
                      JOIN attempts a ON a.task_id = t.id JOIN batches b ON b.id = a.batch_id
                    """
                )
            )

    nobody = Account(Scenario(), clock=clock)
    async with serving(look_first) as server, engine_at(server.url, path, clock, nobody) as scene:
        await scene.load(3)
        await scene.poster.post_next()
        (request,) = server.requests
    assert [(state, size) for state, size, _ in on_disk] == [("posting", 3)] * 3
    assert all(tag.encode() in request for _, _, tag in on_disk)


async def test_a_refused_task_fails_alone_with_the_api_s_words(scene: Scene) -> None:
    """F57: one bad field in a hundred must not cost the other ninety-nine."""
    await scene.load(["one?", "two?", "three?"])
    scene.strike(Fault.TASK_REFUSED, code=40501, match="two")
    await scene.poster.post_next()
    assert await scene.states() == {State.POSTED: 2, State.FAILED: 1}
    (group,) = await scene.store.failures(scene.run.id)
    assert (group.reason, group.code, group.count) == ("refused", 40501, 1)
    assert group.message == "Invalid Field."
    assert scene.remote_ids() == scene.created()


@pytest.mark.parametrize(
    ("fault", "in_doubt"),
    [
        (Fault.SHUFFLED, 0),
        (Fault.TAG_DOUBLED, 2),
        (Fault.TAG_FOREIGN, 1),
        (Fault.TAG_MISSING, 1),
        (Fault.TASK_MISSING, 1),
    ],
)
async def test_outcomes_are_matched_by_tag_and_what_is_left_over_is_in_doubt(
    scene: Scene, fault: Fault, in_doubt: int
) -> None:
    """F62: an id attached to another task would bring that task's answer, and nobody would see."""
    await scene.load(20)
    scene.strike(fault)
    await scene.poster.post_next()
    states = await scene.states()
    assert states[State.POSTED] == 20 - in_doubt
    assert states.get(State.UNKNOWN, 0) == in_doubt
    assert scene.remote_ids().items() <= scene.created().items()


@pytest.mark.parametrize("fault", [Fault.TAG_FOREIGN, Fault.TAG_MISSING, Fault.TAG_DOUBLED])
async def test_a_reply_with_what_was_not_sent_opens_one_incident(
    scene: Scene, fault: Fault
) -> None:
    """F62: the API mixed up its tasks, or somebody else's; a line in a log is read by nobody."""
    await scene.load(200)
    scene.strike(fault, times=2)
    while await scene.poster.post_next():
        pass
    (incident,) = await scene.store.incidents()
    assert incident.kind is IncidentKind.STRANGE_REPLY
    assert incident.message.startswith("the reply to batch 2")
    assert "fit none of them" in incident.message


async def test_a_task_refused_as_too_many_for_its_call_is_posted_again_and_told(
    scene: Scene,
) -> None:
    """F58: no call of ours has more than a hundred, so something is wrong that we do not see."""
    await scene.load(5)
    scene.strike(Fault.TASK_REFUSED, code=40006, times=2)
    await scene.poster.post_next()
    (incident,) = await scene.store.incidents()
    assert incident.kind is IncidentKind.STRANGE_REPLY
    assert incident.message == (
        "the reply to batch 1, of 5 tasks: 2 were refused as too many, and are posted again"
    )
    await scene.poster.post_next()
    assert await scene.states() == {State.POSTED: 5}
    assert len(scene.created()) == 5


async def test_a_clean_reply_opens_none(scene: Scene) -> None:
    """Nor does one in another order."""
    await scene.load(5)
    scene.strike(Fault.SHUFFLED)
    await scene.poster.post_next()
    assert await scene.store.incidents() == []


async def test_no_batch_holds_more_than_a_hundred(scene: Scene) -> None:
    """F58: the API refuses the 101st task of a call with 40006."""
    await scene.load(250)
    while await scene.poster.post_next():
        pass
    sizes = [size for (size,) in scene.sql("SELECT size FROM batches ORDER BY id")]
    assert sizes == [100, 100, 50]
    assert await scene.states() == {State.POSTED: 250}


async def test_targets_take_turns(tmp_path: Path, clock: ManualClock) -> None:
    """A long target must not keep the others waiting until it is through."""
    async with staged(tmp_path, clock, targets=(CLAUDE, GEMINI)) as scene:
        await scene.load(200)
        while await scene.poster.post_next():
            pass
        endpoints = [name for (name,) in scene.sql("SELECT endpoint FROM batches ORDER BY id")]
    assert endpoints == ["dataforseo/claude/standard", "dataforseo/gemini/standard"] * 2


@pytest.mark.parametrize("place", [Place.TOP, Place.TASK])
async def test_too_many_calls_slow_the_account_and_blame_no_task(
    tmp_path: Path, clock: ManualClock, place: Place
) -> None:
    """F51: 40202 says something about our pace and nothing about the tasks of that call."""
    async with staged(tmp_path, clock, limit_place=place) as scene:
        await scene.load(5)
        scene.strike(Fault.RATE_LIMITED)
        before = scene.engine.pacer.calls_per_minute
        reply = await scene.poster.post_next()
        assert reply is not None
        assert isinstance(reply.trouble, RateLimited)
        assert await scene.states() == {State.PENDING: 5}
        assert scene.engine.pacer.calls_per_minute < before
        assert scene.engine.signals.blocked is None
        clock.advance(MINUTE)
        await scene.poster.post_next()
        assert await scene.states() == {State.POSTED: 5}
        assert scene.sql("SELECT DISTINCT tries FROM tasks") == [(0,)]


@pytest.mark.parametrize("code", [40200, 40210, 40203])
async def test_an_empty_account_pauses_posting_while_fetching_goes_on(
    scene: Scene, code: int
) -> None:
    """F55, F56: what was paid for is still collected, and the rest waits without blame."""
    await scene.load(["one?"])
    await scene.poster.post_next()
    await scene.load(["two?", "three?"])
    scene.strike(Fault.PAYMENT_REQUIRED, code=code)
    reply = await scene.poster.post_next()
    assert reply is not None
    assert isinstance(reply.trouble, MoneyBlocked)
    blocked = scene.engine.signals.blocked
    assert blocked is not None
    assert blocked.exit_code is Exit.MONEY
    scene.clock.advance(MINUTE)
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 1, State.PENDING: 2}


async def test_after_a_pause_of_the_account_its_tasks_are_due_at_once(scene: Scene) -> None:
    """Who tops up and starts again must not wait for a backoff that was the account's."""
    await scene.load(2)
    scene.strike(Fault.PAYMENT_REQUIRED, code=40210)
    await scene.poster.post_next()
    status = await scene.status()
    assert status.next_due_at is not None
    assert status.next_due_at <= scene.clock.now()


async def test_a_wrong_password_stops_everything_and_loses_nothing(
    tmp_path: Path, clock: ManualClock
) -> None:
    """F54: no call would fare better; the tasks wait for the right password."""
    async with staged(tmp_path, clock, login="me", password="wrong") as scene:
        scene.account.change(Scenario(login="me", password="right"))
        await scene.load(2)
        await scene.poster.post_next()
        fatal = scene.engine.signals.fatal
        assert isinstance(fatal, CredentialsBlocked)
        assert fatal.exit_code is Exit.CREDENTIALS
        assert scene.engine.signals.stopping.is_set()
        assert await scene.states() == {State.PENDING: 2}


async def test_a_wrong_base_url_stops_with_exit_2(tmp_path: Path, clock: ManualClock) -> None:
    """Something else answers there: a typing mistake, and none of the tasks' fault."""
    nobody = Account(Scenario(), clock=clock)
    refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    async with (
        serving(refusal) as server,
        engine_at(server.url + "/v3", tmp_path / "runner.db", clock, nobody) as scene,
    ):
        await scene.load(2)
        await scene.poster.post_next()
        fatal = scene.engine.signals.fatal
        assert isinstance(fatal, WrongAddress)
        assert fatal.exit_code is Exit.WRONG_INPUT
        assert await scene.states() == {State.PENDING: 2}


async def test_a_budget_stops_posting_until_answers_turn_out_cheaper(scene: Scene) -> None:
    """An answer costs less than its reserve: what it frees is spent, and never a cent more."""
    await scene.load(40)
    budget = 10 * RESERVE
    scene.limited(budget=budget)
    waves = 0
    while await scene.poster.post_next():
        waves += 1
        money = (await scene.status()).money
        assert money.charged + money.reserved + money.at_risk <= budget
        assert await scene.poster.post_next() is None
        assert scene.engine.signals.no_room(scene.run.id) is Idle.BUDGET
        assert not scene.engine.signals.room(scene.run.id)
        scene.clock.advance(MINUTE)
        await scene.fetch_due()
        assert scene.engine.signals.room(scene.run.id)
    assert waves > 1
    states = await scene.states()
    assert states[State.PENDING] > 0
    assert states[State.COMPLETED] > 10


async def test_a_hold_is_freed_by_answers(scene: Scene) -> None:
    """`max_hold_usd`: post in waves, so that advances never take more than that at a time."""
    await scene.load(10)
    scene.limited(hold=4 * RESERVE)
    for posted in (4, 4, 2):
        await scene.poster.post_next()
        assert (await scene.states())[State.POSTED] == posted
        assert (await scene.status()).money.reserved <= 4 * RESERVE
        scene.clock.advance(MINUTE)
        await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 10}


async def test_a_dear_target_does_not_keep_a_cheap_one_from_the_rest_of_the_budget(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Only when no target's task can be paid is the budget reached."""
    targets, reserves = (CLAUDE, GEMINI), {CLAUDE.name: 10 * RESERVE}
    async with staged(tmp_path, clock, targets=targets, reserves=reserves) as scene:
        await scene.load(3)
        scene.limited(budget=3 * RESERVE)
        reply = await scene.poster.post_next()
        assert reply is not None
        assert len(reply.outcomes) == 3
        assert scene.sql("SELECT endpoint FROM batches") == [("dataforseo/gemini/standard",)]


async def test_no_call_is_spent_on_finding_out_that_there_is_no_room(scene: Scene) -> None:
    """A token taken for nothing is a call that a fetch, which would free money, has to wait for."""
    await scene.load(200)
    scene.limited(hold=100 * RESERVE)
    async with asyncio.TaskGroup() as group:
        group.create_task(scene.poster.work())
        await until(lambda: scene.engine.signals.no_room(scene.run.id))
        spent, began = scene.engine.signals.calls, scene.clock.monotonic()
        await until(lambda: scene.clock.monotonic() > began + 60)
        assert scene.engine.signals.calls == spent
        scene.engine.signals.stop()
    assert await scene.states() == {State.POSTED: 100, State.PENDING: 100}


async def test_a_reply_that_lists_no_task_leaves_all_in_doubt(
    tmp_path: Path, clock: ManualClock
) -> None:
    """20000 with no tasks says nothing of what became of them; posting again might pay twice."""
    nobody = Account(Scenario(), clock=clock)
    body = envelope()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    async with (
        serving(head.encode() + body) as server,
        engine_at(server.url, tmp_path / "runner.db", clock, nobody) as scene,
    ):
        await scene.load(2)
        await scene.poster.post_next()
        assert await scene.states() == {State.UNKNOWN: 2}
        assert await scene.poster.post_next() is None
        assert len(server.requests) == 1

"""Asking for posted tasks: what each answer means, at any age, across restarts and outages."""

import asyncio
import zlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog

from runner.api.errors import MoneyBlocked, Unreachable
from runner.api.fetching import Finished, Gone, Running, Unclear
from runner.lifecycle import Reason, State
from runner.money import ADVANCE, BASE_PRICE_STANDARD, NANOS_PER_DOLLAR
from runner.pacing import Priority
from runner.pipeline.account import heed, probe_once, silence_wait_s
from runner.pipeline.planner import Trust
from runner.pipeline.poller import (
    LEASE,
    SPECULATIVE,
    claim,
    claims_wanted,
    ending_of,
    fetch,
    poll,
)
from runner.pipeline.ready import ask_list
from runner.pipeline.writer import store_group, write
from runner.simulator import scenario as simulated
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.simulator.scenario import Scenario
from runner.simulator.server import serve
from runner.store.endings import Answered, Ending, Posted, RemotelyFailed, ResultGone, StillRunning
from runner.store.values import RetryFilter
from runner.task import RemoteId
from tests.api.adversary import Adversary, facing
from tests.api.loopback import http, serving
from tests.api.replies import entry, envelope
from tests.pipeline.scene import (
    AT_ONCE,
    CLAUDE,
    DAY,
    HOUR,
    MINUTE,
    Scene,
    engine_at,
    lasting,
    staged,
)
from tests.support.clock import ManualClock
from tests.support.waiting import until

SECOND = timedelta(seconds=1)


async def one_posted(scene: Scene) -> Posted:
    """A task that waits at the API, claimed when it is due."""
    await scene.load(1)
    await scene.poster.post_next()
    scene.clock.advance(MINUTE)
    (task,) = await claim(scene.engine, 10)
    return task


async def test_an_answer_is_stored_with_its_cost_and_its_bytes(scene: Scene) -> None:
    """The plain case; the account's ledger says what it must have cost."""
    await scene.load(5)
    await scene.poster.post_next()
    scene.clock.advance(MINUTE)
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 5}
    money = (await scene.status()).money
    assert money.charged == scene.account.ledger.totals.charged_nanousd
    assert (money.reserved, money.at_risk) == (0, 0)
    for (raw,) in scene.sql("SELECT raw FROM replies"):
        assert b'"status_code":20000' in zlib.decompress(raw)
    assert scene.engine.signals.in_flight == 0


async def test_without_any_list_tasks_are_asked_by_age(tmp_path: Path, clock: ManualClock) -> None:
    """The list forgets and may be full of other people's ids; no answer may depend on it."""
    async with staged(tmp_path, clock, latency=lasting(10 * HOUR)) as scene:
        await scene.load(1)
        await scene.poster.post_next()
        posted_at = clock.now()
        asked = 0
        while State.COMPLETED not in await scene.states():
            clock.advance(MINUTE)
            asked += len(await scene.fetch_due())
    # After 1, 3, 7, 15, 31, 63, 127, 255, 511 minutes, then every six hours.
    assert asked == 10
    assert clock.now() - posted_at < 16 * HOUR


@pytest.mark.parametrize("how", list(simulated.Running))
async def test_codes_of_running_tasks_keep_them_waiting(
    tmp_path: Path, clock: ManualClock, how: simulated.Running
) -> None:
    """F59: 40601, 40602, 20100, and 20000 without a result all mean that it is not done yet."""
    async with staged(tmp_path, clock, latency=lasting(50 * HOUR), running=how) as scene:
        task = await one_posted(scene)
        ending = await fetch(scene.engine, task)
        assert isinstance(ending, StillRunning)
        clock.advance(49 * HOUR)
        assert isinstance(await fetch(scene.engine, task), StillRunning)
        assert await scene.states() == {State.POSTED: 1}


async def test_a_task_that_ran_into_its_72_hours_is_tried_again_and_then_given_up(
    tmp_path: Path, clock: ManualClock
) -> None:
    """F66: the API gives the advance back, so another try is no second charge; three are enough."""
    async with staged(tmp_path, clock, stuck_rate=1.0, tries=3, timeout_code=40103) as scene:
        await scene.load(1)
        for tries in (1, 2, 3):
            await scene.poster.post_next()
            assert await scene.states() == {State.POSTED: 1}
            clock.advance(73 * HOUR)
            (ending,) = await scene.fetch_due()
            assert isinstance(ending, RemotelyFailed)
            assert ending.reason is Reason.TIMED_OUT
            assert scene.sql("SELECT tries FROM tasks") == [(tries,)]
            clock.advance(HOUR)
        assert (await scene.status()).reasons == {(State.FAILED, "timed_out"): 1}
        assert await scene.poster.post_next() is None
        assert len(scene.created()) == 3


@pytest.mark.parametrize("code", [40101, 40102])
async def test_72_hours_that_end_with_a_code_of_many_meanings_are_a_person_s_matter(
    tmp_path: Path, clock: ManualClock, code: int
) -> None:
    """F66: with which code they end is not documented. By one of these a task may as well have
    failed days ago, and been billed: plain `retry` takes it, nothing does by itself."""
    async with staged(tmp_path, clock, stuck_rate=1.0, timeout_code=code) as scene:
        await scene.load(1)
        await scene.poster.post_next()
        clock.advance(71 * HOUR)
        await scene.fetch_due()
        assert await scene.states() == {State.POSTED: 1}
        clock.advance(7 * HOUR)
        await scene.fetch_due()
        assert (await scene.status()).reasons == {(State.FAILED, "remote"): 1}
        clock.advance(DAY)
        assert await scene.poster.post_next() is None
        assert await scene.store.retry(scene.run.id, RetryFilter(), now=clock.now()) == 1
        scene.account.change(replace(scene.account.scenario, stuck_rate=0.0))
        await scene.poster.post_next()
        clock.advance(MINUTE)
        await scene.fetch_due()
        assert await scene.states() == {State.COMPLETED: 1}
        assert len(scene.created()) == 2


@pytest.mark.parametrize("away", [HOUR, 73 * HOUR])
@pytest.mark.parametrize(
    ("code", "posts"), [(40103, 3), (40101, 1), (40102, 1), (40501, 1), (40506, 1)]
)
async def test_only_failures_worth_it_are_tried_again(
    scene: Scene, code: int, posts: int, away: timedelta
) -> None:
    """40103 asks to be resubmitted; what is none of the API's own trouble would fail, and cost,
    again. No reply tells when a task failed, so that holds, too, for one that failed at once while
    nobody asked for days."""
    await scene.load(1)
    scene.strike(Fault.TASK_FAILS, code=code, times=5)
    while await scene.poster.post_next():
        scene.clock.advance(away)
        await scene.fetch_due()
        scene.clock.advance(HOUR)
    late = posts > 1 and away > 72 * HOUR
    reason = Reason.TIMED_OUT if late else Reason.REMOTE
    assert (await scene.status()).reasons == {(State.FAILED, reason): 1}
    assert len(scene.created()) == posts
    (group,) = await scene.store.failures(scene.run.id)
    assert group.code == code
    plain = RetryFilter()
    assert sum((await scene.store.retriable(scene.run.id, plain)).values()) == 1


async def test_an_id_that_the_api_does_not_know_stays_posted(scene: Scene) -> None:
    """F60: 40401 is no proof that the task is gone, and money may still be out."""
    task = await one_posted(scene)
    nobody = "00000000-1535-0613-0000-000000000000"
    for age in (2 * MINUTE, 80 * HOUR, 29 * DAY):
        scene.clock.advance(task.posted_at + age - scene.clock.now())
        ending = await fetch(scene.engine, replace(task, remote_id=RemoteId(nobody)))
        assert isinstance(ending, StillRunning)
    assert await scene.states() == {State.POSTED: 1}


async def test_a_result_of_31_days_is_expired_with_the_api_s_word(scene: Scene) -> None:
    """F60: it is asked for once more and then given up; asking anew is a person's decision."""
    await scene.load(1)
    await scene.poster.post_next()
    scene.clock.advance(31 * DAY)
    (ending,) = await scene.fetch_due()
    assert isinstance(ending, ResultGone)
    assert ending.code == 40403
    assert await scene.states() == {State.EXPIRED: 1}
    (group,) = await scene.store.failures(scene.run.id)
    assert group.code == 40403
    assert await scene.poster.post_next() is None


def told(scene: Scene, task: Posted, said: Running | Gone | Unclear, age: timedelta) -> Ending:
    """What *said* means for *task* when by both clocks it is *age* old."""
    scene.clock.advance(task.posted_at + age - scene.clock.now())
    return ending_of(scene.engine, task, said, scene.clock.now())


async def test_past_30_days_one_last_ask_decides(scene: Scene) -> None:
    """F60: where the API never says 40403, a task must not be asked for until the end of time."""
    task = await one_posted(scene)
    gone = Gone(code=40401, message="Not Found.")
    before = told(scene, task, gone, 30 * DAY - HOUR - MINUTE)
    assert isinstance(before, StillRunning)
    assert before.ask_again_at < scene.clock.now() + 2 * MINUTE + HOUR
    assert isinstance(told(scene, task, gone, 30 * DAY + HOUR), ResultGone)


async def test_a_task_that_the_api_says_is_running_never_expires(scene: Scene) -> None:
    """F60: by our count its window is over, and yet its answer may come: the API knows better."""
    task = await one_posted(scene)
    for days in (31, 60, 400):
        ending = told(scene, task, Running(code=40602), days * DAY)
        assert isinstance(ending, StillRunning)
        assert ending.ask_again_at <= scene.clock.now() + 6 * HOUR


UNCLEAR = Unclear(code=50305, message="A new word.", raw=b'{"as":"it came"}')


async def test_a_code_that_nobody_knows_ends_no_task_within_its_30_days(scene: Scene) -> None:
    """F61: it may be a new way to say "running", "failed" or "not now"; what it says is asked for
    again, and what it came with is kept, until no answer can be there any more."""
    task = await one_posted(scene)
    for age in (HOUR, 72 * HOUR - 10 * MINUTE, 72 * HOUR + 10 * MINUTE, 4 * DAY, 29 * DAY):
        early = told(scene, task, UNCLEAR, age)
        assert isinstance(early, StillRunning)
        assert early.ask_again_at <= scene.clock.now() + 6 * HOUR
        assert zlib.decompress(early.reply or b"") == UNCLEAR.raw
    late = told(scene, task, UNCLEAR, 30 * DAY + HOUR)
    assert isinstance(late, ResultGone)
    assert (late.code, zlib.decompress(late.reply or b"")) == (50305, UNCLEAR.raw)


async def test_answers_that_a_strange_moment_of_the_api_hid_are_collected_after_it(
    scene: Scene,
) -> None:
    """F61: they were paid for, and asked for on the fourth day only. Taken for failed, a plain
    `retry` would pay for them once more."""
    await scene.load(2)
    await scene.poster.post_next()
    scene.clock.advance(4 * DAY)
    endings = [
        ending_of(scene.engine, task, UNCLEAR, scene.clock.now())
        for task in await claim(scene.engine, 10)
    ]
    await store_group(scene.engine, endings)
    assert await scene.states() == {State.POSTED: 2}
    every = RetryFilter(pay_again=True)
    assert sum((await scene.store.retriable(scene.run.id, every)).values()) == 0
    assert {zlib.decompress(raw) for (raw,) in scene.sql("SELECT raw FROM replies")} == {
        UNCLEAR.raw
    }
    scene.clock.advance(6 * HOUR)
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 2}
    assert len(scene.created()) == 2


async def test_72_hours_that_end_with_a_code_that_nobody_knows_are_waited_out(
    tmp_path: Path, clock: ManualClock
) -> None:
    """F66: that the task has failed cannot be seen from it. It is asked for until nothing can be
    there any more, and then only the word to pay again asks it anew."""
    async with staged(tmp_path, clock, stuck_rate=1.0, timeout_code=49999) as scene:
        await scene.load(1)
        await scene.poster.post_next()
        for _ in range(29):
            clock.advance(DAY)
            await scene.fetch_due()
            assert await scene.states() == {State.POSTED: 1}
        clock.advance(2 * DAY)
        await scene.fetch_due()
        assert await scene.states() == {State.EXPIRED: 1}
        assert await scene.poster.post_next() is None
        run = scene.run.id
        assert sum((await scene.store.retriable(run, RetryFilter())).values()) == 0
        assert sum((await scene.store.retriable(run, RetryFilter(pay_again=True))).values()) == 1


async def test_a_code_that_nobody_knows_is_told_once(tmp_path: Path, clock: ManualClock) -> None:
    """Somebody has to hear that a newer runner is needed; a line for each task helps nobody."""
    reply = envelope(entry(None, 49999, id="%s"))
    adversary = Adversary(on_get=lambda task_id, _: reply.replace(b"%s", task_id.encode()))
    async with facing(adversary, tmp_path, clock) as scene:
        await scene.load(3)
        await scene.poster.post_next()
        with structlog.testing.capture_logs() as lines:
            for _ in range(2):
                clock.advance(DAY)
                await scene.fetch_due()
        assert await scene.states() == {State.POSTED: 3}
    told = [line for line in lines if line["event"] == "poller.code_unknown"]
    assert [(line["code"], line["log_level"]) for line in told] == [(49999, "warning")]


async def test_withheld_answers_come_after_a_top_up(scene: Scene) -> None:
    """F55: below zero the API keeps answers back. They are not failed, and not asked anew."""
    await scene.load(3)
    await scene.poster.post_next()
    scene.account.deposit(-20_000 * NANOS_PER_DOLLAR)
    scene.clock.advance(MINUTE)
    endings = await scene.fetch_due()
    assert {type(ending) for ending in endings} == {StillRunning}
    signals = scene.engine.signals
    assert isinstance(signals.withheld, MoneyBlocked)
    assert signals.blocked is not None
    scene.account.deposit(20_000 * NANOS_PER_DOLLAR)
    await probe_once(scene.engine)
    assert signals.blocked is None
    assert signals.withheld is None
    scene.clock.advance(10 * MINUTE)
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 3}


@pytest.mark.parametrize(
    ("result", "readable"),
    [
        ("no object", False),
        ({"items": 3}, False),
        ({"model_name": ["a"], "input_tokens": "many", "items": None, "money_spent": "-"}, False),
        ({"items": [{"type": "message", "sections": [{"text": 7}]}]}, True),
        ({"items": [], "money_spent": 1e308}, True),
        ({"items": [], "money_spent": -1}, True),
    ],
)
async def test_an_unreadable_result_is_kept_to_the_byte(
    tmp_path: Path, clock: ManualClock, result: object, readable: bool
) -> None:
    """F83: it was paid for; a later version may read it. Nothing in it may stop the others."""
    nobody = Account(Scenario(), clock=clock)
    async with staged(tmp_path, clock) as scene:
        task = await one_posted(scene)
    body = envelope(entry(task.tag, 20000, id=task.remote_id, result=[result]))
    async with (
        serving(http(body)) as server,
        engine_at(server.url, tmp_path / "runner.db", clock, nobody) as scene,
    ):
        await scene.fetch_due()
        assert await scene.states() == {State.COMPLETED: 1}
        ((raw,),) = scene.sql("SELECT raw FROM replies")
        ((parse_error,),) = scene.sql("SELECT parse_error FROM results")
        assert zlib.decompress(raw) == body
        assert (parse_error is None) is readable


async def test_a_result_without_a_price_is_taken_to_have_cost_its_advance(scene: Scene) -> None:
    """Booked at nothing, it would let a budget be passed."""
    task = await one_posted(scene)
    finished = Finished(
        remote_id=task.remote_id,
        tag=task.tag,
        answer=None,
        parse_error="no object",
        cost_nanousd=0,
        price_stated=False,
        raw=b"{}",
    )
    ending = ending_of(scene.engine, task, finished, scene.clock.now())
    assert isinstance(ending, Answered)
    assert ending.charge == ADVANCE + BASE_PRICE_STANDARD
    assert ending.parse_error == "no object"


async def test_what_was_fetched_but_not_stored_is_fetched_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    """F7: the list shows an answer once; the id goes on working for 30 days."""
    account = Account(Scenario(latency=lasting(SECOND)), clock=clock)
    account.deposit(NANOS_PER_DOLLAR)
    async with serve(account) as server:
        path = tmp_path / "runner.db"
        async with engine_at(server.url, path, clock, account) as killed:
            task = await one_posted(killed)
            assert isinstance(await fetch(killed.engine, task), Answered)
        assert account.ledger.totals.collected == 1
        async with engine_at(server.url, path, clock, account) as scene:
            await scene.fetch_due()
            assert await scene.states() == {State.COMPLETED: 1}
        assert account.calls.counts[CallKind.TASK_GET] == 2


async def test_what_a_list_shows_during_a_claim_is_not_forgotten(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the claim did not see yet is to be claimed at once, and not by its age."""
    signals, take = scene.engine.signals, scene.store.take_posted

    async def shown_meanwhile(*args: Any, **kwargs: Any) -> list[Posted]:
        taken = await take(*args, **kwargs)
        signals.listed += 3
        return taken

    signals.listed = 2
    monkeypatch.setattr(scene.store, "take_posted", shown_meanwhile)
    assert await claim(scene.engine, 10) == []
    assert signals.listed == 3


async def test_a_claimed_task_is_left_to_its_fetcher_for_a_while(scene: Scene) -> None:
    """Two fetches of one task are a call too many; a fetcher that never comes back is outlived."""
    await one_posted(scene)
    assert await claim(scene.engine, 10) == []
    scene.clock.advance(LEASE + MINUTE)
    assert len(await claim(scene.engine, 10)) == 1


async def test_calls_that_fail_say_nothing_about_the_task(scene: Scene) -> None:
    """An outage of the API must fail nothing and must not make the next ask rare either."""
    task = await one_posted(scene)
    scene.strike(Fault.HTTP_500_BEFORE, post=False, times=3)
    ending = await fetch(scene.engine, task)
    assert isinstance(ending, StillRunning)
    assert ending.ask_again_at <= scene.clock.now() + 2 * MINUTE
    assert scene.engine.signals.unreachable is not None
    assert isinstance(await fetch(scene.engine, task), Answered)
    assert scene.engine.signals.unreachable is None


async def test_many_asks_in_vain_do_not_make_a_young_task_wait_for_hours(scene: Scene) -> None:
    """After an outage a task that still runs is asked again soon, by its age."""
    task = await one_posted(scene)
    ending = told(scene, replace(task, polls=40), Running(code=40602), 4 * MINUTE)
    assert isinstance(ending, StillRunning)
    assert ending.ask_again_at == scene.clock.now() + 4 * MINUTE


async def test_a_task_whose_reply_is_never_readable_is_asked_ever_more_rarely(
    scene: Scene,
) -> None:
    """One broken task must not use up a call a second for thirty days."""
    task = await one_posted(scene)
    for age, least in ((90 * SECOND, MINUTE), (HOUR, 30 * MINUTE), (9 * DAY, 30 * MINUTE)):
        scene.clock.advance(task.posted_at + age - scene.clock.now())
        scene.strike(Fault.HTML, post=False, times=3)
        ending = await fetch(scene.engine, task)
        assert isinstance(ending, StillRunning)
        assert least <= ending.ask_again_at - scene.clock.now() <= least + 3 * MINUTE


async def test_too_many_fetches_slow_the_account_and_blame_no_task(scene: Scene) -> None:
    """F51: 40202 at a fetch: the task is asked for again after the minute."""
    task = await one_posted(scene)
    before = scene.engine.pacer.calls_per_minute
    scene.strike(Fault.RATE_LIMITED, post=False)
    ending = await fetch(scene.engine, task)
    assert isinstance(ending, StillRunning)
    assert ending.ask_again_at >= scene.clock.now() + MINUTE
    assert scene.engine.pacer.calls_per_minute < before
    assert scene.engine.signals.reached


async def test_an_api_that_does_not_reply_is_left_alone_for_longer_and_longer(
    scene: Scene,
) -> None:
    """Ten thousand due tasks must not become ten thousand attempts a minute on a dead host."""
    assert claims_wanted(scene.engine) > 1
    assert silence_wait_s(scene.engine) == 0
    waits = []
    for _ in range(8):
        heed(scene.engine, Unreachable("no reply from the API"))
        assert claims_wanted(scene.engine) == 1
        waits.append(silence_wait_s(scene.engine))
        scene.clock.advance(timedelta(seconds=waits[-1] * 2))
    assert waits[0] <= 1
    assert waits == sorted(waits)
    assert 30 <= waits[-1] <= 60


async def test_only_the_clock_moving_by_days_does_no_harm(
    tmp_path: Path, clock: ManualClock
) -> None:
    """F76: an NTP step or a summer-time mistake must neither fail nor forget a task."""
    async with staged(tmp_path, clock, latency=lasting(HOUR)) as scene:
        await scene.load(2)
        await scene.poster.post_next()
        start = clock.now()
        for moment in (start + 2 * DAY, start - DAY, start + MINUTE):
            clock.set_wall(moment)
            await scene.fetch_due()
            assert (await scene.states()).keys() <= {State.POSTED, State.COMPLETED}
        clock.set_wall(start + 4 * DAY)
        await scene.fetch_due()
        assert await scene.states() == {State.COMPLETED: 2}


async def test_asks_by_age_do_not_keep_ready_results_from_being_fetched(
    tmp_path: Path, clock: ManualClock
) -> None:
    """On a slow account posting takes every call it can get, and asks by age wait for it to end;
    what the list shows goes before posting, so it must find a free fetcher."""
    async with staged(tmp_path, clock, latency=lasting(10 * HOUR)) as scene:
        await scene.load(120)
        while await scene.poster.post_next():
            pass
        scene.account.change(replace(scene.account.scenario, latency=AT_ONCE))
        await scene.load(["quick one?", "quick two?"])
        await scene.poster.post_next()
        clock.advance(2 * MINUTE)
        engine = scene.engine
        send, receive = anyio.create_memory_object_stream[Ending](1_000)

        async def post_for_ever() -> None:
            await engine.unless_stopped(saturate)

        async def saturate() -> None:
            while True:
                await engine.pacer.take(Priority.POST)

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(post_for_ever())
            group.create_task(poll(engine, send))
            group.create_task(write(engine, receive))
            await until(lambda: engine.signals.speculative == SPECULATIVE)
            await ask_list(engine, CLAUDE.endpoint.provider, Trust())
            await until(lambda: scene.sql("SELECT 1 FROM tasks WHERE state = 'completed'"))
            engine.signals.stop()

"""Failures that may be the API's own trouble of a moment: when they are believed, and when not."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from runner.backoff import BELIEVED_AFTER, FEWEST_SAID
from runner.lifecycle import Reason, State
from runner.pipeline.extras import fetch_extras
from runner.pipeline.ready import ask_list
from runner.simulator import endpoints
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.envelope import echo, entry, success
from runner.simulator.faults import Fault
from runner.simulator.scenario import Scenario
from runner.simulator.server import serve
from runner.store.endings import StillRunning
from runner.store.reconciling import Sighting
from runner.task import Provider, RemoteId
from tests.pipeline.scene import DAY, HOUR, MINUTE, Scene, engine_at, lasting, staged
from tests.support.clock import ManualClock

States = dict[State, int]

PASSING = (50000, 50001, 50100, 50301, 50302, 50303, 50304, 50401, 50402)
"""Every 5xxxx of API.md §5."""


@contextmanager
def trouble(code: int) -> Iterator[None]:
    """Meanwhile each task_get says *code* of its task, whatever became of that."""

    def broken(account: Account, call: Any) -> Any:
        task = account.find(call.task_id)
        assert task is not None
        return success([entry(call, task.id, code, echo(call, json.loads(task.request)), cost=0)])

    with mock.patch.dict(endpoints._HANDLERS, {CallKind.TASK_GET: broken}):
        yield


async def _start(base_url: str, path: Path, clock: ManualClock, account: Account) -> States:
    """A start that asks for what is due and ends; the states of the tasks after it."""
    async with engine_at(base_url, path, clock, account) as scene:
        await scene.fetch_due()
        return await scene.states()


async def posted(scene: Scene, tasks: int) -> None:
    await scene.load(tasks)
    await scene.poster.post_next()
    scene.clock.advance(MINUTE)


async def asked_for(scene: Scene, time: timedelta) -> int:
    """Let *time* go by and ask for what is due, each minute; returns how often was asked."""
    asked = 0
    for _ in range(time // MINUTE):
        scene.clock.advance(MINUTE)
        asked += len(await scene.fetch_due())
    return asked


@pytest.mark.parametrize("code", PASSING)
async def test_trouble_of_ten_minutes_pays_for_nothing_anew(scene: Scene, code: int) -> None:
    """F61: the answers are there and paid; taken for failures, each of them would be paid twice."""
    await posted(scene, 5)
    with trouble(code):
        await scene.fetch_due()
        assert await asked_for(scene, timedelta(minutes=10)) == 15
        assert await scene.states() == {State.POSTED: 5}
        assert (await scene.status()).money.refunded == 0
    await asked_for(scene, timedelta(minutes=10))
    assert await scene.states() == {State.COMPLETED: 5}
    assert len(scene.created()) == 5
    assert scene.sql("SELECT DISTINCT state, code, message FROM attempts") == [
        ("completed", None, None)
    ]


async def test_a_true_failure_is_believed_in_the_end_and_tried_again(scene: Scene) -> None:
    """One that nobody ever believes would wait for 30 days, and the prompt with it."""
    await scene.load(1)
    scene.strike(Fault.TASK_FAILS, code=50301, times=5)
    for posts in (1, 2, 3):
        await scene.poster.post_next()
        assert len(scene.created()) == posts
        scene.clock.advance(MINUTE)
        await scene.fetch_due()
        asked = await asked_for(scene, BELIEVED_AFTER - MINUTE)
        assert await scene.states() == {State.POSTED: 1}
        assert 12 <= asked <= 20
        await asked_for(scene, 2 * HOUR)
    assert (await scene.status()).reasons == {(State.FAILED, Reason.REMOTE): 1}
    assert await scene.poster.post_next() is None
    (group,) = await scene.store.failures(scene.run.id)
    assert group.code == 50301


async def test_a_task_whose_72_hours_end_so_is_tried_again(
    tmp_path: Path, clock: ManualClock
) -> None:
    """F66: with which code they end is not documented, and by one of these it is seen later."""
    async with staged(tmp_path, clock, stuck_rate=1.0, tries=1, timeout_code=50301) as scene:
        await posted(scene, 1)
        await scene.fetch_due()
        clock.advance(73 * HOUR)
        await scene.fetch_due()
        assert await scene.states() == {State.POSTED: 1}
        await asked_for(scene, BELIEVED_AFTER + 2 * HOUR)
        assert (await scene.status()).reasons == {(State.FAILED, Reason.TIMED_OUT): 1}


async def test_what_was_said_is_kept_across_starts_and_goes_by_the_api_s_time(
    tmp_path: Path, clock: ManualClock
) -> None:
    """F76: many short starts must come to an end, too; a clock set forward must not hasten it."""
    account = Account(Scenario(latency=lasting(MINUTE)), clock=clock)
    account.deposit(10**10)
    path = tmp_path / "runner.db"
    async with serve(account) as server:
        async with engine_at(server.url, path, clock, account) as scene:
            scene.strike(Fault.TASK_FAILS, code=50000)
            await posted(scene, 1)
        starts = 0
        while State.POSTED in (found := await _start(server.url, path, clock, account)):
            assert found == {State.POSTED: 1}
            starts += 1
            clock.advance(DAY)
    # A day apart each, so that it is the number of asks that decides.
    assert starts + 1 == FEWEST_SAID
    assert found == {State.PENDING: 1}


async def test_a_wall_clock_set_forward_makes_nothing_believed(scene: Scene) -> None:
    """F76: it would pay for everything that an outage of a minute was asked about."""
    await posted(scene, 1)
    with trouble(50000):
        await scene.fetch_due()
        for _ in range(6):
            scene.clock.set_wall(scene.clock.now() + DAY)
            await scene.fetch_due()
        assert await scene.states() == {State.POSTED: 1}


async def test_the_word_that_it_runs_takes_a_failure_back(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Two bad moments of a long task, hours apart, are no failure that went on all the while."""
    async with staged(tmp_path, clock, latency=lasting(30 * HOUR)) as scene:
        await posted(scene, 1)
        for _ in range(2):
            with trouble(50303):
                await asked_for(scene, 7 * HOUR)
                assert scene.sql("SELECT code FROM attempts") == [(50303,)]
            await asked_for(scene, 6 * HOUR)
            assert scene.sql("SELECT code, message, ended_at FROM attempts") == [(None,) * 3]
            assert await scene.states() == {State.POSTED: 1}


async def test_the_ready_list_does_not_hasten_the_asks(scene: Scene) -> None:
    """It shows a finished task until it is collected: each round of it would bring one more ask."""
    await posted(scene, 3)
    with trouble(50000):
        await scene.fetch_due()
        trust = scene.engine.planner.trust
        assert await ask_list(scene.engine, Provider.CLAUDE, trust) == 0
        assert await scene.fetch_due() == []
    await asked_for(scene, 2 * MINUTE)
    assert await scene.states() == {State.COMPLETED: 3}


async def test_past_30_days_it_is_expired_and_only_a_person_pays_again(scene: Scene) -> None:
    """F60: nothing can be there any more, and whether anything was is not known."""
    await posted(scene, 1)
    scene.clock.advance(31 * DAY)
    with trouble(50000):
        await scene.fetch_due()
    assert await scene.states() == {State.EXPIRED: 1}
    assert await scene.poster.post_next() is None


async def test_a_person_sees_what_is_said_and_that_it_waits(scene: Scene) -> None:
    """`show` must not call a task ended that is asked for."""
    await posted(scene, 1)
    with trouble(50304):
        (ending,) = await scene.fetch_due()
    assert isinstance(ending, StillRunning)
    detail = await scene.store.task(1)
    assert detail is not None
    (attempt,) = detail.attempts
    assert (attempt.state, attempt.code, attempt.ended_at) == ("posted", 50304, None)


async def test_a_second_task_that_fails_so_is_not_asked_for_for_ever(scene: Scene) -> None:
    """Nobody pays for it anew, so its age will do; a minute apart, it would cost 43,000 calls."""
    await scene.load(1)
    scene.strike(Fault.ACCEPTED_TWICE)
    await scene.poster.post_next()
    await scene.engine.api.user_data()
    tasks = scene.account.ledger.tasks
    seen = [Sighting(tag=str(each.tag), remote_id=RemoteId(each.id)) for each in tasks]
    await scene.store.found(seen, now=scene.clock.now(), account=scene.engine.account)
    with trouble(50000):
        calls = scene.account.calls.counts[CallKind.TASK_GET]
        for _ in range(14 * 60):
            scene.clock.advance(MINUTE)
            await fetch_extras(scene.engine)
        calls = scene.account.calls.counts[CallKind.TASK_GET] - calls
    assert scene.sql("SELECT state FROM extra_charges") == [("failed",)]
    # Three tries each, within the call.
    assert calls <= 3 * 20

"""Ctrl-C, failures and full disks in the middle of a start: what is under way is saved."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.app import RunOptions, StopSwitch
from runner.app.opening import own_store
from runner.app.values import StoppedEarly
from runner.errors import Exit, StoreBroken, TryLater
from runner.lifecycle import State
from runner.pipeline import ready
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.store.sqlite.store import SqliteStore
from runner.store.values import StoreUnwritable
from tests.app.place import AN_HOUR, Place, placed, states
from tests.support.waiting import until

STALL_S = 30.0


async def test_a_stop_saves_the_post_under_way_and_begins_no_other(place: Place) -> None:
    """F9: the first Ctrl-C. What was sent is paid for, so its reply is waited for."""
    place.strike(Fault.SLOW, seconds=0.4, times=9)
    job = place.job(900)
    start = place.begin(job)
    await until(place.created)
    place.stop.request(Exit.INTERRUPTED)
    posts = place.posts()
    summary = await start
    assert summary.exit is Exit.INTERRUPTED
    assert place.posts() <= posts + 1
    counts = states(summary)
    assert not counts.keys() & {State.POSTING, State.UNKNOWN}
    assert counts[State.POSTED] + counts.get(State.COMPLETED, 0) == len(place.created())
    place.stop = StopSwitch()
    assert (await place.start(job)).exit is Exit.DONE
    assert len(place.created()) == len(set(place.created())) == 900


@pytest.mark.parametrize("call", [CallKind.USER_DATA, CallKind.TASKS_READY, CallKind.TASK_GET])
async def test_a_stop_does_not_wait_for_free_calls(place: Place, call: CallKind) -> None:
    """They cost nothing and can be made again: nobody should sit through their timeouts."""
    job = place.job(3)
    if call is not CallKind.USER_DATA:
        await place.start(job, RunOptions(export=False, wait_s=0.001))
    place.strike(Fault.STALL_BEFORE, call, seconds=STALL_S, times=99)
    start = place.begin(job)
    await until(lambda: place.account.faults.struck.get(Fault.STALL_BEFORE))
    place.stop.request(Exit.TERMINATED)
    asked_at = time.monotonic()
    assert (await start).exit is Exit.TERMINATED
    assert time.monotonic() - asked_at < STALL_S / 2


async def test_a_stop_ends_the_long_waits_for_an_answer(tmp_path: Path) -> None:
    """Six hours of waiting for answers is exactly when somebody presses Ctrl-C."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        start = place.begin(place.job(2))
        calls = place.account.calls.counts
        await until(lambda: place.created() and calls[CallKind.TASKS_READY] >= 2)
        place.stop.request()
        summary = await start
        assert summary.exit is Exit.INTERRUPTED
        assert states(summary) == {State.POSTED: 2}


async def test_a_stop_while_the_input_is_read_posts_nothing(place: Place) -> None:
    """A file of a million rows takes a minute to load."""
    start = place.begin(place.job(60_000))
    await asyncio.sleep(0.05)
    place.stop.request(Exit.INTERRUPTED)
    with pytest.raises(StoppedEarly) as caught:
        await start
    assert caught.value.exit_code is Exit.INTERRUPTED
    assert place.calls() == 0


async def test_a_stop_while_waiting_for_the_lock_ends_the_wait(place: Place) -> None:
    """`--wait-lock 2h` in a terminal."""
    async with own_store(place.settings(), wait_lock_s=0, clock=place.clock):
        start = place.begin(place.job(1), RunOptions(export=False, wait_lock_s=7200))
        await asyncio.sleep(0.05)
        place.stop.request(Exit.TERMINATED)
        with pytest.raises(StoppedEarly) as caught:
            await start
    assert caught.value.exit_code is Exit.TERMINATED


async def test_another_engine_is_refused_at_once_and_the_first_is_named(place: Place) -> None:
    """F13, F16: cron starts a run while the last one still works."""
    settings = place.settings()
    async with own_store(settings, wait_lock_s=0, clock=place.clock):
        with pytest.raises(TryLater) as caught:
            await place.start(place.job(1))
        assert "pid" in caught.value.what
        began = place.clock.monotonic()
        with pytest.raises(TryLater):
            await place.start(place.job(), RunOptions(export=False, wait_lock_s=4))
        assert place.clock.monotonic() - began >= 4
    assert (await place.start(place.job())).exit is Exit.DONE


async def test_a_lock_that_comes_free_is_taken(place: Place) -> None:
    """`--wait-lock`: the second start simply goes on after the first."""
    options = RunOptions(export=False, wait_s=3600, wait_lock_s=600)
    async with own_store(place.settings(), wait_lock_s=0, clock=place.clock):
        start = place.begin(place.job(2), options)
        await asyncio.sleep(0.2)
        assert not start.done()
        assert place.calls() == 0
    assert (await start).exit is Exit.DONE


async def test_a_bug_in_one_stage_comes_out_plain_and_the_rest_is_saved(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 70, but what other stages have sent and paid for is in the store."""

    async def fail(*_args: object) -> int:
        await until(place.created)
        raise LookupError("a bug of ours")

    monkeypatch.setattr(ready, "ask_list", fail)
    place.strike(Fault.SLOW, seconds=0.4)
    job = place.job(100)
    with pytest.raises(LookupError):
        await place.start(job)
    assert place.sql("SELECT state, count(*) FROM tasks GROUP BY 1") == [("posted", 100)]
    assert place.sql("SELECT count(*) FROM workers WHERE ended_at IS NULL") == [(0,)]
    monkeypatch.undo()
    assert (await place.start(job)).exit is Exit.DONE


async def test_a_failing_screen_does_not_cost_what_is_under_way(place: Place) -> None:
    """`runner run … 2>&1 | head`: the reporter's pipe is gone in the middle of a post."""
    place.reporter.fail_when = place.created
    place.strike(Fault.SLOW, seconds=0.4)
    with pytest.raises(BrokenPipeError):
        await place.start(place.job(100))
    assert place.sql("SELECT state, count(*) FROM tasks GROUP BY 1") == [("posted", 100)]


async def test_a_store_that_is_replaced_while_running_ends_the_start(place: Place) -> None:
    """F26: an intent written to a deleted file would be found by nobody."""
    job = place.job(300)
    place.strike(Fault.SLOW, seconds=0.3, times=9)
    start = place.begin(job)
    await until(place.created)
    (place.folder / "runner.db").rename(place.folder / "moved.db")
    with pytest.raises(StoreBroken):
        await start


def full(monkeypatch: pytest.MonkeyPatch, *verbs: str) -> None:
    """Let the disk be full for *verbs*."""

    async def refuse(*_args: Any, **_how: Any) -> Any:
        raise StoreUnwritable("the store cannot be written: database or disk is full")

    for verb in verbs:
        monkeypatch.setattr(SqliteStore, verb, refuse)


async def test_a_disk_that_is_full_before_the_intent_sends_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F21: it waits for space as long as it was told to wait, then says why."""
    full(monkeypatch, "begin_batch", "end_worker", "take_slot")
    for wait_s in (0.0, 20.0):
        summary = await place.start(place.job(3), RunOptions(export=False, wait_s=wait_s))
        assert summary.exit is Exit.NOT_FINISHED
        assert summary.reason is not None
        assert "could not be written" in summary.reason.what
        assert place.posts() == 0
    monkeypatch.undo()
    assert (await place.start(place.job())).exit is Exit.DONE


async def test_a_disk_that_is_full_while_loading_is_told_plainly(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F23: exit 75, and the same command goes on once there is space."""
    full(monkeypatch, "add_rows")
    with pytest.raises(TryLater):
        await place.start(place.job(3))
    assert place.posts() == 0
    monkeypatch.undo()
    assert (await place.start(place.job())).exit is Exit.DONE


async def test_answers_wait_for_space_and_are_stored(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F22, F23: the disk fills up in the middle of the night and is cleaned in the morning."""
    full(monkeypatch, "book", "mark_ready")
    start = place.begin(place.job(3))
    await until(lambda: place.account.calls.counts[CallKind.TASKS_READY] >= 2)
    monkeypatch.undo()
    assert (await start).exit is Exit.DONE


async def test_what_a_killed_engine_was_posting_is_in_doubt_before_anything_else(
    place: Place,
) -> None:
    """F4: it is looked for, found and collected; nothing is posted a second time."""
    job = place.job(3)
    place.strike(Fault.STALL_AFTER, seconds=30)
    start = place.begin(job)
    await until(place.created)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert place.sql("SELECT DISTINCT state FROM tasks") == [("posting",)]
    summary = await place.start(job)
    assert summary.exit is Exit.DONE
    assert states(summary) == {State.COMPLETED: 3}
    assert place.account.calls.counts[CallKind.TASK_POST] == 1
    assert len(place.created()) == 3


async def test_days_may_pass_in_the_middle_of_a_start(tmp_path: Path) -> None:
    """A laptop that was closed over the weekend: what waits is collected, nothing is repeated."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        start = place.begin(place.job(3), RunOptions(export=False, wait_s=1e9))
        await until(lambda: place.account.calls.counts[CallKind.TASKS_READY] >= 1)
        place.clock.advance(timedelta(days=3))
        summary = await start
        assert summary.exit is Exit.DONE
        assert len(place.created()) == 3

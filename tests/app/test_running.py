"""Whole starts: how each of them ends, with which code, and what it leaves for the next."""

import socket
from datetime import timedelta
from pathlib import Path

import pytest

from runner.app import RunOptions
from runner.errors import CredentialsRefused, Exit, MoneyStopped, TryLater, WrongInput
from runner.lifecycle import State
from runner.money import ADVANCE, BASE_PRICE_STANDARD, NANOS_PER_DOLLAR
from runner.pipeline import account
from runner.settings import Settings
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.simulator.latency import Latency, Shape
from runner.store.values import Decision
from tests.app.place import AN_HOUR, Place, placed, states
from tests.support.clock import START
from tests.support.fast_clock import FastClock
from tests.support.waiting import until

HOUR = timedelta(hours=1)
LEAVE = RunOptions(export=False, wait_s=0)


async def test_a_start_asks_everything_and_writes_it_down(place: Place) -> None:
    """The main job: a prompt file goes in, answers and costs come out."""
    summary = await place.start(
        place.job(250, providers=("claude", "gemini")), RunOptions(wait_s=3600)
    )
    assert summary.exit is Exit.DONE
    assert summary.reason is None
    assert states(summary) == {State.COMPLETED: 500}
    assert summary.status.money.charged == place.account.ledger.totals.charged_nanousd
    assert len(place.created()) == len(set(place.created())) == 500
    assert {file.name for file in summary.files} == {"sky.csv", "sky.jsonl"}
    assert len((place.folder / "out" / "sky.jsonl").read_text().splitlines()) == 500
    assert place.reporter.runs == ["sky"]
    assert place.reporter.progresses[-1].status.states[State.COMPLETED] == 500


async def test_the_same_start_again_makes_no_call_at_all(place: Place) -> None:
    """Cron starts a finished job every night; it must cost nothing and ask nothing."""
    job = place.job(3)
    await place.start(job)
    calls = place.calls()
    summary = await place.start(job)
    assert (summary.exit, summary.calls) == (Exit.DONE, 0)
    assert place.calls() == calls
    assert summary.load is not None
    assert summary.load.unchanged


async def test_a_start_with_only_doubtful_tasks_left_looks_for_them_and_collects(
    place: Place,
) -> None:
    """The reply was lost, the tasks were not: nobody should have to start again for them."""
    job = place.job(3)
    place.strike(Fault.DROP_AFTER)
    summary = await place.start(job)
    assert summary.exit is Exit.DONE
    assert states(summary) == {State.COMPLETED: 3}
    assert summary.elapsed_s < 600
    assert len(place.created()) == 3


async def test_doubt_that_is_left_when_the_time_is_up_ends_with_3(tmp_path: Path) -> None:
    """Without a listing nothing can be told before 72 hours are over."""
    async with placed(tmp_path, latency=AN_HOUR, listing=False) as place:
        job = place.job(3)
        place.strike(Fault.DROP_BEFORE)
        summary = await place.start(job, RunOptions(export=False, wait_s=60.0))
        assert summary.exit is Exit.NOT_FINISHED
        assert states(summary) == {State.UNKNOWN: 3}
        assert len(place.created()) == 0


async def test_wait_0_posts_and_leaves_and_a_later_start_collects(tmp_path: Path) -> None:
    """For answers that take hours: cron posts in the evening and collects in the morning."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        job = place.job(150)
        summary = await place.start(job, LEAVE)
        assert summary.exit is Exit.NOT_FINISHED
        assert states(summary) == {State.POSTED: 150}
        assert place.account.calls.counts[CallKind.TASK_GET] == 0
        place.clock.advance(2 * HOUR)
        summary = await place.start(job, LEAVE)
        assert summary.exit is Exit.DONE
        assert states(summary) == {State.COMPLETED: 150}


async def test_wait_0_collects_what_is_past_the_ready_list_s_three_days(tmp_path: Path) -> None:
    """Nobody looked for ten days; the list has forgotten the answers, their ids have not."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        job = place.job(3)
        await place.start(job, LEAVE)
        place.clock.advance(10 * 24 * HOUR)
        summary = await place.start(job, LEAVE)
        assert states(summary) == {State.COMPLETED: 3}


async def test_a_failure_of_72_hours_is_posted_again_by_the_next_start(tmp_path: Path) -> None:
    """The API gives the advance back, so the policy allows another try."""
    async with placed(tmp_path, speed=20, stuck_rate=1.0) as place:
        job = place.job(2)
        await place.start(job, LEAVE)
        place.clock.advance(73 * HOUR)
        going = place.begin(job)
        await until(lambda: len(place.created()) == 4)
        place.stop.request()
        summary = await going
        assert states(summary) == {State.POSTED: 2}
        assert len(place.created()) == 4


async def test_a_result_of_31_days_is_expired_and_counts_as_failed(tmp_path: Path) -> None:
    """It is paid for and gone; the code says so, and nothing is asked again by itself."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        job = place.job(2)
        await place.start(job, LEAVE)
        place.clock.advance(31 * 24 * HOUR)
        summary = await place.start(job)
        assert summary.exit is Exit.SOME_FAILED
        assert states(summary) == {State.EXPIRED: 2}
        assert len(place.created()) == 2


async def test_a_start_ends_when_its_time_is_up(tmp_path: Path) -> None:
    """`--wait 30s`: what runs is collected by a later start."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        summary = await place.start(place.job(2), RunOptions(export=False, wait_s=30))
        assert summary.exit is Exit.NOT_FINISHED
        assert 30 <= summary.elapsed_s < 300
        assert states(summary) == {State.POSTED: 2}


async def test_a_budget_that_is_used_up_ends_the_start_with_4(place: Place) -> None:
    """The hard stop: the rest waits for a person, and the message names what to raise."""
    job = place.job(40, limits="budget_usd = 0.05")
    summary = await place.start(job)
    assert summary.exit is Exit.MONEY
    assert isinstance(summary.reason, MoneyStopped)
    assert "budget_usd" in summary.reason.what
    assert summary.status.money.charged <= NANOS_PER_DOLLAR // 20
    assert summary.status.states[State.PENDING] > 0
    assert summary.status.states[State.POSTED] == 0


async def test_a_hold_makes_waves_and_all_is_done_in_the_end(place: Place) -> None:
    """`max_hold_usd` only slows: answers free it."""
    summary = await place.start(place.job(12, limits="max_hold_usd = 0.05"))
    assert summary.exit is Exit.DONE
    assert place.posts() >= 3


async def test_a_balance_that_is_used_up_stops_posting_and_collects_the_rest(
    place: Place,
) -> None:
    """F55: exit 4 once everything that was paid for is in."""
    place.strike(Fault.PAYMENT_REQUIRED, skip=1, code=40210)
    summary = await place.start(place.job(150))
    assert summary.exit is Exit.MONEY
    assert states(summary) == {State.COMPLETED: 100, State.PENDING: 50}
    assert summary.reason is not None
    assert summary.reason.exit_code is Exit.MONEY
    again = await place.start(place.job())
    assert again.exit is Exit.DONE


async def test_a_top_up_in_the_middle_of_a_night_is_noticed_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F55, F56: nobody is there to start it again, and what is queued waits for nothing else."""
    monkeypatch.setattr(account, "PROBE_EVERY_S", 10.0)
    a_minute = Latency(Shape.CONSTANT, 60.0)
    price = ADVANCE + BASE_PRICE_STANDARD
    async with placed(tmp_path, latency=a_minute, balance=100 * price) as place:
        going = place.begin(place.job(150))
        await until(lambda: place.posts() == 2)
        assert len(place.created()) == 100
        place.account.deposit(NANOS_PER_DOLLAR)
        summary = await going
        assert summary.exit is Exit.DONE
        assert states(summary) == {State.COMPLETED: 150}
        assert len(place.created()) == 150


async def test_too_many_calls_cost_no_task(tmp_path: Path) -> None:
    """F51: 40202 slows the start down and is forgotten."""
    async with placed(tmp_path, speed=30) as place:
        place.strike(Fault.RATE_LIMITED)
        summary = await place.start(place.job(5))
        assert summary.exit is Exit.DONE
        assert place.sql("SELECT DISTINCT tries FROM tasks") == [(0,)]


async def test_late_answers_of_an_earlier_run_are_collected_and_written(tmp_path: Path) -> None:
    """Yesterday's run is not started any more, but its answers are paid for."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        job = place.job(2, run='key = "{{date}}"')
        first = await place.start(job, LEAVE)
        place.clock.advance(24 * HOUR)
        summary = await place.start(
            place.job(["new?"], run='key = "{{date}}"'), RunOptions(wait_s=0)
        )
        assert summary.status.run.key != first.status.run.key
        (other,) = summary.others
        assert other.run == first.status.run
        assert other.states[State.COMPLETED] == 2
        assert {file.name for file in summary.files} == {
            f"sky@{run.key}.{form}"
            for run in (summary.status.run, other.run)
            for form in ("csv", "jsonl")
        }
        assert summary.exit is Exit.NOT_FINISHED


async def test_pending_tasks_of_an_earlier_run_are_shown_and_not_posted(place: Place) -> None:
    """Yesterday's questions are asked only if somebody says so: `--run KEY`."""
    job = place.job(2, run='key = "{{date}}"', limits="budget_usd = 0.011")
    first = await place.start(job)
    assert states(first)[State.PENDING] == 1
    place.clock.advance(24 * HOUR)
    place.strike(Fault.PAYMENT_REQUIRED)
    second = await place.start(place.job(run='key = "{{date}}"'))
    assert [(each.run.id, each.tasks) for each in second.left_over] == [(first.status.run.id, 1)]
    posts = place.posts()
    third = await place.start(
        place.job(run='key = "{{date}}"'),
        RunOptions(export=False, key=first.status.run.key),
    )
    assert third.status.run == first.status.run
    assert third.load is None
    assert states(third) == {State.COMPLETED: 2}
    assert place.posts() == posts + 1


async def test_a_wrong_password_ends_with_5_and_the_rows_stay(tmp_path: Path) -> None:
    """F54: the right one, given later, goes on from here."""
    async with placed(tmp_path, password="right") as place:
        job = place.job(3)
        summary = await place.start(job)
        assert summary.exit is Exit.CREDENTIALS
        assert states(summary) == {State.PENDING: 3}
        assert place.posts() == 0
        settings = place.settings(DATAFORSEO_PASSWORD="right")
        assert (await place.start(job, settings=settings)).exit is Exit.DONE


async def test_missing_credentials_are_told_after_the_input_was_loaded(place: Place) -> None:
    """Exit 5, and what was read is kept: nobody has to wait for the same load twice."""
    settings = place.settings(DATAFORSEO_LOGIN="", DATAFORSEO_PASSWORD="")
    with pytest.raises(CredentialsRefused):
        await place.start(place.job(3), settings=settings)
    assert place.sql("SELECT state, count(*) FROM tasks GROUP BY 1") == [("pending", 3)]
    assert place.calls() == 0
    assert (await place.start(place.job())).exit is Exit.DONE


async def test_an_api_that_is_never_reached_ends_with_75(tmp_path: Path) -> None:
    """F45: cron tries again later; nothing was charged and nothing is blamed."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
    async with placed(tmp_path, speed=60) as place:
        settings = place.settings(DATAFORSEO_BASE_URL=dead)
        waiting = RunOptions(export=False, wait_s=60)
        summary = await place.start(place.job(3), waiting, settings=settings)
        assert summary.exit is Exit.TRY_LATER
        assert isinstance(summary.reason, TryLater)
        assert states(summary) == {State.PENDING: 3}
        assert summary.elapsed_s >= 60
        # A minute of a slower one is long enough for a busy machine.
        passed = place.clock.now() - START
        place.clock = FastClock()
        place.clock.advance(passed + HOUR)
        at_once = await place.start(place.job(), LEAVE, settings=settings)
        assert at_once.exit is Exit.TRY_LATER
        assert at_once.elapsed_s < 60


async def test_a_wrong_base_url_ends_with_2(place: Place) -> None:
    """Something else answers there."""
    settings = place.settings(DATAFORSEO_BASE_URL=place.url + "/elsewhere")
    summary = await place.start(place.job(3), settings=settings)
    assert summary.exit is Exit.WRONG_INPUT
    assert states(summary) == {State.PENDING: 3}


async def test_bad_rows_leave_nothing_behind(place: Place) -> None:
    """Above all no run: an empty one begun by --fresh would make the next plain start pay again."""
    job = place.job(["fine?"])
    await place.start(job)
    bad = place.job(["fine?", "x" * 501])
    for options in (RunOptions(export=False), RunOptions(export=False, fresh=True)):
        with pytest.raises(WrongInput):
            await place.start(bad, options)
    assert len(place.reporter.problems) == 2
    summary = await place.start(place.job(["fine?"]))
    assert (summary.status.run.fresh, summary.calls) == (0, 0)
    assert len(place.created()) == 1


async def test_an_export_that_may_not_be_written_is_refused_before_anything_is_sent(
    place: Place,
) -> None:
    """A file that is not ours stands there; found out after the money is spent, it would hurt."""
    job = place.job(2)
    job.output_dir.mkdir(exist_ok=True)
    (job.output_dir / "sky.csv").write_text("somebody's own work")
    with pytest.raises(WrongInput):
        await place.start(job, RunOptions())
    assert place.calls() == 0
    assert place.sql("SELECT count(*) FROM tasks") == [(0,)]
    summary = await place.start(job, RunOptions(force=True))
    assert summary.exit is Exit.DONE


async def test_an_edited_request_is_not_sent_until_somebody_says_so(place: Place) -> None:
    """A changed temperature is reported; asking again, and paying again, is a decision."""
    await place.start(place.job(2))
    edited = place.job(temperature=0.1)
    summary = await place.start(edited)
    assert (summary.exit, summary.status.changed, summary.calls) == (Exit.DONE, 2, 0)
    asked = await place.start(edited, RunOptions(export=False, changed=Decision.ASK))
    assert (asked.exit, asked.status.changed) == (Exit.DONE, 0)
    assert len(place.created()) == 4


async def test_only_new_rows_are_asked(place: Place) -> None:
    """A row inserted at the top, the others sorted: one question more, one charge more."""
    await place.start(place.job(["b?", "a?"]))
    summary = await place.start(place.job(["new?", "a?", "b?"]))
    assert summary.exit is Exit.DONE
    assert len(place.created()) == 3


async def test_rejects_count_against_the_failures_that_are_allowed(place: Place) -> None:
    """`--skip-bad` asks the others, and the code still says that something was left out."""
    job = place.job(["fine?", "x" * 501])
    summary = await place.start(
        job, RunOptions(export=False, skip_bad=place.folder / "rejects.csv")
    )
    assert summary.exit is Exit.SOME_FAILED
    assert states(summary) == {State.COMPLETED: 1}
    assert (place.folder / "rejects.csv").exists()


async def test_the_simulator_inside_keeps_its_account_beside_the_store(place: Place) -> None:
    """`--api sim --wait 0`, then the same again: as with the real API, and free."""
    settings = Settings.load(environ={}, flags={"api": "sim"}, workspace=place.folder)
    first = await place.start(place.job(3), LEAVE, settings=settings)
    assert first.exit is Exit.NOT_FINISHED
    assert (place.folder / "runner-sim.account.jsonl").exists()
    second = await place.start(place.job(), RunOptions(export=False, wait_s=600), settings=settings)
    assert second.exit is Exit.DONE
    lines = (place.folder / "runner-sim.account.jsonl").read_text().splitlines()
    assert sum("posted" in line for line in lines) == 1
    assert place.calls() == 0


async def test_a_folder_that_cannot_be_written_is_told_before_anything_is_sent(
    place: Place,
) -> None:
    """A start takes a folder, and may leave the files out; `export -o FILE` would be no help."""
    (place.folder / "out").write_text("no folder")
    with pytest.raises(WrongInput) as caught:
        await place.start(place.job(1), RunOptions(wait_s=3600))
    assert "-o DIR" in (caught.value.how or "")
    assert "--no-export" in (caught.value.how or "")
    assert place.calls() == 0

"""`load`, `submit` and `poll`: the parts of a start, one at a time."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from runner.app import Limits, RunOptions, Step, StepSummary, collect, load_job, submit
from runner.app.values import Loaded
from runner.errors import CredentialsRefused, Exit, MoneyStopped, TryLater, WrongInput
from runner.jobfile import Job
from runner.lifecycle import State
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.store.lock import engine_lock, loading_lock
from runner.store.values import Run
from tests.app.place import AN_HOUR, Place, placed
from tests.support.jobs import write_prompts

HOUR = timedelta(hours=1)


def everybody(runs: Sequence[Run]) -> Sequence[Run]:
    return runs


def step(place: Place, **environ: str) -> Step:
    return Step(
        settings=place.settings(**environ),
        clock=place.clock,
        reporter=place.reporter,
        stop=place.stop,
    )


async def queued(place: Place, job: Job) -> Loaded:
    """Load *job*, remembering its file as the command line does."""
    return await load_job(
        job,
        RunOptions(source=str(place.folder / f"{job.name}.toml")),
        settings=place.settings(),
        clock=place.clock,
        reporter=place.reporter,
        stop=place.stop,
    )


async def post(place: Place, *, limit: int | None = None) -> StepSummary:
    return await submit(step(place), everybody, Limits(place.folder), limit=limit)


async def test_load_submit_and_poll_do_together_what_run_does(tmp_path: Path) -> None:
    """Who wants to look between the steps gets the same answers at the same cost."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        loaded = await queued(place, place.job(150))
        assert loaded.load is not None
        assert loaded.load.added.new == 150
        assert place.posts() == 0
        posted = await post(place)
        assert (posted.exit, posted.posts) == (Exit.DONE, 2)
        assert posted.after[0].states[State.POSTED] == 150
        assert place.account.calls.counts[CallKind.TASK_GET] == 0
        early = await collect(step(place), everybody, wait_s=0)
        assert early.exit is Exit.NOT_FINISHED
        place.clock.advance(2 * HOUR)
        late = await collect(step(place), everybody, wait_s=0)
        assert late.exit is Exit.DONE
        assert late.after[0].states[State.COMPLETED] == 150
        assert len(place.created()) == 150


async def test_loading_twice_adds_nothing_and_a_longer_file_only_what_is_new(place: Place) -> None:
    """People load again to be sure; that must not be paid for."""
    await queued(place, place.job(3))
    again = await queued(place, place.job(3))
    assert again.load is not None
    assert again.load.unchanged
    longer = await queued(place, place.job(5))
    assert longer.load is not None
    assert (longer.load.added.new, longer.load.added.known) == (2, 3)


async def test_two_loaders_of_one_job_at_once_leave_one_whole_load(place: Place) -> None:
    """Their chunks would mix: lines in two loads, some twice in an export and some out of order."""
    job = place.job(6_000)
    first, second = await asyncio.gather(queued(place, job), queued(place, job))
    new = [each.load.added.new for each in (first, second) if each.load is not None]
    assert sorted(new) == [0, 6_000]
    lines = place.sql(
        "SELECT load_id, count(*), count(DISTINCT position) FROM input_rows GROUP BY 1"
    )
    assert [line[1:] for line in lines] == [(6_000, 6_000)]
    assert place.sql("SELECT row_count FROM loads ORDER BY id DESC LIMIT 1") == [(6_000,)]


async def test_a_load_waits_for_another_one_and_says_75_if_that_does_not_end(place: Place) -> None:
    """A load that hangs must not make every later one hang without a word."""
    job = place.job(3)
    async with loading_lock(place.folder / "runner.db", wait_s=0, clock=place.clock):
        waiting = asyncio.ensure_future(queued(place, job))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        place.clock.advance(HOUR)
        with pytest.raises(TryLater, match="loading"):
            await waiting


async def test_a_load_that_broke_off_posts_nothing_before_it_is_done_again(place: Place) -> None:
    """A file that changed half-way: what of it came into the queue is not asked, and not paid."""
    await queued(place, place.job(3))
    with closing(sqlite3.connect(place.folder / "runner.db")) as db, db:
        db.execute("UPDATE loads SET finished_at = NULL")
    posted = await post(place)
    assert posted.after[0].loading
    assert place.posts() == 0
    await queued(place, place.job(3))
    await post(place)
    assert len(place.created()) == 3


async def test_load_goes_on_beside_an_engine_and_submit_steps_aside(place: Place) -> None:
    """Loading needs no engine; a second poster would break the account's limit."""
    job = place.job(3)
    async with engine_lock(place.folder / "runner.db", wait_s=0, clock=place.clock):
        await queued(place, job)
        with pytest.raises(TryLater, match="another run is active"):
            await post(place)
        with pytest.raises(TryLater, match="another run is active"):
            await collect(step(place), everybody, wait_s=0)


async def test_submit_posts_no_more_than_its_limit(place: Place) -> None:
    """The first hundred are looked at before the rest is paid for."""
    await queued(place, place.job(250))
    first = await post(place, limit=120)
    assert first.exit is Exit.DONE
    assert (len(place.created()), first.posts) == (120, 2)
    await post(place)
    assert len(place.created()) == 250


async def test_submit_keeps_to_the_budget_of_the_job_file(place: Place) -> None:
    """Nobody names the job file here; its limits hold all the same."""
    await queued(place, place.job(5, limits="budget_usd = 0.025"))
    posted = await post(place)
    assert posted.exit is Exit.MONEY
    assert isinstance(posted.reason, MoneyStopped)
    assert len(place.created()) == 2


async def test_without_its_job_file_nothing_of_a_run_is_posted(place: Place) -> None:
    """What it may spend stood there; posting without a limit is not what anybody asked for."""
    await queued(place, place.job(3))
    (place.folder / "sky.toml").unlink()
    with pytest.raises(WrongInput, match="does not say the budget"):
        await post(place)
    assert place.posts() == 0


async def test_a_refused_login_ends_a_step_with_5(place: Place) -> None:
    """Cron mails for that; it must not look like an empty queue."""
    await queued(place, place.job(3))
    place.strike(Fault.UNAUTHORIZED, times=99)
    posted = await post(place)
    assert posted.exit is Exit.CREDENTIALS
    assert isinstance(posted.reason, CredentialsRefused)


async def test_submit_with_nobody_there_leaves_with_75(place: Place) -> None:
    """It is to post and leave, not to wait for an API that is down."""
    await queued(place, place.job(3))
    summary = await submit(
        step(place, DATAFORSEO_BASE_URL="http://127.0.0.1:9"),
        everybody,
        Limits(place.folder),
        limit=None,
    )
    assert summary.exit is Exit.TRY_LATER


async def test_poll_posts_nothing(place: Place) -> None:
    """What is pending may wait for a budget, or for a person."""
    await queued(place, place.job(3))
    await post(place)
    write_prompts(place.folder / "q.csv", 5)
    await queued(place, place.job())
    summary = await collect(step(place), everybody, wait_s=3600)
    assert summary.exit is Exit.DONE
    assert summary.after[0].states[State.COMPLETED] == 3
    assert summary.after[0].states[State.PENDING] == 2


async def test_submit_and_poll_take_up_what_a_lost_reply_left_in_doubt(place: Place) -> None:
    """Who only takes steps must not need `run` to find again what was paid for."""
    await queued(place, place.job(3))
    place.strike(Fault.DROP_AFTER)
    await post(place)
    assert len(place.created()) == 3
    summary = await collect(step(place), everybody, wait_s=3600)
    assert summary.exit is Exit.DONE
    assert place.sql("SELECT DISTINCT state FROM tasks") == [("completed",)]
    assert len(place.created()) == 3

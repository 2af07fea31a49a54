"""Copies of a store from before its first post, and stores in the place of another one."""

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from runner.app import RunOptions, RunSummary, load_job
from runner.app.caring import back_up, claim_store, trust_store
from runner.errors import Exit, WrongInput
from runner.jobfile import Job
from runner.lifecycle import State
from runner.settings import Settings
from runner.store.recovering import Stake
from tests.app.place import Place, placed, states

HASTY = RunOptions(export=False, wait_s=0)


@pytest.fixture
def settings(place: Place) -> Settings:
    return place.settings(RUNNER_SETTLE_SECONDS="30", RUNNER_HOST_ID="here")


async def load(place: Place, job: Job, settings: Settings) -> None:
    await load_job(
        job,
        RunOptions(),
        settings=settings,
        clock=place.clock,
        reporter=place.reporter,
        stop=place.stop,
    )


async def asked_once(place: Place, settings: Settings) -> Path:
    """All is loaded, then kept, then asked and paid for; the copy from in between."""
    await load(place, place.job(3), settings)
    await back_up(settings, copy := place.folder / "backup.db", force=False)
    done = await place.start(place.job(), settings=settings)
    assert states(done) == {State.COMPLETED: 3}
    return copy


def delete(settings: Settings, *more: str) -> None:
    for suffix in ("", "-wal", "-shm", *more):
        Path(f"{settings.store}{suffix}").unlink(missing_ok=True)


def put_back(copy: Path, settings: Settings, *without: str) -> None:
    delete(settings, *without)
    shutil.copy(copy, settings.store)


async def again(place: Place, settings: Settings) -> RunSummary:
    """The same job once more: what it finds is taken up, and nothing is paid twice."""
    summary = await place.start(place.job(), settings=settings)
    assert states(summary) == {State.COMPLETED: 3}
    assert len(place.created()) == 3
    assert place.sql("SELECT count(*) FROM incidents") == [(0,)]
    return summary


@pytest.mark.parametrize("without", [(), (".newest",)])
async def test_a_backup_from_before_the_first_post_pays_for_nothing_twice(
    place: Place, settings: Settings, without: tuple[str, ...]
) -> None:
    """Put back as the page on operating says, or on a disk that has nothing else."""
    put_back(await asked_once(place, settings), settings, *without)
    await again(place, settings)


async def test_a_backup_that_is_claimed_pays_for_nothing_twice(
    place: Place, settings: Settings
) -> None:
    """The other copy, which it is told to look for, bears the name that both had."""
    put_back(await asked_once(place, settings), settings, ".newest")
    there = place.settings(RUNNER_SETTLE_SECONDS="30", RUNNER_HOST_ID="there")
    with pytest.raises(WrongInput, match="another host"):
        await place.start(place.job(), settings=there)
    await claim_store(there, clock=place.clock)
    await again(place, there)


async def test_a_copy_that_had_no_name_yet_is_told_by_the_side_file(
    place: Place, settings: Settings
) -> None:
    """Stores of earlier versions had none before their first start."""
    copy = await asked_once(place, settings)
    with closing(sqlite3.connect(copy)) as db, db:
        db.execute("DELETE FROM install")
    put_back(copy, settings)
    await claim_store(settings, clock=place.clock)
    await again(place, settings)


async def test_a_store_that_was_deleted_pays_for_nothing_twice(
    place: Place, settings: Settings
) -> None:
    """Who deletes it by mistake has cron make a new one the same night."""
    await asked_once(place, settings)
    delete(settings)
    await again(place, settings)


async def test_a_store_that_was_deleted_says_what_it_waits_for_and_how_to_begin_anew(
    place: Place, settings: Settings
) -> None:
    """Who deletes it on purpose must not be left to wonder."""
    await asked_once(place, settings)
    delete(settings)
    place.job(["something new"])
    waits = await place.start(place.job(), HASTY, settings=settings)
    assert waits.exit is Exit.NOT_FINISHED
    assert waits.reason is not None
    assert "that of another store, which has posted" in str(waits.reason.why)
    assert "delete the store and its .newest first" in str(waits.reason.how)
    assert len(place.created()) == 3
    delete(settings, ".newest")
    anew = await place.start(place.job(3), settings=settings)
    assert (anew.exit, len(place.created())) == (Exit.DONE, 6)


async def test_a_store_made_anew_asks_what_it_asks_otherwise_and_tells_what_was_paid(
    place: Place, settings: Settings
) -> None:
    """The old answers are none to another temperature, and their money is not forgotten."""
    await asked_once(place, settings)
    delete(settings)
    summary = await place.start(place.job(temperature=0.5), settings=settings)
    assert states(summary) == {State.COMPLETED: 3}
    assert len(place.created()) == 6
    assert place.sql("SELECT kind, count(*) FROM incidents") == [("orphan", 3)]


async def test_a_store_that_was_loaded_and_deleted_is_nothing_to_wait_for(
    place: Place, settings: Settings
) -> None:
    """Nothing was posted: the mistake in the file is mended, and the job started."""
    await load(place, place.job(5), settings)
    delete(settings)
    done = await place.start(place.job(3), HASTY, settings=settings)
    assert (done.reason, len(place.created())) == (None, 3)


async def test_two_hosts_with_a_copy_each_of_what_was_loaded_do_not_both_go_on(
    place: Place, settings: Settings
) -> None:
    """F15: the host is noted by the load, as a copy may be taken before the first start."""
    await load(place, place.job(3), settings)
    there = place.settings(RUNNER_SETTLE_SECONDS="30", RUNNER_HOST_ID="there")
    with pytest.raises(WrongInput, match="another host"):
        await place.start(place.job(), settings=there)
    with pytest.raises(WrongInput, match="another host"):
        await load(place, place.job(), there)
    await again(place, settings)


async def test_a_store_that_no_listing_clears_posts_when_a_person_says_so(tmp_path: Path) -> None:
    """UNKNOWN §7: id_list may not exist for this API; a store must not be lost to that."""
    async with placed(tmp_path, listing=False) as place:
        settings = place.settings(RUNNER_SETTLE_SECONDS="30", RUNNER_HOST_ID="here")
        trust = partial(trust_store, settings, clock=place.clock)
        assert await place.start(place.job(3), settings=settings)
        assert await trust(pay_again=False) is None, "there was no doubt"
        Path(f"{settings.store}.newest").unlink()
        await load(place, place.job(5), settings)
        with pytest.raises(WrongInput) as refused:
            await trust(pay_again=False)
        assert "2 tasks wait, and $0.0204 would be reserved" in str(refused.value.why)
        assert "--pay-again" in str(refused.value.how)
        waits = await place.start(place.job(), HASTY, settings=settings)
        assert (waits.exit, len(place.created())) == (Exit.NOT_FINISHED, 3)
        place.clock.advance(timedelta(minutes=3))
        waits = await place.start(place.job(), HASTY, settings=settings)
        assert (waits.exit, len(place.created())) == (Exit.WRONG_INPUT, 3)
        there = place.settings(RUNNER_HOST_ID="there")
        with pytest.raises(WrongInput, match="another host"):
            await trust_store(there, pay_again=True, clock=place.clock)
        assert await trust(pay_again=True) == Stake(tasks=2, reserve=20_400_000)
        done = await place.start(place.job(), settings=settings)
        assert (done.exit, states(done)) == (Exit.DONE, {State.COMPLETED: 5})
        assert await trust(pay_again=False) is None

"""`--dry-run`: the numbers of a start, without a call and without a trace."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from runner.app import DryRun, RunOptions, dry_run
from runner.app.planning import plan_job
from runner.errors import WrongInput
from runner.money import ADVANCE, BASE_PRICE_STANDARD
from runner.simulator.faults import Fault
from runner.store.sqlite.store import open_store
from runner.store.values import Decision
from tests.app.place import AN_HOUR, Place, placed

HOLD = ADVANCE + BASE_PRICE_STANDARD


async def rehearse(place: Place, *, temperature: float | None = None, **options: Any) -> DryRun:
    return await dry_run(
        place.job(temperature=temperature),
        RunOptions(**options),
        settings=place.settings(),
        clock=place.clock,
        reporter=place.reporter,
    )


def print_of(folder: Path) -> dict[str, str]:
    """Every file's content, told by its digest."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.endswith((".db-shm", ".db-wal", ".toml"))
    }


async def test_before_the_first_start_it_makes_no_store(place: Place) -> None:
    """Looking costs nothing, not even a file."""
    place.job(250)
    told = await rehearse(place)
    assert (told.run, told.rows, told.new, told.known) == ("sky", 250, 250, 0)
    assert (told.to_post, told.calls) == (250, 3 + 250)
    assert told.hold_nanousd == 250 * HOLD
    assert not list(place.folder.glob("runner.db*"))
    assert place.calls() == 0


async def test_a_live_task_is_one_call_and_holds_nothing_ahead(place: Place) -> None:
    """`plan` and `--dry-run` are asked the same question, and must not answer differently."""
    job = place.job(2, providers=("perplexity", "claude"))
    how: dict[str, Any] = {"settings": place.settings(), "clock": place.clock}
    told = await dry_run(job, RunOptions(), reporter=place.reporter, **how)
    plan = await plan_job(job, RunOptions(), samples=0, reporter=place.reporter, ask=False, **how)
    assert (told.to_post, told.calls) == (4, 2 + 1 + 2)
    assert told.hold_nanousd == 2 * HOLD
    assert told.calls == plan.posts + plan.fetches
    assert (told.to_post, told.hold_nanousd) == (plan.to_post, plan.hold)


async def test_a_paused_run_would_send_nothing(place: Place) -> None:
    """What is held back costs no call and no money."""
    await place.start(place.job(3), RunOptions(export=False, wait_s=0, limit=1))
    async with open_store(place.folder / "runner.db", clock=place.clock) as store:
        await store.pause(now=place.clock.now())
    told = await rehearse(place)
    assert (told.to_post, told.calls, told.hold_nanousd) == (0, 0, 0)


async def test_it_tells_new_known_changed_and_pending_apart(tmp_path: Path) -> None:
    """Only what would be sent is money."""
    async with placed(tmp_path, latency=AN_HOUR) as place:
        place.strike(Fault.PAYMENT_REQUIRED, skip=1)
        await place.start(place.job(150), RunOptions(export=False, wait_s=0))
        before = print_of(tmp_path)
        place.job([*(f"Question {n}?" for n in range(150)), "new?", "new?"])
        told = await rehearse(place)
        assert (told.new, told.known, told.duplicates) == (1, 150, 1)
        assert told.to_post == 51
        assert told.hold_nanousd == 51 * HOLD
        edited = await rehearse(place, temperature=0.5)
        assert (edited.changed, edited.to_post) == (150, 1)
        asked = await rehearse(place, temperature=0.5, changed=Decision.ASK)
        assert asked.to_post == 51
        assert {k: v for k, v in print_of(tmp_path).items() if k != "q.csv"} == {
            k: v for k, v in before.items() if k != "q.csv"
        }


async def test_a_finished_job_would_send_nothing(place: Place) -> None:
    """The question of everybody who is about to start a command a second time."""
    await place.start(place.job(3))
    told = await rehearse(place)
    assert (told.new, told.known, told.to_post, told.hold_nanousd) == (0, 3, 0, 0)
    fresh = await rehearse(place, fresh=True)
    assert (fresh.run, fresh.to_post) == ("sky~1", 3)


async def test_it_refuses_what_a_start_would_refuse(place: Place) -> None:
    """Bad rows, all of them told; or counted with --skip-bad, and no file written."""
    place.job(["fine?", "x" * 501])
    with pytest.raises(WrongInput):
        await rehearse(place)
    assert len(place.reporter.problems) == 1
    rejects = place.folder / "rejects.csv"
    told = await rehearse(place, skip_bad=rejects)
    assert (told.to_post, told.rejected) == (1, 1)
    assert not rejects.exists()


async def test_limit_and_another_run_are_heeded(place: Place) -> None:
    """`--limit 2 --dry-run`, and `--run KEY --dry-run`, which reads no input."""
    job = place.job(5, limits="budget_usd = 0.011")
    assert (await rehearse(place, limit=2)).to_post == 2
    await place.start(job)
    place.job(9)
    told = await rehearse(place, key="")
    assert (told.new, told.known) == (0, 5)
    assert told.to_post < 5

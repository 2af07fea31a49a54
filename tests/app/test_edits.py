"""Edits in whole starts: asked once somebody says so; what was taken out is not asked."""

import json
from pathlib import Path

from runner.app import RunOptions
from runner.app.dry import dry_run
from runner.app.loading import load_job
from runner.errors import Exit
from runner.jobfile import Job
from runner.lifecycle import State
from runner.simulator.latency import Latency, Shape
from runner.store.values import Decision
from tests.app.place import Place, placed, states

A_WHILE = Latency(Shape.CONSTANT, 20.0)
LEAVE = RunOptions(export=False, wait_s=0)
ASK = RunOptions(export=False, wait_s=3 * 3600, changed=Decision.ASK)
KEEP = RunOptions(export=False, wait_s=3600, changed=Decision.KEEP)


def edited(place: Place, version: str) -> Job:
    """Two rows known by their ids, whose prompts are of *version*."""
    text = "".join(f"{n},Question {n} {version}?\n" for n in range(2))
    (place.folder / "q.csv").write_text(f"id,prompt\n{text}", encoding="utf-8")
    return place.job(input='key = ["id"]')


def asked(place: Place) -> list[str]:
    """What the account was asked, in order."""
    return sorted(json.loads(task.request)["user_prompt"] for task in place.account.ledger.tasks)


async def queued(place: Place, job: Job) -> None:
    """Load *job* and send nothing."""
    await load_job(
        job,
        LEAVE,
        settings=place.settings(),
        clock=place.clock,
        reporter=place.reporter,
        stop=place.stop,
    )


async def test_what_is_at_the_api_is_asked_when_it_is_back(tmp_path: Path) -> None:
    """The person said ask; that the old question was on its way is no reason to forget it."""
    async with placed(tmp_path, latency=A_WHILE, speed=16) as place:
        await place.start(edited(place, "one"), LEAVE)
        summary = await place.start(edited(place, "two"), ASK)
        assert (states(summary), summary.exit) == ({State.COMPLETED: 2}, Exit.DONE)
        assert summary.status.changed == 0
        assert [prompt.split()[-1] for prompt in asked(place)] == ["one?", "two?"] * 2


async def test_ask_after_keep_asks(place: Place) -> None:
    """A person changed their mind: the answers to the old prompts will not do after all."""
    await place.start(edited(place, "one"))
    await place.start(edited(place, "two"), KEEP)
    assert len(asked(place)) == 2
    job = edited(place, "two")
    counted = await dry_run(
        job, ASK, settings=place.settings(), clock=place.clock, reporter=place.reporter
    )
    assert counted.to_post == 2
    summary = await place.start(job, ASK)
    assert states(summary) == {State.COMPLETED: 2}
    assert len(asked(place)) == 4
    # Said again it means nothing new.
    await place.start(job, ASK)
    assert len(asked(place)) == 4


async def test_edits_of_what_was_never_asked_end_with_1(place: Place) -> None:
    """No later start would go on with them, so a night that ends so is not \"still coming\"."""
    await queued(place, edited(place, "one"))
    summary = await place.start(edited(place, "two"))
    assert (states(summary), summary.exit) == ({State.PENDING: 2}, Exit.SOME_FAILED)
    assert (await place.start(edited(place, "two"), ASK)).exit is Exit.DONE


async def test_what_was_taken_out_of_the_job_is_not_paid(place: Place) -> None:
    """A budget stopped the first start; the dear model and most rows were then taken out."""
    await queued(place, place.job(5, providers=("claude", "gemini")))
    summary = await place.start(place.job(2, providers=("claude",)))
    assert states(summary) == {State.COMPLETED: 2, State.PENDING: 8}
    assert (summary.status.gone, summary.exit) == (8, Exit.SOME_FAILED)
    assert len(asked(place)) == 2
    # What is put back is asked without another word.
    assert (await place.start(place.job(5, providers=("claude",)))).status.gone == 5
    assert len(asked(place)) == 5


async def test_limit_limits_what_is_queued_already(place: Place) -> None:
    """`run --limit 2` after a full load is a trial of two rows, not a start of all."""
    job = place.job(5)
    await queued(place, job)
    trial = RunOptions(export=False, wait_s=3600, limit=2)
    counted = await dry_run(
        job, trial, settings=place.settings(), clock=place.clock, reporter=place.reporter
    )
    assert (counted.to_post, counted.gone) == (2, 3)
    summary = await place.start(job, trial)
    assert (states(summary), summary.exit) == ({State.COMPLETED: 2, State.PENDING: 3}, Exit.DONE)
    assert (await place.start(job, trial)).calls == 0
    assert states(await place.start(job)) == {State.COMPLETED: 5}


async def test_an_export_says_which_cells_are_not_what_was_asked(place: Place) -> None:
    """Beside the edited question stands the answer to the old one, until somebody decides."""
    await place.start(edited(place, "one"))
    summary = await place.start(edited(place, "two"), RunOptions(wait_s=3600))
    (file,) = (file for file in summary.files if file.suffix == ".jsonl")
    found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [line["changed"] for line in found] == [True, True]
    assert [line["prompt"].split()[-1] for line in found] == ["one?", "one?"]

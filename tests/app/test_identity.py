"""A start under a name that is another's, or a new name for the same: refused before it queues."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from runner.app import RunOptions
from runner.app.dry import dry_run
from runner.app.loading import load_job as queue_job
from runner.app.planning import plan_job
from runner.errors import WrongInput
from runner.jobfile import Job, Overrides, load_job
from runner.lifecycle import State
from tests.app.place import Place, states
from tests.support.jobs import job_at, write_prompts

INSISTED = RunOptions(export=False, wait_s=3600, pay_again=True)


def start_of(job: Job) -> RunOptions:
    """What the command line makes of a job file, or of a data file."""
    return RunOptions(export=False, wait_s=3600, source=str(Path(job.path).resolve()))


def data_at(place: Place, folder: str, *prompts: str) -> Job:
    """The data file ``FOLDER/prompts.csv``, asked without a job file."""
    (place.folder / folder).mkdir(exist_ok=True)
    file = write_prompts(place.folder / folder / "prompts.csv", prompts)
    asked = Overrides(provider="claude", model="claude-sonnet-4-0")
    return load_job(str(file), workspace=place.folder, overrides=asked)


def copied(job: Job, to: Path, *, prompts: str = "Another?") -> Job:
    """The job file as a template for *to*: its name is not changed, its prompts are."""
    to.parent.mkdir(exist_ok=True)
    shutil.copy(job.path, to)
    write_prompts(to.parent / "q.csv", [prompts])
    return load_job(str(to), workspace=to.parent)


async def test_a_template_whose_name_was_not_changed_is_refused(place: Place) -> None:
    """Two files of one name are one run: the budget of one would not hold for the other's."""
    job = place.job(2)
    await place.start(job, start_of(job))
    other = copied(job, place.folder / "us.toml")
    with pytest.raises(WrongInput) as caught:
        await place.start(other, start_of(other))
    assert "sky.toml" in caught.value.what
    assert "us.toml" in caught.value.what
    assert "name = " in (caught.value.how or "")
    assert len(place.created()) == 2
    assert len(place.sql("SELECT id FROM tasks")) == 2


async def test_every_way_to_begin_refuses_a_name_that_is_another_s(place: Place) -> None:
    """A rehearsal that lets pass what the start refuses is worth nothing."""
    job = place.job(1)
    await place.start(job, start_of(job))
    other = copied(job, place.folder / "us.toml")
    with pytest.raises(WrongInput):
        await dry_run(
            other,
            start_of(other),
            settings=place.settings(),
            clock=place.clock,
            reporter=place.reporter,
        )
    with pytest.raises(WrongInput):
        await plan_job(
            other,
            start_of(other),
            samples=1,
            settings=place.settings(),
            clock=place.clock,
            reporter=place.reporter,
            ask=False,
        )
    with pytest.raises(WrongInput):
        await queue_job(
            other,
            start_of(other),
            settings=place.settings(),
            clock=place.clock,
            reporter=place.reporter,
            stop=place.stop,
        )


async def test_a_job_file_goes_on_where_it_was_moved_to(place: Place) -> None:
    """Renamed or moved it is the same job: the old place is empty, or says another name."""
    job = place.job(1)
    await place.start(job, start_of(job))
    moved = Path(job.path).rename(place.folder / "clouds.toml")
    job = load_job(str(moved), workspace=place.folder)
    assert (await place.start(job, start_of(job))).calls == 0
    there = shutil.copy(moved, place.folder / "weather.toml")
    moved.write_text(moved.read_text().replace('"sky"', '"sea"'))
    job = load_job(str(there), workspace=place.folder)
    assert (await place.start(job, start_of(job))).calls == 0
    assert place.reporter.notes == []


async def test_a_job_file_may_be_named_by_another_path(place: Place) -> None:
    """A symlink or a hard link is the same file."""
    job = place.job(1)
    await place.start(job, start_of(job))
    (place.folder / "link.toml").hardlink_to(job.path)
    linked = load_job(str(place.folder / "link.toml"), workspace=place.folder)
    assert (await place.start(linked, start_of(linked))).calls == 0


async def test_a_workspace_copied_elsewhere_goes_on_and_says_so(place: Place) -> None:
    """It was deployed to a new folder and the old one is not deleted yet; or a mistake."""
    job = place.job(1)
    await place.start(job, start_of(job))
    there = copied(job, place.folder / "new" / "sky.toml", prompts="Question 0?")
    assert (await place.start(there, start_of(there))).calls == 0
    (note,) = place.reporter.notes
    assert "still there" in note
    assert (await place.start(there, start_of(there))).calls == 0
    assert len(place.reporter.notes) == 1


async def test_data_of_the_same_name_in_another_folder_is_another_job(place: Place) -> None:
    """`eu/prompts.csv` and `us/prompts.csv` would be one run, with one export."""
    eu = data_at(place, "eu", "One?", "Two?")
    await place.start(eu, start_of(eu))
    us = data_at(place, "us", "Three?")
    with pytest.raises(WrongInput) as caught:
        await place.start(us, start_of(us))
    assert "--job us-prompts" in (caught.value.how or "")
    assert len(place.created()) == 2
    # A copy of it asks the same, and the file itself is of course asked again and again.
    copy = data_at(place, "copy", "One?", "Two?")
    assert (await place.start(copy, start_of(copy))).calls == 0


async def test_data_may_get_a_job_file_of_its_name(place: Place) -> None:
    """`runner init --from prompts.csv` after a first trial with flags: it goes on with the run."""
    data = data_at(place, ".", "One?")
    await place.start(data, start_of(data))
    own = job_at(place.folder, "prompts.csv", name="prompts")
    assert (await place.start(own, start_of(own))).calls == 0
    write_prompts(place.folder / "other.csv", ["Two?"])
    data = data_at(place, ".", "One?", "Two?")
    with pytest.raises(WrongInput):
        await place.start(data, start_of(data))


async def test_a_run_of_data_alone_has_no_job_file(place: Place) -> None:
    """`work` and `retry` read limits from job files; a table is none."""
    data = data_at(place, "eu", "One?")
    run = (await place.start(data, start_of(data))).status.run
    assert (Path(run.source).name, run.job_file) == ("prompts.csv", "")


def named(job: Job, name: str, **parameters: object) -> Job:
    """*job* with a name for its target."""
    (target,) = job.targets
    return replace(job, targets=(replace(target, name=name, parameters=parameters),))


async def test_a_target_under_a_new_name_is_not_asked_again_unasked(place: Place) -> None:
    """Giving the target a name looks like tidying up, and would pay for every row again."""
    job = place.job(2)
    await place.start(job)
    with pytest.raises(WrongInput) as caught:
        await place.start(named(job, "sonnet"))
    (problem,) = caught.value.problems
    assert job.targets[0].name in problem.message
    assert f'name = "{job.targets[0].name}"' in (caught.value.how or "")
    assert "--pay-again" in (caught.value.how or "")
    assert len(place.sql("SELECT id FROM targets")) == 1
    # The old name is what it was, and nothing is left of the other.
    assert (await place.start(job)).calls == 0


async def test_a_target_under_a_new_name_is_asked_if_somebody_insists(place: Place) -> None:
    """Another answer of the same model may be meant; after that it is a target like any other."""
    job = place.job(2)
    await place.start(job)
    assert states(await place.start(named(job, "again"), INSISTED))[State.COMPLETED] == 4
    assert len(place.created()) == 4
    assert (await place.start(named(job, "again"))).calls == 0


async def test_another_question_or_another_night_is_no_new_name(place: Place) -> None:
    """Who changes a target for another one means it; and a new run asks all anew as ever."""
    job = place.job(1)
    await place.start(job)
    await place.start(named(job, "cool", temperature=0.1))
    both = replace(job, targets=(*job.targets, *named(job, "second").targets))
    await place.start(both)
    assert len(place.created()) == 3
    again = RunOptions(export=False, wait_s=3600, fresh=True)
    await place.start(named(job, "fresh"), again)
    assert len(place.created()) == 4


async def test_a_plan_tells_of_a_new_name_and_what_it_would_cost(place: Place) -> None:
    """Whether it is worth it is what a plan is asked for."""
    job = place.job(2)
    await place.start(job)
    plan = await plan_job(
        named(job, "sonnet"),
        RunOptions(),
        samples=0,
        settings=place.settings(),
        clock=place.clock,
        reporter=place.reporter,
        ask=False,
    )
    assert plan.to_post == 2
    (note,) = place.reporter.notes
    assert "--pay-again" in note


async def test_there_must_be_something_to_insist_on(place: Place) -> None:
    """Whoever says --pay-again expects something to be asked; without --fresh it is not."""
    job = place.job(1)
    await place.start(job)
    with pytest.raises(WrongInput):
        await place.start(job, INSISTED)

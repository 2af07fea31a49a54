"""Several jobs in one start: checked together, posted in turns, each with its own end."""

from pathlib import Path
from typing import Any

import pytest

from runner.app import RunOptions, run_jobs
from runner.app.values import RunSummary
from runner.errors import Exit, MoneyStopped, WrongInput
from runner.jobfile import Job
from runner.lifecycle import State
from tests.app.place import Place, placed, states
from tests.support.jobs import job_at, write_prompts

OPTIONS = RunOptions(export=False, wait_s=3600)


def jobs_at(place: Place, prompts: int = 3, **limits: str) -> list[Job]:
    """The jobs ``sky`` and ``sea``, which ask the same file; *limits* by name."""
    write_prompts(place.folder / "q.csv", prompts)
    made = []
    for name in ("sky", "sea"):
        tables: dict[str, Any] = {"limits": limits[name]} if name in limits else {}
        made.append(job_at(place.folder, name=name, **tables))
    return made


async def start(place: Place, jobs: list[Job], options: RunOptions = OPTIONS) -> list[RunSummary]:
    """Start *jobs* together."""
    return await run_jobs(
        [(job, options) for job in jobs],
        settings=place.settings(),
        clock=place.clock,
        reporter=place.reporter,
        stop=place.stop,
    )


async def test_two_jobs_are_asked_by_one_engine(place: Place) -> None:
    """Two cron lines would wait for each other; one start has one lock and one pace."""
    summaries = await start(place, jobs_at(place), RunOptions(wait_s=3600))
    assert [summary.status.run.name for summary in summaries] == ["sky", "sea"]
    assert [summary.exit for summary in summaries] == [Exit.DONE, Exit.DONE]
    assert [states(summary) for summary in summaries] == [{State.COMPLETED: 3}] * 2
    assert {file.name for summary in summaries for file in summary.files} == {
        "sky.csv",
        "sky.jsonl",
        "sea.csv",
        "sea.jsonl",
    }
    assert len(place.sql("SELECT id FROM workers")) == 1


async def test_runs_take_turns_at_posting(tmp_path: Path) -> None:
    """A job of a million prompts must not keep a small one from its first answer for hours."""
    async with placed(tmp_path) as place:
        await start(place, jobs_at(place, 450))
        order = place.sql(
            "SELECT min(a.run_id) FROM attempts a GROUP BY a.batch_id ORDER BY a.batch_id"
        )
        runs = [run for (run,) in order]
        assert len(runs) == 10
        assert runs[:8] in ([1, 2] * 4, [2, 1] * 4)


async def test_a_bad_row_in_the_second_job_stops_the_first_before_it_is_queued(
    place: Place,
) -> None:
    """Half of a night is harder to put right than none of it: nothing of any job is sent."""
    jobs = jobs_at(place)
    (place.folder / "bad.csv").write_text('prompt\n"why?"\n\n"how?"\n""\n', encoding="utf-8")
    jobs[1] = job_at(place.folder, "bad.csv", name="sea")
    with pytest.raises(WrongInput, match=r"bad\.csv"):
        await start(place, jobs)
    assert place.calls() == 0
    assert place.sql("SELECT count(*) FROM runs") == [(0,)]


async def test_bad_rows_of_all_jobs_are_told_at_once(place: Place) -> None:
    """Mending one file only to hear of the next takes a night for each."""
    jobs = []
    for name in ("sky", "sea"):
        (place.folder / f"{name}.csv").write_text('prompt\n"why?"\n""\n', encoding="utf-8")
        jobs.append(job_at(place.folder, f"{name}.csv", name=name))
    with pytest.raises(WrongInput, match="2 of 2 jobs") as caught:
        await start(place, jobs)
    assert "sky.csv" in (caught.value.why or "")
    assert "sea.csv" in (caught.value.why or "")
    assert {Path(problem.path).name for problem in place.reporter.problems} == {
        "sky.csv",
        "sea.csv",
    }


async def test_a_spent_budget_stops_its_own_run_only(place: Place) -> None:
    """Each job has its own budget, and its own code for it."""
    sky, sea = await start(place, jobs_at(place, sky="budget_usd = 0.011"))
    assert (sky.exit, sea.exit) == (Exit.MONEY, Exit.DONE)
    assert isinstance(sky.reason, MoneyStopped)
    assert sky.status.states[State.PENDING] > 0
    assert states(sea) == {State.COMPLETED: 3}


async def test_one_job_named_twice_is_a_mistake(place: Place) -> None:
    """Both would be the same run; which of the two files counts is not for us to guess."""
    job = jobs_at(place)[0]
    with pytest.raises(WrongInput, match="sky is named twice"):
        await start(place, [job, job])
    assert place.calls() == 0

"""The job that comes with runner: the first thing anybody runs."""

from datetime import UTC, datetime
from pathlib import Path

from runner import resources
from runner.jobfile import checked_rows, load_job, open_input
from runner.task import Provider


def test_every_shipped_job_is_without_fault(tmp_path: Path) -> None:
    """A first run that ends in an error message is often the last."""
    for path in resources.shipped_jobs():
        job = load_job(path.stem, workspace=tmp_path)
        for checked in checked_rows(job, open_input(job.input)):
            assert checked.rejects == []


def test_the_demo_asks_about_some_brands_of_three_assistants(tmp_path: Path) -> None:
    """It has to look like the work it is for, and cost a rehearsal nothing to understand."""
    job = load_job("demo", workspace=tmp_path)
    [checked] = checked_rows(job, open_input(job.input))
    assert len(checked.rows) >= 20
    assert len({row.key for row in checked.rows}) == len(checked.rows)
    assert [target.endpoint.provider for target in job.targets] == [
        Provider.CHAT_GPT,
        Provider.CLAUDE,
        Provider.GEMINI,
    ]
    assert job.output_dir == tmp_path / "out"
    assert job.budget_nanousd is not None
    assert job.notes == ()


def test_the_nightly_job_has_a_run_for_each_day(tmp_path: Path) -> None:
    """A nightly look that went on with one run would ask nothing from the second night on."""
    job = load_job("nightly", workspace=tmp_path)
    first, second = datetime(2026, 11, 21, 2, tzinfo=UTC), datetime(2026, 11, 22, 2, tzinfo=UTC)
    assert (job.run_key(first), job.run_key(second)) == ("2026-11-21", "2026-11-22")
    assert job.output_dir == tmp_path / "out"
    assert job.budget_nanousd is not None
    assert job.notes == ()

"""A job as a program loads it: JOB and options as on the command line."""

from decimal import Decimal
from pathlib import Path

from runner.jobfile import Job, Overrides
from runner.jobfile import load_job as load
from runner.library.store import read_settings


def load_job(
    job: str | Path,
    *,
    workspace: str | Path | None = None,
    provider: str | None = None,
    model: str | None = None,
    column: str | None = None,
    budget_usd: Decimal | None = None,
    max_hold_usd: Decimal | None = None,
    output_dir: str | Path | None = None,
    formats: tuple[str, ...] | None = None,
) -> Job:
    """The job that *job* stands for: a .toml path, a data file, or the name of a job.

    A data file needs *provider* and *model*. Names are looked for in ``jobs/`` of *workspace*, by
    default that of the current folder, then among the shipped ones. The other arguments go before
    what the job file says. The input's rows are not looked at before a start.

    Raises:
        WrongInput: there is no such job, or something in it is wrong; ``problems`` has all of it.
    """
    overrides = Overrides(
        provider=provider,
        model=model,
        column=column,
        budget_usd=budget_usd,
        max_hold_usd=max_hold_usd,
        output_dir=None if output_dir is None else Path(output_dir),
        formats=formats,
    )
    folder = read_settings(workspace=workspace).workspace
    return load(str(job), workspace=folder, overrides=overrides)

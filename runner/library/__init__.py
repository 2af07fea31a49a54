"""What programs use of runner: open a store, load a job, run it, go through the results.

    async with open_store(api="sim") as store:
        summary = await run_job(store, load_job("demo"))
        async for result in store.results(summary.run):
            print(result.target, result.state, result.cost_usd, result.answer)

    run("demo", api="sim").raise_for_exit()          the same start, for a script without asyncio

A start is one of ``runner run``: the same store, the same promises, safe to repeat. Whatever goes
wrong is a ``RunnerError``; login and password come from the environment and runner.toml only.

What the stages say goes to the standard library's logger ``runner``, masked; a program that has
set up structlog itself gets the events there instead, as they are.

Written for asyncio. Import from ``runner``: where a name stands in here may change.
"""

from runner.errors import (
    CredentialsRefused,
    Exit,
    MoneyStopped,
    Problem,
    RunnerError,
    StoreBroken,
    TryLater,
    WrongInput,
)
from runner.jobfile import Job
from runner.library.loading import load_job
from runner.library.results import Result
from runner.library.starting import run, run_job
from runner.library.store import Store, open_store
from runner.library.summary import JobNotDone, Summary
from runner.lifecycle import State
from runner.store.values import Run

__all__ = [
    "CredentialsRefused",
    "Exit",
    "Job",
    "JobNotDone",
    "MoneyStopped",
    "Problem",
    "Result",
    "Run",
    "RunnerError",
    "State",
    "Store",
    "StoreBroken",
    "Summary",
    "TryLater",
    "WrongInput",
    "load_job",
    "open_store",
    "run",
    "run_job",
]

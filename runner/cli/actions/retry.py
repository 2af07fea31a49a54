"""``runner retry``: failed tasks go back to pending, and the run goes on."""

import shlex
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from runner import app
from runner.cli.actions import overriding
from runner.cli.actions.looking import store_to_look
from runner.cli.actions.sending import carry_out
from runner.cli.asking import agree
from runner.cli.layout import amount, count, pairs
from runner.cli.select import job_file
from runner.cli.selecting import pick
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit, WrongInput
from runner.jobfile import Job, data_job_name, job_without_input, load_job
from runner.money import exact, short
from runner.reports.estimate import TargetEstimate, estimate
from runner.store.values import RetryFilter, Run

if TYPE_CHECKING:
    from runner.cli.commands.retry import RetryOptions


def retry(session: Session, reference: str | None, given: "RetryOptions") -> Exit:
    """Send failed tasks of the run that *reference* means again.

    Raises:
        RunnerError: as choosing the run, loading its job and ``app.retry_run`` do.
    """
    settings = session.settings()
    run, which = run_async(lambda: _chosen(session, reference, given))
    if given["dry_run"]:
        return _dry_run(session, run, which)
    if reference is None:
        session.voice.note(f"retrying {run.name} ({run.number}), the newest run")
    job = _job_of(session, run, reference, given)
    options = overriding.start(given, confirm=partial(agree, session))
    if not job.targets:
        job, options = _limited_as_before(job, options, run)
    return carry_out(
        session,
        lambda reporter, stop: app.retry_run(
            job,
            run,
            which,
            options,
            settings=settings,
            clock=session.clock,
            reporter=reporter,
            stop=stop,
        ),
    )


def _limited_as_before(job: Job, options: app.RunOptions, run: Run) -> tuple[Job, app.RunOptions]:
    """Where no job file sets limits, those hold that the latest start of *run* was given."""
    if options.given_budget is None:
        job = replace(job, budget_nanousd=run.given_budget)
        options = replace(options, given_budget=run.given_budget)
    if options.given_hold is None:
        job = replace(job, max_hold_nanousd=run.given_hold)
        options = replace(options, given_hold=run.given_hold)
    return job, options


async def _chosen(
    session: Session, reference: str | None, given: "RetryOptions"
) -> tuple[Run, RetryFilter]:
    async with store_to_look(session) as store:
        picked = await pick(session, store, reference, given, newest_only=True)
    (run,) = picked.runs
    # Codes count as retry takes them, and the run is named: what is left narrows the tasks.
    among = replace(picked.which, runs=None, codes=None)
    return run, RetryFilter(codes=picked.which.codes, among=among, pay_again=given["pay_again"])


def _job_of(session: Session, run: Run, reference: str | None, given: "RetryOptions") -> Job:
    """The job whose limits hold and whose folder gets the exports.

    A data file is not needed any more: all that was asked stands in the store.

    Raises:
        WrongInput: it is not found, or is not the run's.
    """
    file = given["job"]
    if file is None:
        # The data file alone says less than the job file, if the run has one.
        named = reference if reference and not data_job_name(reference) else None
        file = job_file(run, named)
    workspace, overrides = session.settings().workspace, overriding.limits(given)
    try:
        if name := data_job_name(file):
            job = job_without_input(name, workspace=workspace, overrides=overrides)
        else:
            job = load_job(file, workspace=workspace, overrides=overrides)
    except WrongInput as error:
        if file not in (run.job, run.job_file) or error.problems:
            raise
        if not run.job_file:
            return job_without_input(run.job, workspace=workspace, overrides=overrides)
        raise WrongInput(
            f"the job file of {run.name} is not found, and it says the budget and the folder",
            why=error.what,
            how=shlex.join(["runner", "retry", run.name, "--job", "FILE.toml"]),
        ) from error
    if job.name != run.job:
        raise WrongInput(f"{job.path} is the job {job.name}, and {run.name} is a run of {run.job}")
    return job


def _dry_run(session: Session, run: Run, which: RetryFilter) -> Exit:
    left = run_async(lambda: _left(session, run, which))
    matched = sum(each.history.to_post for each in left)
    least = sum(each.hold for each in left)
    keys: dict[str, object] = {"run": run.name, "matched": matched}
    if session.voice.json:
        session.voice.event("result", {**keys, "dry_run": True, "hold": exact(least), "exit": 0})
    elif session.voice.for_people:
        session.voice.answer(
            f"{count(matched, 'task')} of {run.name} ({run.number}) would be sent again, holding "
            f"at least {short(least)}; nothing was sent"
        )
    else:
        session.voice.answer(pairs("retry.dry", {**keys, "hold": amount(least)}))
    return Exit.DONE


async def _left(session: Session, run: Run, which: RetryFilter) -> list[TargetEstimate]:
    """By target, what asking them again comes to."""
    async with store_to_look(session) as store:
        again = await store.retriable(run.id, which)
        targets = await store.target_history(run.id)
    return [estimate(replace(each, to_post=again.get(each.name, 0))) for each in targets]

"""``runner check``: a job file and every row of its input, without a store and without a call."""

import asyncio
from collections.abc import Sequence

from runner.app.accounts import check_accounts
from runner.cli.actions import overriding
from runner.cli.layout import either, pairs
from runner.cli.session import Session
from runner.cli.verbs import DataOptions
from runner.errors import Exit, WrongInput
from runner.jobfile import Job, load_job
from runner.jobfile.formula import has_several_factors
from runner.pipeline import loader


def check(session: Session, references: Sequence[str], given: DataOptions) -> Exit:
    """Check each job; all of them, even if the first has mistakes.

    Raises:
        WrongInput: there are mistakes.
    """
    session.settings()
    session.open_log()
    wrong = 0
    for reference in references:
        try:
            _check_one(session, reference, given)
        except WrongInput as error:
            if len(references) == 1:
                raise
            session.voice.error(error, error.exit_code)
            session.voice.event("wrong", session.voice.error_document(error, error.exit_code))
            wrong += 1
    if wrong:
        raise WrongInput(
            f"{wrong} of {len(references)} jobs {either(wrong, 'has', 'have')} mistakes",
            why="nothing was sent",
        )
    session.voice.event("result", {"exit": 0, "jobs": len(references)})
    return Exit.DONE


def _check_one(session: Session, reference: str, given: DataOptions) -> None:
    """Check one job and say how many tasks it comes to.

    Raises:
        WrongInput: the job is wrong, or rows of its input cannot be asked.
    """
    job = load_job(
        reference, workspace=session.settings().workspace, overrides=overriding.job(given)
    )
    check_accounts(job, session.settings())
    for note in job.notes:
        session.voice.note(note)
    table = loader.open_input(job)
    checked = asyncio.run(loader.check(job, table, session.voice.problem))
    if checked.rejected:
        again = overriding.command("run", reference, given)
        raise loader.bad_rows(table, checked, again, why="nothing was sent")
    _tell(session, job, checked)


def _tell(session: Session, job: Job, checked: loader.Checked) -> None:
    targets, samples = len(job.targets), job.prompt.samples
    keys: dict[str, object] = {
        "job": job.name,
        "rows": checked.rows,
        "targets": targets,
        "tasks": checked.tasks,
        "rejected": 0,
    }
    if has_several_factors(checked.formula):
        keys["formula"] = checked.formula
    if session.voice.json:
        session.voice.event("checked", {**keys, "path": job.path, "samples": samples})
    elif not session.voice.for_people:
        session.voice.answer(pairs("check", keys))
    else:
        session.voice.answer(f"✓ {job.path}: {checked.formula}, duplicate rows included")

"""``runner run``: from JOB and options to a start of it, or to what one would come to."""

import asyncio
from typing import TYPE_CHECKING

from runner import app
from runner.cli.actions import overriding
from runner.cli.actions.sending import carry_out
from runner.cli.actions.watching import Watcher
from runner.cli.layout import amount, count, pairs
from runner.cli.session import Session
from runner.errors import Exit, WrongInput
from runner.jobfile import Job, load_job
from runner.money import exact, short
from runner.store.protocol import Decision

if TYPE_CHECKING:
    from runner.cli.commands.run import RunOptions


def run(session: Session, reference: str, given: "RunOptions") -> Exit:
    """Start the job that *reference* means.

    Raises:
        RunnerError: as loading the job and ``app.run_job`` do.
    """
    settings = session.settings()
    job = load_job(
        reference, workspace=settings.workspace, overrides=overriding.job(given, sending=given)
    )
    for note in job.notes:
        session.voice.note(note)
    options = _options(given)
    if given["dry_run"]:
        return _dry_run(session, job, options)
    return carry_out(
        session,
        lambda reporter, stop: app.run_job(
            job, options, settings=settings, clock=session.clock, reporter=reporter, stop=stop
        ),
        bad_rows_are_fine=options.skip_bad is not None,
    )


def _options(given: "RunOptions") -> app.RunOptions:
    if given["pay_again"] and not given["fresh"]:
        raise WrongInput("--pay-again goes with --fresh", how="runner run --help")
    return overriding.start(
        given,
        limit=given["limit"],
        fresh=given["fresh"],
        pay_again=given["pay_again"],
        key=given["run"],
        skip_bad=given["skip_bad"],
        changed=Decision(given["changed"]) if given["changed"] else None,
    )


def _dry_run(session: Session, job: Job, options: app.RunOptions) -> Exit:
    session.open_log()
    with Watcher(session, "none", bad_rows_are_fine=options.skip_bad is not None) as watcher:
        counted = asyncio.run(
            app.dry_run(
                job, options, settings=session.settings(), clock=session.clock, reporter=watcher
            )
        )
    _tell(session, counted)
    return Exit.DONE


def _tell(session: Session, counted: app.DryRun) -> None:
    keys: dict[str, object] = {
        "run": counted.run,
        "rows": counted.rows,
        "new": counted.new,
        "known": counted.known,
        "changed": counted.changed,
        "rejected": counted.rejected,
        "duplicates": counted.duplicates,
        "to_post": counted.to_post,
        "calls": counted.calls,
    }
    if session.voice.json:
        hold = {"hold": exact(counted.hold_nanousd)}
        session.voice.event("result", {**keys, **hold, "dry_run": True, "exit": 0})
    elif not session.voice.for_people:
        session.voice.answer(pairs("run.dry", {**keys, "hold": amount(counted.hold_nanousd)}))
    else:
        session.voice.answer(
            f"{counted.run}: {count(counted.rows, 'row')} · {counted.new:,} new, "
            f"{counted.known:,} known, {counted.changed:,} changed, {counted.rejected:,} "
            f"rejected, {counted.duplicates:,} duplicates\n"
            f"would post {count(counted.to_post, 'task')}, holding up to "
            f"{short(counted.hold_nanousd)}, in at least {count(counted.calls, 'call')}; "
            "nothing was sent"
        )

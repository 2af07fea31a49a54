"""``runner run``: from JOBs and options to a start of them, or to what one would come to."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from runner import app
from runner.cli.actions import overriding
from runner.cli.actions.listening import listen_of
from runner.cli.actions.sending import carry_out, carry_out_together
from runner.cli.actions.watching import Watcher
from runner.cli.asking import agree
from runner.cli.layout import amount, count, pairs
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit, WrongInput, gravest
from runner.jobfile import Job, load_job
from runner.money import exact, short
from runner.store.values import Decision

if TYPE_CHECKING:
    from runner.cli.commands.run import RunOptions


def run(session: Session, references: Sequence[str], given: "RunOptions") -> Exit:
    """Start the jobs that *references* mean, together.

    Raises:
        RunnerError: as loading the jobs and ``app.run_jobs`` do.
    """
    settings = session.settings()
    if len(references) > 1 and given["skip_bad"] is not None:
        raise WrongInput(
            "--skip-bad is for one job: the bad rows of several do not fit into one file",
            how="start the job with bad rows by itself",
        )
    jobs = [_job(session, reference, given) for reference in references]
    if given["dry_run"]:
        app.refuse_twice(jobs)
        return gravest([dry_run(session, job, options) for job, options in jobs])
    bad_rows_are_fine = given["skip_bad"] is not None
    if len(jobs) == 1:
        job, options = jobs[0]
        return carry_out(
            session,
            lambda reporter, stop: app.run_job(
                job, options, settings=settings, clock=session.clock, reporter=reporter, stop=stop
            ),
            bad_rows_are_fine=bad_rows_are_fine,
        )
    return carry_out_together(
        session,
        lambda reporter, stop: app.run_jobs(
            jobs, settings=settings, clock=session.clock, reporter=reporter, stop=stop
        ),
    )


def _job(session: Session, reference: str, given: "RunOptions") -> tuple[Job, app.RunOptions]:
    workspace = session.settings().workspace
    job = load_job(reference, workspace=workspace, overrides=overriding.job(given, sending=given))
    for note in job.notes:
        session.voice.note(note)
    return job, _options(session, reference, given)


def _options(session: Session, reference: str, given: "RunOptions") -> app.RunOptions:
    return overriding.start(
        given,
        confirm=partial(agree, session),
        source=overriding.source_of(reference, session.settings().workspace),
        again=overriding.command("run", reference, given),
        limit=given["limit"],
        fresh=given["fresh"],
        pay_again=given["pay_again"],
        key=given["run"],
        skip_bad=given["skip_bad"],
        changed=Decision(given["changed"]) if given["changed"] else None,
        trust_docs=given["trust_docs"],
        listen=listen_of(given),
    )


def dry_run(session: Session, job: Job, options: app.RunOptions) -> Exit:
    """Count what starting *job* would come to, on a copy of the store.

    Raises:
        RunnerError: as ``app.dry_run`` does.
    """
    session.open_log()
    with Watcher(session, "none", bad_rows_are_fine=options.skip_bad is not None) as watcher:
        # Stopped by a signal, it must not leave the copy behind.
        counted = run_async(
            lambda: app.dry_run(
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
    if counted.gone:
        keys["gone"] = counted.gone
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
            f"nothing was sent{_left_alone(counted.gone)}"
        )


def _left_alone(gone: int) -> str:
    """Of *gone* tasks, if there are any."""
    return f"\n{count(gone, 'queued task')} not in the input any more, left alone" if gone else ""

"""``runner load``: prompts into the queue, and nothing else."""

import asyncio
from typing import TYPE_CHECKING

from runner import app
from runner.cli.actions import overriding
from runner.cli.actions.run import dry_run
from runner.cli.actions.sending import stoppable
from runner.cli.actions.summary import gone_note
from runner.cli.actions.uncollected import tell_uncollected
from runner.cli.actions.watching import Watcher
from runner.cli.layout import count, either, pairs
from runner.cli.session import Session
from runner.errors import Exit
from runner.jobfile import load_job
from runner.jobfile.formula import has_several_factors
from runner.lifecycle import State
from runner.reports.documents import status_document
from runner.store.values import Decision

if TYPE_CHECKING:
    from runner.cli.commands.load import LoadOptions


def load(session: Session, reference: str, given: "LoadOptions") -> Exit:
    """Queue what is new in the input of the job that *reference* means.

    Raises:
        RunnerError: as loading the job and ``app.load_job`` do.
    """
    settings = session.settings()
    job = load_job(reference, workspace=settings.workspace, overrides=overriding.job(given))
    for note in job.notes:
        session.voice.note(note)
    options = app.RunOptions(
        source=overriding.source_of(reference, settings.workspace),
        again=overriding.command("load", reference, given),
        limit=given["limit"],
        fresh=given["fresh"],
        pay_again=given["pay_again"],
        skip_bad=given["skip_bad"],
        changed=Decision(given["changed"]) if given["changed"] else None,
        trust_docs=given["trust_docs"],
    )
    if given["dry_run"]:
        return dry_run(session, job, options)
    session.open_log()
    with Watcher(session, "none", bad_rows_are_fine=options.skip_bad is not None) as watcher:
        loaded = asyncio.run(
            stoppable(
                session,
                lambda reporter, stop: app.load_job(
                    job,
                    options,
                    settings=settings,
                    clock=session.clock,
                    reporter=reporter,
                    stop=stop,
                ),
                watcher,
            )
        )
    _tell(session, loaded)
    return Exit.DONE


def _tell(session: Session, loaded: app.Loaded) -> None:
    status, voice = loaded.status, session.voice
    new = loaded.load.added.new if loaded.load else 0
    numbers: dict[str, object] = {
        "rows": status.rows,
        "tasks": status.tasks,
        "new": new,
        "known": status.tasks - new,
        "changed": status.changed,
        "rejected": status.rejected,
        "duplicates": status.duplicates,
        "pending": status.states[State.PENDING],
    }
    if loaded.load is not None and has_several_factors(loaded.load.formula):
        numbers["formula"] = loaded.load.formula
    if status.changed:
        voice.note(
            f"{count(status.changed, 'task')} {either(status.changed, 'differs', 'differ')} in the "
            "input from what was asked; nothing is sent for "
            f"{either(status.changed, 'it', 'them')} until --changed ask or --changed keep"
        )
    if status.gone:
        numbers["gone"] = status.gone
        voice.note(gone_note(status))
    tell_uncollected(session, Exit.DONE, known=[status])
    line = pairs("load", {"job": status.run.job, "run": status.run.name, **numbers})
    session.log_to_file(session.line("info", "load.end", {"run": status.run.name, **numbers}))
    voice.event(
        "result",
        {
            **status_document([status], session.clock.now()),
            "schema": "runner.event/1",
            "run": status.run.name,
            "load": numbers,
            "exit": int(Exit.DONE),
        },
    )
    if not voice.for_people:
        voice.last_word(line)
        return
    if loaded.load is not None and loaded.load.formula:
        voice.note(loaded.load.formula)
    if numbers["pending"]:
        voice.note(f"next: runner submit {status.run.name}")
    text = (
        f"{status.run.name} ({status.run.number}): {count(status.rows, 'row')} = "
        f"{count(status.tasks, 'task')}: {new:,} new, {status.tasks - new:,} known, "
        f"{count(status.rejected, 'row')} rejected"
    )
    if status.duplicates:
        text += f" · {count(status.duplicates, 'duplicate row')} asked once"
    voice.last_word(f"{text} · nothing was sent")

"""``runner runs``: what was run in this store, the newest first."""

from datetime import datetime
from typing import Final

from runner.cli.actions.looking import nothing_yet, store_to_look
from runner.cli.actions.status import describe, state_word
from runner.cli.counts import unsuccessful, waiting
from runner.cli.layout import amount, day, tab_separated, table
from runner.cli.selecting import Selectors, runs_meant
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.clock import to_text
from runner.errors import Exit
from runner.lifecycle import State
from runner.money import short
from runner.reports.documents import runs_document
from runner.store.values import RunStatus

_COLUMNS: Final = (
    "run",
    "number",
    "job",
    "started_at",
    "tasks",
    "done",
    "failed",
    "waiting",
    "cost_usd",
    "state",
)
_HEADS: Final = ("RUN", "NO", "STARTED", "TASKS", "DONE", "FAILED", "WAITING", "COST", "STATE")
_NUMBERS: Final = frozenset({3, 4, 5, 6, 7})


def runs(session: Session, reference: str | None, given: Selectors) -> Exit:
    """List the runs that *reference* and the selectors mean.

    Raises:
        WrongInput: they mean none, or there is no such job.
        StoreBroken: the store cannot be read.
    """
    now, voice = session.clock.now(), session.voice
    found: list[RunStatus] = []
    if reference is None and not session.settings().has_store:
        nothing = nothing_yet(session.settings())
        voice.note(f"{nothing.what}; go on with: {nothing.how}")
    else:
        found = run_async(lambda: _read(session, reference, given, now))
    if voice.json:
        voice.document(runs_document(found, now, state_word))
    elif not voice.for_people:
        voice.answer("\n".join(map(tab_separated, [_COLUMNS, *map(_cells, found)])))
    elif found:
        voice.answer(
            table(
                _HEADS, [_row(status, now) for status in found], right=_NUMBERS, width=voice.width
            )
        )
    elif session.settings().has_store:
        voice.answer("no run is meant by all of these")
    return Exit.DONE


async def _read(
    session: Session, reference: str | None, given: Selectors, now: datetime
) -> list[RunStatus]:
    since, until = given["since"], given["until"]
    async with store_to_look(session) as store:
        found = [
            run
            for run in runs_meant(reference, given, await store.runs())
            if (since is None or run.created_at >= since.since(now))
            and (until is None or run.created_at < until.until(now))
        ]
        found.sort(key=lambda run: run.id, reverse=True)
        return [await store.status(run.id) for run in found[: given["limit"]]]


def _cells(status: RunStatus) -> list[str]:
    run = status.run
    return [
        run.name,
        run.number,
        run.job,
        to_text(run.created_at),
        str(status.tasks),
        str(status.states[State.COMPLETED]),
        str(unsuccessful(status)),
        str(waiting(status)),
        amount(status.money.charged),
        state_word(status),
    ]


def _row(status: RunStatus, now: datetime) -> list[str]:
    run = status.run
    return [
        run.name,
        run.number,
        day(run.created_at, now),
        f"{status.tasks:,}",
        f"{status.states[State.COMPLETED]:,}",
        f"{unsuccessful(status):,}",
        f"{waiting(status):,}",
        short(status.money.charged),
        describe(status, now),
    ]

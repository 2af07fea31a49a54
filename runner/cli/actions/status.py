"""``runner status``: one line for each run."""

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from runner.app.left_over import LeftOver, left_over_of_jobs
from runner.cli.actions.doubt import tell_doubt
from runner.cli.actions.left_over import left_over_document, left_over_notes
from runner.cli.actions.looking import nothing_yet, store_to_look
from runner.cli.actions.uncollected import tell_uncollected
from runner.cli.counts import held, sent, unsuccessful, waiting
from runner.cli.layout import amount, count, day, pairs, span, table
from runner.cli.moments import When
from runner.cli.select import matching
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit
from runner.lifecycle import State
from runner.money import short
from runner.reports.documents import status_document
from runner.store.values import RunStatus

if TYPE_CHECKING:
    from runner.cli.commands.status import StatusOptions

_HEAD = ("JOB", "RUN", "NO", "STARTED", "SENT", "DONE", "FAILED", "WAITING", "COST", "STATE")
_NUMBERS = frozenset({4, 5, 6, 7, 8})


def status(session: Session, reference: str | None, given: "StatusOptions") -> Exit:
    """Tell where the runs that *reference* means stand, or all; with ``--watch`` until they end.

    Raises:
        WrongInput: it means none.
        StoreBroken: the store cannot be read.
    """
    statuses: list[RunStatus] = []
    voice = session.voice
    if reference is None and not session.settings().has_store:
        nothing = nothing_yet(session.settings())
        voice.note(f"{nothing.what}; go on with: {nothing.how}")
        tell(session, statuses)
    elif (every_s := given["watch"]) is not None:
        from runner.cli.actions.status_watch import watch

        look = functools.partial(read_statuses, session, reference, given["since"])
        statuses = run_async(lambda: watch(session, look, every_s=every_s))
    else:
        statuses = run_async(lambda: read_statuses(session, reference, given["since"]))
        left = run_async(lambda: _left_over(session, statuses))
        tell(session, statuses, left)
        for note in left_over_notes(left):
            voice.note(note)
    wrong = any(unsuccessful(each) or each.rejected for each in statuses)
    code = Exit.SOME_FAILED if given["strict"] and wrong else Exit.DONE
    if not voice.quiet:
        tell_doubt(session, statuses)
    tell_uncollected(session, code, known=statuses)
    return code


async def _left_over(session: Session, statuses: Sequence[RunStatus]) -> Sequence[LeftOver]:
    async with store_to_look(session) as store:
        return await left_over_of_jobs(store, statuses)


def tell(session: Session, statuses: Sequence[RunStatus], left: Sequence[LeftOver] = ()) -> None:
    """Print *statuses* once, with what is *left* over in them."""
    now, voice = session.clock.now(), session.voice
    if voice.json:
        document = status_document(statuses, now)
        voice.document(document | {"left_over": left_over_document(left)})
    elif not voice.for_people:
        for each in statuses:
            voice.answer(pairs("status", status_keys(each, now)))
    elif statuses:
        voice.answer(status_table(statuses, now, voice.width))


def status_table(statuses: Sequence[RunStatus], now: datetime, width: int | None) -> str:
    """A line for each run, for people; *width* is their terminal's."""
    return table(_HEAD, [_row(each, now) for each in statuses], right=_NUMBERS, width=width)


async def read_statuses(
    session: Session, reference: str | None, since: When | None
) -> list[RunStatus]:
    """The runs that *reference* means and that began *since*, oldest first.

    Raises:
        WrongInput: *reference* means none.
        StoreBroken: the store cannot be read.
    """
    async with store_to_look(session) as store:
        found = matching(reference, await store.runs())
        if since is not None:
            first = since.since(session.clock.now())
            found = [run for run in found if run.created_at >= first]
        return [await store.status(run.id) for run in found]


def state_word(status: RunStatus) -> str:
    """``empty``, ``waiting``, ``in_doubt``, ``paused``, ``failed`` or ``finished``."""
    if not status.tasks:
        return "empty"
    if still := waiting(status):
        if status.paused is not None and still == status.states[State.PENDING]:
            return "paused"
        return "in_doubt" if still == status.states[State.UNKNOWN] else "waiting"
    return "failed" if unsuccessful(status) else "finished"


def status_keys(status: RunStatus, now: datetime) -> dict[str, object]:
    """A run on one line, for programs."""
    keys: dict[str, object] = {
        "run": status.run.name,
        "number": status.run.number,
        "job": status.run.job,
        "state": state_word(status),
        "tasks": status.tasks,
        "sent": sent(status),
        "done": status.states[State.COMPLETED],
        "failed": unsuccessful(status),
        "waiting": waiting(status),
        "cancelled": status.states[State.CANCELLED],
        "unknown": status.states[State.UNKNOWN],
        "changed": status.changed,
        "rejected": status.rejected,
        "cost": amount(status.money.charged),
        "held": amount(held(status)),
    }
    if status.gone:
        keys["gone"] = status.gone
    if status.oldest_posted_at is not None:
        keys["oldest"] = f"{_age_s(status.oldest_posted_at, now)}s"
    if status.paused is not None:
        keys["paused"] = str(status.paused)
    return keys


def _age_s(moment: datetime, now: datetime) -> int:
    # A wall clock turned back must not show a negative age.
    return max(0, int((now - moment).total_seconds()))


def _row(status: RunStatus, now: datetime) -> list[str]:
    run = status.run
    return [
        run.job,
        run.name.removeprefix(run.job).lstrip("@") or "-",
        run.number,
        day(run.created_at, now),
        f"{sent(status):,}/{status.tasks:,}",
        f"{status.states[State.COMPLETED]:,}",
        f"{unsuccessful(status):,}",
        f"{waiting(status):,}",
        short(status.money.charged),
        describe(status, now),
    ]


def describe(status: RunStatus, now: datetime) -> str:
    """How a run stands, in words: ``waiting, oldest 23 h of 72 h``."""
    word = state_word(status)
    failed = f"finished, {unsuccessful(status):,} failed"
    parts = [failed if word == "failed" else word.replace("_", " ")]
    if status.oldest_posted_at is not None:
        parts.append(f"oldest {span(_age_s(status.oldest_posted_at, now))} of 72 h")
    if status.states[State.UNKNOWN] and word != "in_doubt":
        parts.append(f"{status.states[State.UNKNOWN]:,} in doubt")
    if cancelled := status.states[State.CANCELLED]:
        parts.append(f"{cancelled:,} cancelled")
    if status.changed:
        parts.append(f"{status.changed:,} changed")
    if status.gone:
        parts.append(f"{status.gone:,} not in the input any more")
    if status.rejected:
        parts.append(f"{count(status.rejected, 'row')} rejected")
    if status.paused is not None:
        # In place of the word itself, so that it is not said twice.
        parts = [str(status.paused), *parts[word == "paused" :]]
    return ", ".join(parts)

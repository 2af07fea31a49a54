"""``runner status``: one line for each run."""

from datetime import datetime

from runner import windows
from runner.cli.actions.looking import nothing_yet, store_to_look
from runner.cli.counts import held, sent, unsuccessful, waiting
from runner.cli.layout import amount, day, pairs, span, table
from runner.cli.select import matching
from runner.cli.session import Session
from runner.cli.stopping import run_async
from runner.errors import Exit
from runner.lifecycle import State
from runner.money import short
from runner.reports.documents import status_document
from runner.store.protocol import RunStatus

_HEAD = ("JOB", "RUN", "NO", "STARTED", "SENT", "DONE", "FAILED", "WAITING", "COST", "STATE")
_NUMBERS = frozenset({4, 5, 6, 7, 8})


def status(session: Session, reference: str | None) -> Exit:
    """Tell where the runs that *reference* means stand, or all.

    Raises:
        WrongInput: it means none.
        StoreBroken: the store cannot be read.
    """
    now, voice = session.clock.now(), session.voice
    statuses: list[RunStatus] = []
    if reference is None and not session.settings().store.exists():
        nothing = nothing_yet(session.settings())
        voice.note(f"{nothing.what}; go on with: {nothing.how}")
    else:
        statuses = run_async(lambda: _read(session, reference))
    if voice.json:
        voice.document(status_document(statuses, now))
    elif not voice.for_people:
        for each in statuses:
            voice.answer(pairs("status", status_keys(each, now)))
    elif statuses:
        voice.answer(table(_HEAD, [_row(each, now) for each in statuses], right=_NUMBERS))
    for each in statuses:
        if warning := collection_warning(each, now):
            voice.warn(f"{warning}: runner run {each.run.job}")
    return Exit.DONE


async def _read(session: Session, reference: str | None) -> list[RunStatus]:
    async with store_to_look(session) as store:
        found = matching(reference, await store.runs())
        return [await store.status(run.id) for run in found]


def collection_warning(status: RunStatus, now: datetime) -> str | None:
    """A result of *status* that the API will soon keep no more."""
    oldest = status.oldest_posted_at
    if oldest is None or now - oldest < windows.WARN:
        return None
    age = span((now - oldest).total_seconds())
    return f"{status.run.name}: a result has waited {age} to be collected; the API keeps it 30 days"


def state_word(status: RunStatus) -> str:
    """``empty``, ``waiting``, ``in doubt``, ``failed`` or ``finished``."""
    if not status.tasks:
        return "empty"
    if still := waiting(status):
        return "in doubt" if still == status.states[State.UNKNOWN] else "waiting"
    return "failed" if unsuccessful(status) else "finished"


def status_keys(status: RunStatus, now: datetime) -> dict[str, object]:
    """A run on one line, for programs."""
    keys: dict[str, object] = {
        "run": status.run.name,
        "number": status.run.number,
        "job": status.run.job,
        "state": state_word(status).replace(" ", "_"),
        "tasks": status.tasks,
        "sent": sent(status),
        "done": status.states[State.COMPLETED],
        "failed": unsuccessful(status),
        "waiting": waiting(status),
        "unknown": status.states[State.UNKNOWN],
        "changed": status.changed,
        "rejected": status.rejected,
        "cost": amount(status.money.charged),
        "held": amount(held(status)),
    }
    if status.oldest_posted_at is not None:
        keys["oldest"] = f"{_age_s(status.oldest_posted_at, now)}s"
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
        _words(status, now),
    ]


def _words(status: RunStatus, now: datetime) -> str:
    word = state_word(status)
    parts = [f"finished, {unsuccessful(status):,} failed" if word == "failed" else word]
    if status.oldest_posted_at is not None:
        parts.append(f"oldest {span(_age_s(status.oldest_posted_at, now))} of 72 h")
    if status.states[State.UNKNOWN] and word != "in doubt":
        parts.append(f"{status.states[State.UNKNOWN]:,} in doubt")
    if status.changed:
        parts.append(f"{status.changed:,} changed")
    if status.rejected:
        parts.append(f"{status.rejected:,} rows rejected")
    return ", ".join(parts)

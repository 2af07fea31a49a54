"""Results that the API will soon keep no more: a line on stderr of whatever command is used.

posted .......... 20 days .......... 27 days .......... 30 days
                    | warning           | alarm            | gone
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from runner import windows
from runner.cli.layout import span
from runner.cli.session import Session
from runner.errors import Exit
from runner.store.values import RunStatus
from runner.windows import Level

_WORDS: Final = {Level.WARN: "warning", Level.ALARM: "alarm", Level.CLOSED: "alarm"}


def tell_uncollected(
    session: Session, code: Exit, *, known: Iterable[RunStatus] = ()
) -> str | None:
    """Warn of the result that has waited longest, if it has waited too long; once in a command.

    *known*: statuses that were read already. Returns what was told.
    """
    if session.told_uncollected:
        return None
    session.told_uncollected = True
    now = session.clock.now()
    waiting = [status for status in (*known, *_in_store(session, now)) if status.oldest_posted_at]
    oldest = min(waiting, key=lambda status: status.oldest_posted_at or now, default=None)
    text = oldest and collection_warning(oldest, now)
    if oldest is None or oldest.oldest_posted_at is None or text is None:
        return None
    text = f"{text}: runner poll {oldest.run.name}"
    level = windows.collection_age_level(oldest.oldest_posted_at, now)
    session.voice.alarm(_WORDS[level], text, code)
    return session.voice.to_paste(text)


def collection_warning(status: RunStatus, now: datetime) -> str | None:
    """A result of *status* that the API will soon keep no more."""
    oldest = status.oldest_posted_at
    if oldest is None or now - oldest < windows.WARN:
        return None
    age = span((now - oldest).total_seconds())
    return f"{status.run.name}: a result has waited {age} to be collected; the API keeps it 30 days"


def _in_store(session: Session, now: datetime) -> list[RunStatus]:
    """The run whose result has waited longest, if that is too long."""
    settings = session.known_settings
    if settings is None or not settings.has_store:
        return []
    try:
        return asyncio.run(_longest(session, now))
    except Exception:
        # Whatever is wrong with the store, the command itself has said, and ended by it.
        return []


async def _longest(session: Session, now: datetime) -> list[RunStatus]:
    from runner.store.opening import open_store_to_look

    async with open_store_to_look(session.settings().place, clock=session.clock) as store:
        oldest = await store.oldest_uncollected()
        if oldest is None or now - oldest < windows.WARN:
            return []
        statuses = [await store.status(run.id) for run in await store.runs()]
        return [status for status in statuses if status.oldest_posted_at == oldest][:1]

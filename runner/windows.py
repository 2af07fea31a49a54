"""The time limits that the API puts on a Standard task, and when to ask for it within them.

    posted   6 h   24 h   48 h   72 h ...... 20 d ......... 27 d ....... 30 d
      | may still complete         |         warn            alarm        |
      | answer kept, fetched and read again free of charge                | gone
                  asked by id at growing intervals, for the last time an hour before ─┘

The list of ready tasks only pulls the next ask forward; age is what guarantees it.
Sources: API.md §0 and §3 (72 h, 3 days on the ready list, 30 days); DESIGN.md §4 Fetching.
Pure arithmetic: no clock is read here, ``now`` is an argument. All moments are aware UTC.
"""

from datetime import datetime, timedelta
from enum import IntEnum
from typing import Final

COMPLETION_WINDOW: Final = timedelta(hours=72)
"""After this the API marks the task failed and refunds the advance."""

RESULT_WINDOW: Final = timedelta(days=30)
"""So long the API keeps an answer. Counted from the posting, the earliest that it could mean."""

WARN: Final = timedelta(days=20)
"""A result uncollected at this age is worth a warning."""

ALARM: Final = timedelta(days=27)
"""A result uncollected at this age is worth an alarm, and goes before other calls."""

CHECKPOINTS: Final = (
    timedelta(hours=6),
    timedelta(hours=24),
    timedelta(hours=48),
    COMPLETION_WINDOW,
)
"""Ages at which a task is asked by id even though the ready list can be trusted."""

LATE_INTERVAL: Final = timedelta(hours=6)
"""How often a task past the last checkpoint is asked by id."""

LAST_ASK_AHEAD: Final = timedelta(hours=1)
"""So long before its answer goes a task is asked once more, time enough for a full line."""

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""By so much the API's 72 hours may end before ours.

Our count starts when the receipt comes, up to a minute after the API's, and the two clocks differ.
Too generous does no harm: a failure just before 72 h is retried by the same policy, and its refund
is believed only when it is seen.
"""


class Level(IntEnum):
    """How urgent it is to collect a result; the greater, the more."""

    OK = 0
    WARN = 1
    ALARM = 2
    CLOSED = 3


def next_poll(
    *, posted_at: datetime, now: datetime, interval: timedelta, list_trusted: bool
) -> datetime:
    """When to ask by id again for a task that is still waiting at *now*; always later than *now*.

    *interval* > 0 is what the backoff says; while *list_trusted* (the ready list answers, is not
    full and has lately shown our tasks) the checkpoints count instead. An ask that would fall past
    the last moment for asking, or past the end of the window, is moved there.
    """
    chosen = _next_checkpoint(posted_at, now) if list_trusted else now + interval
    closes_at = posted_at + RESULT_WINDOW
    for end in (closes_at - LAST_ASK_AHEAD, closes_at):
        if now < end:
            return min(chosen, end)
    return chosen


def may_be_timeout(posted_at: datetime, seen_at: datetime) -> bool:
    """Whether a failure that was first seen then may be that of the 72 hours: the API does not say
    when it happened, so it may be days old as well."""
    return seen_at - posted_at >= COMPLETION_WINDOW - CLOCK_TOLERANCE


def collection_age_level(posted_at: datetime, now: datetime) -> Level:
    """How urgent it is to collect the result of a task that is still posted."""
    age = now - posted_at
    steps = ((RESULT_WINDOW, Level.CLOSED), (ALARM, Level.ALARM), (WARN, Level.WARN))
    return next((level for start, level in steps if age >= start), Level.OK)


def near_window_end(posted_at: datetime, now: datetime) -> bool:
    """Whether asking for the result goes before other calls; true for an ask after the end too."""
    return now - posted_at >= ALARM


def result_lost(posted_at: datetime, now: datetime) -> bool:
    """Whether the 30 days are over: what one more ask does not bring is expired."""
    return now - posted_at >= RESULT_WINDOW


def _next_checkpoint(posted_at: datetime, now: datetime) -> datetime:
    age = now - posted_at
    for checkpoint in CHECKPOINTS:
        if age < checkpoint:
            return posted_at + checkpoint
    late = age - COMPLETION_WINDOW
    return posted_at + COMPLETION_WINDOW + LATE_INTERVAL * (late // LATE_INTERVAL + 1)

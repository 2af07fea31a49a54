"""The life of a task: nine states and the one table that says what may follow what.

    pending ──▶ posting ──▶ posted ──▶ completed
       ▲           │          ├──────▶ failed | expired
       │           ├──▶ failed (refused)
       ├───────────┘  certainly not taken
       │           └──▶ unknown ──▶ posted (found) | pending (proven absent) | quarantined
       └── `retry`, `--changed ask`

Every change of state in the store is looked up here (``after``), and the diagram in
``docs/states.md`` is drawn from here. Time alone never moves a task from ``posting`` to
``pending``: a request that may have reached the API is only ever given up on evidence.
"""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a task is. Each row of the input ends in exactly one of them."""

    PENDING = "pending"
    """Waits to be posted; no money is out."""
    POSTING = "posting"
    """The intent to post is durable; the request may have left."""
    UNKNOWN = "unknown"
    """The API may or may not have taken it. Never posted again until that is decided."""
    POSTED = "posted"
    """The API took it and named its id; the advance is paid."""
    COMPLETED = "completed"
    """Answered; answer and cost are stored."""
    FAILED = "failed"
    """Ended without an answer; ``Reason`` says how."""
    EXPIRED = "expired"
    """Its answer was not read within 30 days and is gone at the API."""
    QUARANTINED = "quarantined"
    """Cannot be decided from the API's listing: a person has to."""
    CANCELLED = "cancelled"
    """Dropped before it was posted, or was to be posted anew."""


class Reason(StrEnum):
    """How a task came to be failed, quarantined or cancelled."""

    REFUSED = "refused"
    """The API refused the task as it stands; nothing was charged."""
    REMOTE = "remote"
    """The API took the task and reported a failure."""
    TIMED_OUT = "timed_out"
    """The same, with a code worth another try and seen at or past its 72 hours: if it ran into
    them, the advance comes back."""
    ANSWER_LOST = "answer_lost"
    """A Live answer was lost on the way; it may have been charged."""
    WRITTEN_OFF = "written_off"
    """A person gave it up while it was quarantined."""
    POISON = "poison"
    """The process died three times while this task was being posted alone."""
    NO_FIRST_ANSWER = "no_first_answer"
    """A follow-up whose first question was never answered."""


class Event(StrEnum):
    """What can happen to a task."""

    INTENDED = "intended"
    """Written into a batch that is about to be sent."""
    ACCEPTED = "accepted"
    """The API said 20100 and gave an id."""
    NOT_TAKEN = "not_taken"
    """Certainly not taken by the API."""
    REFUSED = "refused"
    """The API refused this task for good."""
    LOST = "lost"
    """No usable reply: perhaps taken."""
    FOUND = "found"
    """Its tag was seen in the account: adopted."""
    PROVEN_ABSENT = "proven_absent"
    """Complete listings after the settle time show no trace of it."""
    UNDECIDED = "undecided"
    """No evidence can be had any more."""
    ANSWERED = "answered"
    """Its answer came."""
    REMOTE_FAILURE = "remote_failure"
    """The API took it and reported a failure; it will not be asked again by itself."""
    TRY_AGAIN = "try_again"
    """The API took it and reported a failure; the policy has tries left."""
    ANSWER_LOST = "answer_lost"
    """A Live answer was lost after sending."""
    EXPIRED = "expired"
    """Its result is past the API's 30 days."""
    ASKED_AGAIN = "asked_again"
    """A person wants a new attempt: `retry`, `--changed ask`, `resolve --absent --pay-again`."""
    WRITTEN_OFF = "written_off"
    """A person gave it up."""
    CANCELLED = "cancelled"
    """A person dropped it, or its first question ended unanswered."""
    REOPENED = "reopened"
    """A follow-up whose first question is being asked again; nothing was ever sent for it."""


MOVES: Final[dict[State, dict[Event, State]]] = {
    State.PENDING: {
        Event.INTENDED: State.POSTING,
        Event.FOUND: State.POSTED,
        Event.CANCELLED: State.CANCELLED,
    },
    State.POSTING: {
        Event.ACCEPTED: State.POSTED,
        Event.NOT_TAKEN: State.PENDING,
        Event.REFUSED: State.FAILED,
        Event.LOST: State.UNKNOWN,
        # Live only: the answer comes with the reply, or never.
        Event.ANSWERED: State.COMPLETED,
        Event.REMOTE_FAILURE: State.FAILED,
        Event.TRY_AGAIN: State.PENDING,
        Event.ANSWER_LOST: State.FAILED,
    },
    State.UNKNOWN: {
        Event.FOUND: State.POSTED,
        Event.ANSWERED: State.COMPLETED,
        Event.PROVEN_ABSENT: State.PENDING,
        Event.UNDECIDED: State.QUARANTINED,
        # Live only.
        Event.ANSWER_LOST: State.FAILED,
        Event.TRY_AGAIN: State.PENDING,
    },
    State.POSTED: {
        Event.ANSWERED: State.COMPLETED,
        Event.REMOTE_FAILURE: State.FAILED,
        Event.TRY_AGAIN: State.PENDING,
        Event.EXPIRED: State.EXPIRED,
    },
    State.QUARANTINED: {
        Event.FOUND: State.POSTED,
        Event.ASKED_AGAIN: State.PENDING,
        Event.WRITTEN_OFF: State.FAILED,
    },
    State.COMPLETED: {Event.ASKED_AGAIN: State.PENDING},
    State.FAILED: {Event.ASKED_AGAIN: State.PENDING},
    State.EXPIRED: {Event.ASKED_AGAIN: State.PENDING},
    # Only cancelled(no_first_answer): what a person drops stays dropped.
    State.CANCELLED: {Event.REOPENED: State.PENDING},
}
"""What may follow what. Anything not in here cannot happen."""

WAITING: Final = frozenset({State.PENDING, State.POSTING, State.UNKNOWN, State.POSTED})
"""A run is not finished while one of its tasks is in one of these."""

DROPPABLE: Final = WAITING | {State.QUARANTINED}
"""What a person may drop: pending tasks at once, the others when they would be posted anew."""

UNSUCCESSFUL: Final = frozenset({State.FAILED, State.EXPIRED, State.QUARANTINED})
"""What counts against ``--max-failures``; cancelled is no failure."""


class IllegalMove(Exception):
    """A move that the table does not have was asked for: a bug of ours, never of the input."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"a task that is {state} cannot be {event}")
        self.state = state
        self.event = event


def after(state: State, event: Event) -> State:
    """The state that *event* leads to from *state*.

    Raises:
        IllegalMove: the table has no such move.
    """
    try:
        return MOVES[state][event]
    except KeyError:
        raise IllegalMove(state, event) from None

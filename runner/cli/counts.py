"""What the states of a run's tasks come to."""

from collections.abc import Sequence
from dataclasses import replace

from runner.lifecycle import UNSUCCESSFUL, WAITING, State
from runner.store.amounts import Money
from runner.store.values import RunStatus


def sent(status: RunStatus) -> int:
    """Tasks that the API was asked, for all we know."""
    states = status.states
    return status.tasks - sum(
        states[state] for state in (State.PENDING, State.POSTING, State.CANCELLED)
    )


def sent_and_waiting(status: RunStatus) -> int:
    """Tasks at the API, for all we know, whose answers are still to come."""
    return waiting(status) - status.states[State.PENDING]


def ended(status: RunStatus) -> int:
    """Tasks that wait no more."""
    return status.tasks - waiting(status)


def waiting(status: RunStatus) -> int:
    """Tasks that have not ended."""
    return sum(status.states[state] for state in WAITING)


def unsuccessful(status: RunStatus) -> int:
    """Tasks that ended without an answer, cancelled ones aside."""
    return sum(status.states[state] for state in UNSUCCESSFUL)


def failures(status: RunStatus) -> int:
    """What ``--max-failures`` counts: rows that could not be asked among them."""
    return unsuccessful(status) + status.rejected


def held(status: RunStatus) -> int:
    """Nano-dollars that may still be charged or come back."""
    return status.money.reserved + status.money.at_risk


def together(statuses: Sequence[RunStatus]) -> RunStatus:
    """Several runs as if they were one, which is called ``3 runs``."""
    if len(statuses) == 1:
        return statuses[0]
    first = statuses[0]
    posted = [each.oldest_posted_at for each in statuses if each.oldest_posted_at is not None]
    return replace(
        first,
        run=replace(first.run, job=f"{len(statuses)} runs", key="", fresh=0),
        rows=sum(each.rows for each in statuses),
        duplicates=sum(each.duplicates for each in statuses),
        rejected=sum(each.rejected for each in statuses),
        states={state: sum(each.states[state] for each in statuses) for state in State},
        reasons={},
        changed=sum(each.changed for each in statuses),
        gone=sum(each.gone for each in statuses),
        undecided=sum(each.undecided for each in statuses),
        held=sum(each.held for each in statuses),
        money=sum((each.money for each in statuses), start=Money()),
        oldest_posted_at=min(posted, default=None),
        next_due_at=None,
        paused=None,
    )

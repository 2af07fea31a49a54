"""What the states of a run's tasks come to."""

from runner.lifecycle import UNSUCCESSFUL, WAITING, State
from runner.store.protocol import RunStatus


def sent(status: RunStatus) -> int:
    """Tasks that the API was asked, for all we know."""
    states = status.states
    return status.tasks - sum(
        states[state] for state in (State.PENDING, State.POSTING, State.CANCELLED)
    )


def ended(status: RunStatus) -> int:
    """Tasks that wait no more."""
    return status.tasks - waiting(status)


def waiting(status: RunStatus) -> int:
    """Tasks that have not ended."""
    return sum(status.states[state] for state in WAITING)


def unsuccessful(status: RunStatus) -> int:
    """Tasks that ended without an answer, cancelled ones aside."""
    return sum(status.states[state] for state in UNSUCCESSFUL)


def held(status: RunStatus) -> int:
    """Nano-dollars that may still be charged or come back."""
    return status.money.reserved + status.money.at_risk

"""The one table of moves holds what DESIGN.md promises about a task's life."""

import itertools

import pytest

from runner.lifecycle import (
    MOVES,
    UNSUCCESSFUL,
    WAITING,
    Event,
    IllegalMove,
    State,
    after,
)


def reachable(start: State) -> set[State]:
    """Every state that a task in *start* may come to."""
    found: set[State] = set()
    ahead = [start]
    while ahead:
        for state in MOVES[ahead.pop()].values():
            if state not in found:
                found.add(state)
                ahead.append(state)
    return found


def test_every_state_has_its_line_in_the_table() -> None:
    """A state without one would be a KeyError in the middle of a night."""
    assert set(MOVES) == set(State)


def test_every_event_is_used() -> None:
    """A word that nothing means is one that somebody will misuse."""
    assert {event for moves in MOVES.values() for event in moves} == set(Event)


def test_every_state_can_come_about() -> None:
    """A state nothing leads to is one that no test of a run would ever see."""
    assert reachable(State.PENDING) == set(State)


@pytest.mark.parametrize("state", sorted(WAITING))
def test_whatever_waits_can_end(state: State) -> None:
    """A run must be able to finish from wherever its tasks are."""
    assert reachable(state) & {State.COMPLETED, State.FAILED}


def test_what_waits_what_failed_and_what_is_done_are_all_there_is() -> None:
    """Exit codes are counted by these sets: a state in none of them would be in no count."""
    done = {State.COMPLETED, State.CANCELLED}
    parts: list[frozenset[State] | set[State]] = [WAITING, UNSUCCESSFUL, done]
    assert set().union(*parts) == set(State)
    assert not any(one & two for one, two in itertools.combinations(parts, 2))


def test_a_lookup_follows_the_table() -> None:
    """The store takes every next state from here."""
    for state, moves in MOVES.items():
        for event in Event:
            if event in moves:
                assert after(state, event) is moves[event]
            else:
                with pytest.raises(IllegalMove, match=f"{state} cannot be {event}") as refusal:
                    after(state, event)
                assert (refusal.value.state, refusal.value.event) == (state, event)


def test_only_evidence_or_a_person_brings_a_task_back_to_pending() -> None:
    """A task that may be at the API is sent again on proof of absence, a report or a word."""
    back = {
        (state, event)
        for state, moves in MOVES.items()
        for event, to in moves.items()
        if to is State.PENDING
    }
    assert {event for _, event in back} == {
        Event.NOT_TAKEN,
        Event.TRY_AGAIN,
        Event.PROVEN_ABSENT,
        Event.ASKED_AGAIN,
        Event.REOPENED,
    }
    assert {state for state, event in back if event is Event.NOT_TAKEN} == {State.POSTING}
    assert {state for state, event in back if event is Event.PROVEN_ABSENT} == {State.UNKNOWN}


def test_a_task_is_sent_from_pending_alone() -> None:
    """Whatever is unknown, posted or quarantined cannot be posted a second time by any path."""
    senders = [state for state, moves in MOVES.items() if State.POSTING in moves.values()]
    assert senders == [State.PENDING]


def test_a_doubt_is_decided_by_finding_proof_or_a_person() -> None:
    """No event that stands for time alone leads out of unknown."""
    assert set(MOVES[State.UNKNOWN]) == {
        Event.FOUND,
        Event.ANSWERED,
        Event.PROVEN_ABSENT,
        Event.UNDECIDED,
        Event.ANSWER_LOST,
        Event.TRY_AGAIN,
    }


def test_what_is_cancelled_stays_so() -> None:
    """Who drops a task does not pay for it later; a follow-up that nobody dropped is another thing
    (tests/store/test_follow_ups.py)."""
    assert set(MOVES[State.CANCELLED]) == {Event.REOPENED}

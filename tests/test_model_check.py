"""Nothing paid twice, nothing stuck, no charge unnoticed: searched through, not sampled.

The model is ``tests/support/model.py``, the moves are the product's own. That the searches can fail
is shown by taking out, one by one, what the promise rests on. ``pytest -s`` prints their sizes.
"""

import itertools

import pytest

from runner.lifecycle import MOVES, WAITING, Event, State
from tests.support.model import (
    ENDS,
    LEFT_OUT,
    MOST,
    Listing,
    Phase,
    Rules,
    World,
    ended,
    ended_or_held,
    paid_twice,
    unnoticed,
)
from tests.support.search import Search


def searched(rules: Rules) -> Search:
    search = Search(rules)
    print(f"\n{rules}: {len(search):,} states", end="")
    return search


@pytest.fixture(scope="module", params=Listing)
def listing(request: pytest.FixtureRequest) -> Listing:
    """A listing that works, that never does, that comes and goes."""
    return Listing(request.param)


@pytest.fixture(scope="module")
def search(listing: Listing) -> Search:
    """All that can happen under the rules as they are promised."""
    return searched(Rules(listing=listing))


def test_no_task_is_paid_twice(search: Search) -> None:
    """The promise that sells the product; nothing is asked again here that a person did not ask."""
    found = search.first(paid_twice)
    assert found is None, search.story(found)


def test_no_charge_goes_unnoticed(search: Search) -> None:
    """What the store has crossed off must not cost anything, not even once."""
    found = search.first(unnoticed)
    assert found is None, search.story(found)


def test_nothing_gets_stuck(search: Search, listing: Listing) -> None:
    """However often processes die, a way to an end is left; with a listing it needs nobody."""
    found = search.stuck(ended if listing is Listing.WORKS else ended_or_held)
    assert found is None, search.story(found)


def test_an_ended_task_has_no_charge_that_is_still_in_doubt(search: Search) -> None:
    """At the end the books are closed: each attempt that the API has is one we know of."""

    def open_at_the_end(world: World) -> bool:
        return world.state in ENDS and "open" in world.records

    found = search.first(open_at_the_end)
    assert found is None, search.story(found)


def test_the_search_sees_all_that_it_claims_to(search: Search, listing: Listing) -> None:
    """A model in which little can happen proves little."""
    states = set(State) - {State.CANCELLED, State.EXPIRED}
    if listing is Listing.WORKS:
        states.remove(State.QUARANTINED)
    assert {world.state for world in search} == states
    assert {world.attempt for world in search} == set(range(MOST + 1))
    deaths = {world.processes[0].phase for world in search if world.attempt > 1}
    assert deaths == set(Phase)
    if listing is Listing.SOMETIMES:
        assert search.events == set(Event) - LEFT_OUT


def finds(rules: Rules, *, length: int) -> None:
    """Assert that *rules* let a task be paid twice, by a story of at most *length* lines."""
    search = Search(rules, until=paid_twice)
    found = search.first(paid_twice)
    assert found is not None, f"not found in {len(search):,} states"
    story = search.story(found)
    print(f"\n{rules}:{story}")
    assert len(story.strip().splitlines()) <= length


def test_without_the_settle_time_the_double_charge_is_found() -> None:
    """Two empty listings prove nothing while the request is still on its way."""
    finds(Rules(settle=False), length=11)


def test_without_punctual_requests_the_double_charge_is_found() -> None:
    """The one thing that is assumed: it is needed, and docs/guarantees.md has to say so."""
    finds(Rules(punctual=False), length=12)


def test_without_the_unknown_state_the_double_charge_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What other queues do: the sender is dead, so its task is free again."""
    monkeypatch.setitem(MOVES[State.POSTING], Event.LOST, State.PENDING)
    finds(Rules(), length=8)


@pytest.mark.parametrize(
    ("listing", "state", "event"),
    [
        pytest.param(Listing.NEVER, State.UNKNOWN, Event.UNDECIDED, id="undecided, then free"),
        pytest.param(Listing.WORKS, State.UNKNOWN, Event.FOUND, id="found, then free"),
        pytest.param(Listing.WORKS, State.POSTING, Event.ACCEPTED, id="accepted, then free"),
        pytest.param(Listing.WORKS, State.UNKNOWN, Event.ANSWERED, id="answered, then free"),
    ],
)
def test_a_move_that_frees_a_paid_task_is_found(
    monkeypatch: pytest.MonkeyPatch, listing: Listing, state: State, event: Event
) -> None:
    """One wrong word in the table of moves, and the build is red."""
    monkeypatch.setitem(MOVES[state], event, State.PENDING)
    finds(Rules(listing=listing), length=12)


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (State.POSTING, Event.LOST),
        (State.UNKNOWN, Event.FOUND),
        (State.UNKNOWN, Event.PROVEN_ABSENT),
        (State.POSTED, Event.ANSWERED),
    ],
)
def test_a_move_that_is_missing_leaves_a_task_stuck(
    monkeypatch: pytest.MonkeyPatch, state: State, event: Event
) -> None:
    """A row that waits for ever is lost, whatever the count of states says."""
    # The whole row: put back by itself an entry would come last.
    left = {each: to for each, to in MOVES[state].items() if each is not event}
    monkeypatch.setitem(MOVES, state, left)
    found = Search(Rules()).stuck(ended)
    assert found is not None
    assert found.state in WAITING


def test_every_event_is_either_searched_or_left_out_on_purpose() -> None:
    """An event that is new in the table must be given its place in the model."""
    in_table = set(itertools.chain.from_iterable(MOVES.values()))
    assert Search(Rules(listing=Listing.SOMETIMES)).events == in_table - LEFT_OUT

"""How many Live calls may be open: never more than the API takes, few while it is ill."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from runner.pipeline.crowd import LOST_IN_A_ROW, Crowd

LATER_S = 1e6


def lose(crowd: Crowd, times: int, turn: int | None = None) -> None:
    for _ in range(times):
        crowd.lost(crowd.turn if turn is None else turn, 0.0, Random(1))


def test_a_refusal_for_crowding_leaves_what_was_open_beside_it() -> None:
    """A plan of five shows itself when the sixth call is refused."""
    crowd = Crowd(20)
    crowd.open = 6
    crowd.refused(0.0)
    assert crowd.allowed == 5
    crowd.open = 1
    crowd.refused(0.0)
    assert crowd.allowed == 1, "one must always be allowed, or nothing would ever go on"


def test_room_that_crowding_took_comes_back_slowly() -> None:
    """Somebody else's calls end; ours must not jump back to the limit at once."""
    crowd = Crowd(30)
    crowd.open = 11
    crowd.refused(0.0)
    for second in range(19):
        crowd.answered(float(second))
    assert crowd.allowed == 10
    crowd.answered(20.0)
    crowd.answered(21.0)
    assert crowd.allowed == 11


def test_a_cut_line_that_loses_all_open_calls_halts_nothing() -> None:
    """Thirty answers lost together are one event, not ten."""
    crowd = Crowd(30)
    lose(crowd, 30, turn=0)
    assert (crowd.allowed, crowd.halted) == (1, False)
    assert not crowd.room(0.0)
    assert crowd.room(LATER_S)


def test_an_api_that_loses_probes_as_well_is_given_up() -> None:
    """Each further call would put money at risk for nothing."""
    crowd = Crowd(30)
    lose(crowd, LOST_IN_A_ROW)
    lose(crowd, LOST_IN_A_ROW - 1)
    assert not crowd.halted
    lose(crowd, 1)
    assert crowd.halted
    assert not crowd.room(LATER_S)


def test_answers_open_the_lane_again() -> None:
    """An API that is well again is used again."""
    crowd = Crowd(30)
    lose(crowd, LOST_IN_A_ROW)
    for allowed in (2, 4, 8, 16, 30, 30):
        crowd.answered(0.0)
        assert crowd.allowed == allowed


@given(st.lists(st.sampled_from(["open", "answered", "lost", "refused", "unsent"]), max_size=200))
def test_the_limit_holds_whatever_happens(events: list[str]) -> None:
    """The API refuses what is above it, and a lane that allows none would hang for ever."""
    crowd, turns, now = Crowd(30), [], 0.0
    for event in events:
        now += 30.0
        if event == "open":
            if crowd.room(now + LATER_S):
                crowd.open += 1
                turns.append(crowd.turn)
        elif turns:
            turn = turns.pop()
            match event:
                case "answered":
                    crowd.answered(now)
                case "lost":
                    crowd.lost(turn, now, Random(3))
                case "refused":
                    crowd.refused(now)
                case "unsent":
                    crowd.unsent(now, Random(3))
            crowd.open -= 1
        assert 1 <= crowd.allowed <= 30
        assert 0 <= crowd.open <= 30

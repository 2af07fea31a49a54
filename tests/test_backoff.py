"""Waits grow, stay within their bounds and never overflow."""

import math
from datetime import timedelta
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner.backoff import (
    LONGEST_POLL,
    NOT_TAKEN_CAP_S,
    full_jitter,
    not_taken_wait_s,
    poll_interval,
)

ATTEMPTS = st.integers(1, 100) | st.integers(1, 10**400)
SECONDS = st.floats(min_value=5e-324, max_value=1e300, allow_nan=False)


class Highest(Random):
    """Draws the upper end of every range: what the bound is."""

    def uniform(self, a: float, b: float) -> float:
        return b


@given(ATTEMPTS, SECONDS, SECONDS, st.integers())
def test_a_wait_lies_between_nothing_and_its_cap(
    attempt: int, one_s: float, other_s: float, seed: int
) -> None:
    """An attempt number that a store has kept for years must not overflow a float."""
    base_s, cap_s = sorted((one_s, other_s))
    wait_s = full_jitter(attempt, base_s=base_s, cap_s=cap_s, random=Random(seed))
    assert 0 <= wait_s <= cap_s
    if attempt == 1:
        assert wait_s <= base_s


@given(ATTEMPTS, SECONDS, SECONDS)
def test_the_bound_never_shrinks_with_more_failures(
    attempt: int, one_s: float, other_s: float
) -> None:
    """The longer something is down, the less it is asked."""
    base_s, cap_s = sorted((one_s, other_s))
    assume(base_s < cap_s)
    bounds = [
        full_jitter(number, base_s=base_s, cap_s=cap_s, random=Highest())
        for number in (attempt, attempt + 1)
    ]
    assert bounds[0] <= bounds[1] <= cap_s
    assert bounds[1] == min(cap_s, 2 * bounds[0])


def test_a_task_not_taken_waits_a_second_doubling_to_five_minutes() -> None:
    """A network that is down for a minute costs seconds, one that is down all night few calls."""
    bounds = [not_taken_wait_s(failures, Highest()) for failures in range(1, 12)]
    assert bounds == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert not_taken_wait_s(10**100, Highest()) == NOT_TAKEN_CAP_S


def test_waits_after_the_same_failure_are_spread_over_the_whole_range() -> None:
    """Tasks that failed together must not come back together."""
    random = Random(7)
    waits = [not_taken_wait_s(5, random) for _ in range(1_000)]
    tenths = {int(wait_s / 1.6) for wait_s in waits}
    assert tenths == set(range(10))
    assert min(waits) < 0.2
    assert 7 < sum(waits) / len(waits) < 9


def test_a_task_is_asked_after_a_minute_then_ever_less_often() -> None:
    """Seconds to two hours have been seen (API.md §8): both ends are covered."""
    minutes = [poll_interval(polls) / timedelta(minutes=1) for polls in range(12)]
    assert minutes == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]


@given(st.integers(0, 10**400))
def test_the_longest_interval_between_polls_is_six_hours(polls: int) -> None:
    """A task asked a thousand times is still asked four times a day."""
    assert timedelta(minutes=1) <= poll_interval(polls) <= poll_interval(polls + 1) <= LONGEST_POLL


@pytest.mark.parametrize("attempt", [0, -1])
def test_attempts_count_from_one(attempt: int) -> None:
    """A zero would halve the first wait unnoticed."""
    with pytest.raises(ValueError, match="attempt counts from 1"):
        full_jitter(attempt, base_s=1, cap_s=2, random=Random(1))


def test_polls_count_from_zero() -> None:
    """A negative count is a bug in the caller, not a short wait."""
    with pytest.raises(ValueError, match="polls counts from 0"):
        poll_interval(-1)


@pytest.mark.parametrize(
    ("base_s", "cap_s"), [(0, 1), (-1, 1), (2, 1), (1, math.inf), (math.nan, 1), (1, math.nan)]
)
def test_a_range_that_is_none_is_an_error(base_s: float, cap_s: float) -> None:
    """A base of 0 would never wait at all."""
    with pytest.raises(ValueError, match="not a range of waits"):
        full_jitter(1, base_s=base_s, cap_s=cap_s, random=Random(1))

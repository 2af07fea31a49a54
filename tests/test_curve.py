"""Curves of when answers come: bounded, quick to learn, and honest where they know nothing."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.curve import AGES_S, ENOUGH, MOST, Curve

AGES = st.floats(0, 80 * 3600).map(lambda s: timedelta(seconds=s))
CURVES = st.lists(st.integers(0, 50), min_size=len(AGES_S), max_size=len(AGES_S)).map(Curve.of)


def learned(*seconds: float) -> Curve:
    curve = Curve()
    for each in seconds:
        curve = curve.add(timedelta(seconds=each))
    return curve


def share_by(curve: Curve, age: timedelta) -> float:
    """The share of answers that had come by *age*, 0 to 1: rather too low than too high."""
    weighed = zip(AGES_S, curve.weights, strict=True)
    done = sum(weight for at, weight in weighed if at <= age.total_seconds())
    return done / sum(curve.weights)


def test_a_few_answers_say_nothing() -> None:
    """A plan made from three answers would put off thousands of tasks by chance."""
    few = learned(*[60.0] * (ENOUGH - 1))
    assert few.next_age(timedelta(0)) is None
    assert few.age_by(0.9) is None
    assert few.add(timedelta(minutes=1)).known


def test_answers_that_all_take_two_hours_are_asked_for_right_after_two_hours() -> None:
    """Every ask before that is a call in vain, and much later is time lost."""
    curve = learned(*[7_200.0] * 100)
    first = curve.next_age(timedelta(0))
    assert first is not None
    assert 7_200 <= first.total_seconds() <= 7_200 * 1.5
    assert curve.next_age(first) is None


def test_late_answers_are_asked_for_more_than_once_rather_than_last() -> None:
    """Waiting for the slowest of all would keep nine tenths of the answers lying for hours."""
    curve = learned(*[60.0] * 90, *[36_000.0] * 10)
    first = curve.next_age(timedelta(0))
    assert first is not None
    assert first <= timedelta(minutes=2)
    second = curve.next_age(first)
    assert second is not None
    assert timedelta(hours=10) <= second <= timedelta(hours=15)


def test_a_change_of_pace_is_learned_within_some_thousand_answers() -> None:
    """The provider got slower: last month's answers must not rule for ever."""
    curve = learned(*[10.0] * 5_000)
    for _ in range(2 * MOST):
        curve = curve.add(timedelta(hours=1))
    half = curve.age_by(0.5)
    assert half is not None
    assert half > timedelta(minutes=50)


@settings(max_examples=20, deadline=None)
@given(ages=st.lists(AGES, max_size=40), repeats=st.sampled_from([1, 60]))
def test_a_curve_never_grows(ages: list[timedelta], repeats: int) -> None:
    """A million answers are kept in some dozens of small numbers."""
    curve = Curve()
    for age in ages * repeats:
        curve = curve.add(age)
    assert len(curve.weights) == len(AGES_S)
    assert 0 <= sum(curve.weights) <= MOST
    assert Curve.of(list(curve.weights)) == curve


@given(curve=CURVES, share=st.floats(0.01, 1))
def test_by_the_age_of_a_share_that_share_has_come(curve: Curve, share: float) -> None:
    """The two directions of one question must not disagree."""
    age = curve.age_by(share)
    assert age is None or share_by(curve, age) >= share - 1e-9


@given(curve=CURVES, age=AGES)
def test_the_next_ask_lies_ahead_where_some_answers_come(curve: Curve, age: timedelta) -> None:
    """An ask in the past would be asked again and again; one where nothing comes is in vain."""
    following = curve.next_age(age)
    if following is not None:
        assert following > age
        assert share_by(curve, following) > share_by(curve, age)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1_000), hours=st.floats(0.1, 5))
def test_answers_that_come_evenly_over_time_take_less_than_two_asks_each(
    seed: int, hours: float
) -> None:
    """Without any list, asking by age alone must stay affordable."""
    random = Random(seed)
    times = [random.expovariate(1 / (hours * 3600)) for _ in range(400)]
    curve = learned(*times)
    asks = 0
    for done_at in times:
        age: timedelta | None = timedelta(0)
        while age is not None and age.total_seconds() < done_at:
            age, asks = curve.next_age(age), asks + 1
    assert asks <= 2 * len(times)


@pytest.mark.parametrize("weights", [[], [1], [-1] * len(AGES_S), [MOST + 1] * len(AGES_S)])
def test_stored_weights_of_another_scale_are_forgotten(weights: list[int]) -> None:
    """A later version may count at other ages; a wrong reading would plan nonsense."""
    assert Curve.of(weights) == Curve()

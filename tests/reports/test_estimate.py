"""What is said of costs before anything is spent has to be honest: a range, or unknown."""

from random import Random

import pytest

from runner.reports.estimate import cost_of, estimate, total
from runner.store.history import TargetHistory
from runner.task import Endpoint, Method, Provider

STANDARD = Endpoint(provider=Provider.CLAUDE)
LIVE = Endpoint(provider=Provider.CLAUDE, method=Method.LIVE)


def history(to_post: int, *charges: int, endpoint: Endpoint = STANDARD) -> TargetHistory:
    return TargetHistory(
        name="a",
        endpoint=endpoint,
        model="m",
        tasks=to_post,
        to_post=to_post,
        reserve=50_000_000,
        answers=len(charges),
        charges=charges,
    )


def test_without_an_earlier_answer_the_cost_is_unknown_and_never_nothing() -> None:
    """A zero would read as a price; a person would start the run because of it."""
    found = estimate(history(250))
    assert found.cost is None
    assert total([found, estimate(history(10, 4_000_000))]) is None
    # What is set aside stands in where somebody must agree or a limit is looked at.
    assert found.careful == 250 * 50_000_000


def test_nothing_to_post_costs_nothing_even_where_nothing_is_known() -> None:
    """A finished target must not make the whole plan unknown."""
    found = estimate(history(0))
    assert found.cost is not None
    assert (found.cost.low, found.cost.expected, found.cost.high) == (0, 0, 0)
    assert (found.posts, found.fetches, found.hold) == (0, 0, 0)


def test_posts_and_holds_are_those_of_the_method() -> None:
    """A hundred Standard tasks share a call and hold an advance each; a Live one does neither."""
    standard, live = estimate(history(250)), estimate(history(250, endpoint=LIVE))
    assert (standard.posts, standard.fetches, standard.hold) == (3, 250, 250 * 10_200_000)
    assert (live.posts, live.fetches, live.hold) == (250, 0, 0)


@pytest.mark.parametrize("known", [30, 400, 1000])
def test_the_range_holds_what_a_run_of_the_same_prices_really_costs(known: int) -> None:
    """The very promise of `plan`: in 200 runs at most a few fall outside, far fewer than 5 %."""
    random, outside = Random(known), 0
    for _ in range(200):
        prices = [int(random.lognormvariate(15.5, 0.8)) for _ in range(known + 500)]
        found = cost_of(STANDARD, 500, prices[:known])
        assert found is not None
        outside += not found.low <= sum(prices[known:]) <= found.high
    assert outside <= 10


def test_one_answer_promises_nothing_narrow() -> None:
    """Its spread is not known at all, so the range must not look as if it were."""
    found = cost_of(STANDARD, 100, [5_000_000])
    assert found is not None
    assert found.expected == 500_000_000
    assert found.high > 2 * found.expected
    assert found.low == 100 * 200_000


def test_many_alike_answers_make_a_narrow_range() -> None:
    """A range of half to double is no help to anybody who has asked the same for months."""
    found = cost_of(STANDARD, 2_000, [5_000_000 + n for n in range(1000)])
    assert found is not None
    assert found.expected * 80 // 100 < found.low < found.high < found.expected * 120 // 100

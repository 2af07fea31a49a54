"""Durations, shares and dollars as people write them."""

import math
from decimal import Decimal

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.kinds import Allowed, Dollars, Duration, FailureLimit

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration(text: str, *, endless: bool = True) -> float:
    return Duration(endless=endless).convert(text, None, None)


@given(number=st.integers(0, 10**6), unit=st.sampled_from(sorted(SECONDS)))
def test_a_number_with_its_unit_is_so_many_seconds(number: int, unit: str) -> None:
    """`--wait 6h` decides how long cron's process lives."""
    assert duration(f"{number}{unit}") == number * SECONDS[unit]
    assert duration(f" {number}{unit.upper()} ") == number * SECONDS[unit]


@given(st.lists(st.tuples(st.integers(0, 999), st.sampled_from("dhms")), min_size=1, max_size=4))
def test_parts_add_up(parts: list[tuple[int, str]]) -> None:
    """`1h30m` is what people write for ninety minutes."""
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert duration(text) == sum(number * SECONDS[unit] for number, unit in parts)


@given(st.text(max_size=12))
def test_whatever_is_written_is_a_duration_or_a_mistake(text: str) -> None:
    """Never a traceback, and never a negative or endless wait that nobody asked for."""
    try:
        seconds = duration(text, endless=False)
    except click.BadParameter:
        return
    assert 0 <= seconds < math.inf


def test_nothing_and_for_ever_have_words_of_their_own() -> None:
    """`--wait 0` posts and leaves; `forever` never gives up."""
    assert duration("0") == 0
    assert duration("forever") == math.inf
    with pytest.raises(click.BadParameter):
        duration("forever", endless=False)


@pytest.mark.parametrize("text", ["30", "", "h", "-5m", "5 m", "1e3s", "٣s", "5m!", "nan", "inf"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    """`30` may mean seconds or minutes: guessing would end a night too early."""
    with pytest.raises(click.BadParameter, match="write 30s, 5m, 6h, 2d"):
        duration(text)


@given(st.integers(0, 10**9))
def test_a_number_of_failures_is_that_number(count: int) -> None:
    """`--max-failures 10`."""
    assert FailureLimit().convert(str(count), None, None) == Allowed(count=count)


@pytest.mark.parametrize(("text", "percent"), [("1%", 1.0), ("0.5%", 0.5), ("100 %", 100.0)])
def test_a_share_of_failures_is_a_share(text: str, percent: float) -> None:
    """`--max-failures 1%`: 1 must not become 1 task."""
    assert FailureLimit().convert(text, None, None) == Allowed(percent=percent)


@pytest.mark.parametrize("text", ["", "-1", "101%", "1.5", "%", "nan%", "many"])
def test_what_is_no_limit_of_failures_is_refused(text: str) -> None:
    """A limit that was misread lets a night with failures pass as good."""
    with pytest.raises(click.BadParameter):
        FailureLimit().convert(text, None, None)


@given(st.decimals(min_value=Decimal("0.000000001"), max_value=10**8, places=9))
def test_dollars_stay_exact(amount: Decimal) -> None:
    """A budget goes through no float."""
    assert Dollars().convert(f"{amount:f}", None, None) == amount
    assert Dollars().convert(f"${amount:f}", None, None) == amount


@pytest.mark.parametrize("text", ["0", "0.00", "-5", "1e3", "NaN", "Infinity", "1,000", "", "€5"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """`--budget 1,000` must not become a budget of one dollar."""
    with pytest.raises(click.BadParameter):
        Dollars().convert(text, None, None)

"""Not a nano-dollar is made or lost between a reply, the store and the screen."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.money import (
    ADVANCE,
    BASE_PRICE_LIVE,
    BASE_PRICE_STANDARD,
    Evidence,
    dollars,
    exact,
    final_charge,
    nanos,
    short,
)

AMOUNTS = st.integers(-(2**62), 2**62)


@given(AMOUNTS)
def test_an_amount_survives_the_way_to_dollars_and_back(amount: int) -> None:
    """Sums of a million prices are compared with the API's own."""
    assert nanos(dollars(amount)) == amount
    assert nanos(Decimal(exact(amount))) == amount


@given(st.lists(AMOUNTS, max_size=20))
def test_sums_are_the_same_in_nano_dollars_and_in_dollars(amounts: list[int]) -> None:
    """A float would lose the seventh decimal somewhere above a thousand dollars."""
    assert dollars(sum(amounts)) == sum(map(dollars, amounts), Decimal(0))


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0.0102", 10_200_000),
        ("0.0000001", 100),
        ("12.5", 12_500_000_000),
        ("0", 0),
        ("-0.01", -10_000_000),
        ("1E-9", 1),
        ("0.0000000005", 0),
        ("0.0000000015", 2),
        ("8999999999", 8_999_999_999_000_000_000),
    ],
)
def test_dollars_become_whole_nano_dollars(text: str, amount: int) -> None:
    """What lies below a nano-dollar is rounded to even, so that many such do not drift."""
    assert nanos(Decimal(text)) == amount


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "9000000000", "-1E30"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """A garbled price must not become a number, nor overflow the column it goes to."""
    with pytest.raises(ValueError, match="amount"):
        nanos(Decimal(text))


@pytest.mark.parametrize(
    ("amount", "machine", "person"),
    [
        (0, "0.000000000", "$0.00"),
        (10_200_000, "0.010200000", "$0.0102"),
        (12_500_000_000, "12.500000000", "$12.50"),
        (1_234_567_890_000_000, "1234567.890000000", "$1,234,567.89"),
        (-10_000_000, "-0.010000000", "-$0.0100"),
        (-2_000_000_000, "-2.000000000", "-$2.00"),
        (1, "0.000000001", "$0.0000"),
        (1_000_000_000, "1.000000000", "$1.00"),
    ],
)
def test_amounts_are_written_exactly_for_machines_and_short_for_people(
    amount: int, machine: str, person: str
) -> None:
    """`runner cost --json` is compared with a ledger; the summary is read at a glance."""
    assert (exact(amount), short(amount)) == (machine, person)


@given(AMOUNTS)
def test_what_machines_get_has_nine_places_and_no_exponent(amount: int) -> None:
    """A spreadsheet takes 1E-9 for a text, or for something else."""
    whole, _, decimals = exact(amount).partition(".")
    assert whole.lstrip("-").isdecimal()
    assert decimals.isdecimal()
    assert len(decimals) == 9


def test_a_reported_cost_goes_before_arithmetic() -> None:
    """The API's own word counts where it has one."""
    assert final_charge(cost=123, money_spent=7, base_price=5) == (123, Evidence.REPORTED)


@pytest.mark.parametrize("cost", [None, 0])
def test_a_missing_or_zero_cost_is_computed(cost: int | None) -> None:
    """Both vendor examples print 0 beside money that was spent."""
    assert final_charge(cost=cost, money_spent=1_000_000, base_price=BASE_PRICE_STANDARD) == (
        1_200_000,
        Evidence.COMPUTED,
    )


def test_prices_are_those_of_the_price_list() -> None:
    """$0.01 in advance, $0.0002 Standard, $0.0006 Live (API.md §5)."""
    prices = (ADVANCE, BASE_PRICE_STANDARD, BASE_PRICE_LIVE)
    assert list(map(dollars, prices)) == [Decimal("0.01"), Decimal("0.0002"), Decimal("0.0006")]

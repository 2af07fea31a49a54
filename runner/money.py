"""Money: integer nano-dollars (10⁻⁹ USD) inside, ``Decimal`` at the edges, never a float.

    posted ............ advance $0.01 + base price $0.0002 leave the balance
    answered .......... the answer's own price (``money_spent``) is settled against the advance

The advance is no ceiling: an answer may cost more than a cent (API.md §0.7). Prices have seven
decimals, so whole micro-dollars would drift when 100,000 of them are summed.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Final

NANOS_PER_DOLLAR: Final = 1_000_000_000

ADVANCE: Final = 10_000_000
"""What the API takes for each Standard task when it is posted: $0.01 (API.md §5 Cost)."""

BASE_PRICE_STANDARD: Final = 200_000
"""The API's own fee for a Standard task: $0.0002 (API.md §5 Cost)."""

BASE_PRICE_LIVE: Final = 600_000
"""The API's own fee for a Live task: $0.0006 (API.md §5 Cost)."""


class Evidence(StrEnum):
    """Whether an amount is the API's own word or our arithmetic."""

    REPORTED = "reported"
    COMPUTED = "computed"


def nanos(dollars: Decimal) -> int:
    """*dollars* in nano-dollars; what lies below a nano-dollar is rounded half to even.

    Raises:
        ValueError: not a finite amount, or beyond what a 64-bit column holds.
    """
    if not dollars.is_finite():
        raise ValueError(f"not an amount of money: {dollars}")
    if abs(dollars) >= 9_000_000_000:
        raise ValueError(f"amount out of range: {dollars}")
    return int((dollars * NANOS_PER_DOLLAR).to_integral_value(rounding=ROUND_HALF_EVEN))


def dollars(amount: int) -> Decimal:
    """*amount* nano-dollars as exact US dollars."""
    return Decimal(amount).scaleb(-9)


def exact(amount: int) -> str:
    """For machines: nine decimals, ``0.010200000``."""
    return f"{dollars(amount):.9f}"


def short(amount: int) -> str:
    """For people: ``$12.50``, and small amounts with four decimals, ``$0.0102``."""
    value = dollars(amount)
    places = 2 if amount == 0 or abs(value) >= 1 else 4
    sign = "-" if value < 0 else ""
    return f"{sign}${abs(value):,.{places}f}"


def final_charge(*, cost: int | None, money_spent: int, base_price: int) -> tuple[int, Evidence]:
    """What an answered task cost, in nano-dollars, and how we know.

    The reply's own ``cost`` counts if it is above 0; both vendor examples print 0 there while
    money was spent, and then it is the answer's price plus the base price (API.md §5 Cost).
    """
    if cost is not None and cost > 0:
        return cost, Evidence.REPORTED
    return money_spent + base_price, Evidence.COMPUTED

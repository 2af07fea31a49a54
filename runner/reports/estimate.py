"""What tasks not posted yet will cost, from what their like has cost in this store.

    n earlier answers of the same endpoint, model, search and reasoning: mean m, spread s
    N tasks to post:  expected  N × m
                      low, high expected ± (2.5 × s × √(N + N²/n) + 5 % of expected)

The first term under the root is chance among the N tasks, the second how little n answers tell of
the mean. s is never taken below m/√n, so that one answer, or a few alike, promise nothing narrow.
The 5 % are for prompts that differ from the earlier ones. Money is rounded to nano-dollars; without
any answer nothing is said, and never 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runner.api.requests import MAX_BATCH
from runner.money import ADVANCE, BASE_PRICE_LIVE, BASE_PRICE_STANDARD
from runner.store.history import TargetHistory
from runner.task import Endpoint, Method

_SPREADS: Final = 2.5
_DRIFT_PERCENT: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """An expected amount, and between which it will most likely lie, nano-dollars."""

    low: int
    expected: int
    high: int

    def __add__(self, other: "Range") -> "Range":
        return Range(
            low=self.low + other.low,
            expected=self.expected + other.expected,
            high=self.high + other.high,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetEstimate:
    """What is left to post of one target."""

    history: TargetHistory
    cost: Range | None
    """None: no answer of its kind is known, so nothing is."""
    hold: int
    """Advances and base prices that posting takes from the balance; Live takes none ahead."""
    posts: int
    """Calls that post."""
    fetches: int
    """Calls that fetch, at least."""

    @property
    def careful(self) -> int:
        """The greater of the hold and what is expected, or reserved where nothing is expected."""
        reserved = self.history.reserve * self.history.to_post
        return max(self.hold, reserved if self.cost is None else self.cost.expected)


def estimate(history: TargetHistory) -> TargetEstimate:
    """What the tasks of a target that are not posted yet come to."""
    n, live = history.to_post, history.endpoint.method is Method.LIVE
    return TargetEstimate(
        history=history,
        cost=cost_of(history.endpoint, n, history.charges),
        hold=0 if live else n * (ADVANCE + BASE_PRICE_STANDARD),
        posts=n if live else -(-n // MAX_BATCH),
        fetches=0 if live else n,
    )


def cost_of(endpoint: Endpoint, tasks: int, charges: Sequence[int]) -> Range | None:
    """What *tasks* more will cost where earlier ones cost *charges*; None if there were none."""
    if tasks == 0:
        return Range(low=0, expected=0, high=0)
    if not charges:
        return None
    known = len(charges)
    # Exact up to here, and floats only for the spread, which is a guess anyway.
    mean_up = sum(charges) * tasks
    expected = (mean_up + known // 2) // known
    mean = sum(charges) / known
    spread = math.sqrt(sum((charge - mean) ** 2 for charge in charges) / max(1, known - 1))
    spread = max(spread, mean / math.sqrt(known))
    chance = _SPREADS * spread * math.sqrt(tasks + tasks * tasks / known)
    margin = math.ceil(chance) + expected * _DRIFT_PERCENT // 100
    base = BASE_PRICE_LIVE if endpoint.method is Method.LIVE else BASE_PRICE_STANDARD
    low = max(expected - margin, min(expected, tasks * base))
    return Range(low=low, expected=expected, high=expected + margin)


def total(estimates: Sequence[TargetEstimate]) -> Range | None:
    """Of all targets together; None if of any with tasks to post nothing is known."""
    found = Range(low=0, expected=0, high=0)
    for each in estimates:
        if each.cost is None:
            return None
        found += each.cost
    return found

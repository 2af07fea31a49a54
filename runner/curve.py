"""When answers come: how old the tasks of one model were when they finished. Pure arithmetic.

    weight   ▁ ▃ █ ▅ ▂ ▁           ages on a scale of half octaves, from a second to 72 h
    age      1s  4s  15s  1m  4m   an answer belongs to the first age that is not below its own

A few dozen whole numbers, however many answers there were; the older an answer, the less it counts.
Asking by id is worth a call at the age where a hit is likely and little time is lost by waiting:
``next_age``. Sources: DESIGN.md §4 Fetching; API.md §8 (seconds, two hours, 72 h at the most).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate
from typing import Final, Self

_LONGEST_S: Final = timedelta(hours=72).total_seconds()

AGES_S: Final = (*(float(round(2 ** (step / 2), 3)) for step in range(36)), _LONGEST_S)
"""The ages that answers are counted at, seconds; the last takes all that are older. To the
millisecond: an age that is asked at and its place on the scale must be the same moment."""

ENOUGH: Final = 20
"""Answers from which on a curve says something."""

MOST: Final = 2_000
"""Answers that a curve remembers; at each so many more the older ones count half."""

_PATIENCE: Final = 2.0
"""A call may be saved by waiting up to about so many times as long as half of the answers that are
still to come will take. One that comes evenly over time is then hit by about four asks in five."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The ages at which tasks of one model finished, a weight for each of ``AGES_S``."""

    weights: tuple[int, ...] = (0,) * len(AGES_S)

    def __post_init__(self) -> None:
        if len(self.weights) != len(AGES_S) or min(self.weights) < 0:
            raise ValueError("a curve has one weight, 0 or more, for each age")

    @classmethod
    def of(cls, weights: Sequence[int]) -> Self:
        """The curve of stored *weights*; an empty one if they are of another scale."""
        whole = len(weights) == len(AGES_S) and all(0 <= weight <= MOST for weight in weights)
        return cls(tuple(weights)) if whole else cls()

    @property
    def known(self) -> bool:
        """Whether it rests on enough answers to plan by."""
        return sum(self.weights) >= ENOUGH

    def add(self, age: timedelta) -> "Curve":
        """The curve after one more answer, which came at *age*."""
        weights = list(self.weights)
        if sum(weights) >= MOST:
            weights = [weight // 2 for weight in weights]
        place = min(bisect_left(AGES_S, age.total_seconds()), len(AGES_S) - 1)
        weights[place] += 1
        return Curve(tuple(weights))

    def age_by(self, share: float) -> timedelta | None:
        """The age by which *share* (above 0, at most 1) of the answers come; None if not known."""
        if not self.known:
            return None
        wanted = share * sum(self.weights)
        sums = accumulate(self.weights)
        at = next(at for at, done in zip(AGES_S, sums, strict=True) if done >= wanted)
        return timedelta(seconds=at)

    def next_age(self, age: timedelta) -> timedelta | None:
        """The age, above *age*, at which to ask a task that was not finished at *age*.

        The expected hits of that ask, divided by the time until it and by the patience for one
        call, are most there. None where the curve says nothing: few answers, or none so late.
        """
        if not self.known:
            return None
        now_s = _seconds(age)
        ahead = [
            (at, w) for at, w in zip(AGES_S, self.weights, strict=True) if w > 0 and at > now_s
        ]
        if not ahead:
            return None
        left = sum(w for _, w in ahead)
        sums = list(accumulate(w for _, w in ahead))
        half_s = next(at for (at, _), done in zip(ahead, sums, strict=True) if 2 * done >= left)
        patience_s = _PATIENCE * (half_s - now_s)
        best, _ = max(
            zip((at for at, _ in ahead), sums, strict=True),
            key=lambda each: each[1] / (each[0] - now_s + patience_s),
        )
        return timedelta(seconds=best)


def _seconds(age: timedelta) -> float:
    return age.total_seconds()

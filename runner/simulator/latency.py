"""How long a task runs before its answer is there.

2s                       always two seconds
1s..30s                  anything in between, equally likely
lognormal 4s 0.7         median four seconds, sigma 0.7: most soon, a few late
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import log
from random import Random
from typing import Final

from runner.errors import WrongInput

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


class Shape(StrEnum):
    """The form of the distribution."""

    CONSTANT = "constant"
    UNIFORM = "uniform"
    LOGNORMAL = "lognormal"


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of run times."""

    shape: Shape
    seconds: float
    """The constant, the lower bound or the median."""
    other: float = 0.0
    """The upper bound in seconds, or sigma."""

    def draw(self, rng: Random) -> timedelta:
        """One run time."""
        match self.shape:
            case Shape.CONSTANT:
                return timedelta(seconds=self.seconds)
            case Shape.UNIFORM:
                return timedelta(seconds=rng.uniform(self.seconds, self.other))
            case Shape.LOGNORMAL:
                drawn = rng.lognormvariate(log(max(self.seconds, 1e-6)), self.other)
                return timedelta(seconds=min(drawn, 10.0**9))


def read_duration(text: str) -> float:
    """The seconds of ``250ms``, ``2s``, ``1.5m``, ``3h`` or ``2d``.

    Raises:
        WrongInput: no number with one of these units.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise WrongInput(f"{text!r} is no duration: write a number and ms, s, m, h or d, as in 2s")
    return float(found[1]) * _UNITS[found[2]]


def read_latency(text: str) -> Latency:
    """The distribution that *text* describes, as in the module's header.

    Raises:
        WrongInput: another form, or bounds in the wrong order.
    """
    words = text.split()
    if len(words) == 3 and words[0] == Shape.LOGNORMAL:
        return Latency(Shape.LOGNORMAL, read_duration(words[1]), _sigma(words[2]))
    low, dots, high = text.partition("..")
    if not dots:
        return Latency(Shape.CONSTANT, read_duration(text))
    bounds = read_duration(low), read_duration(high)
    if bounds[0] > bounds[1]:
        raise WrongInput(f"latency {text!r} ends before it begins")
    return Latency(Shape.UNIFORM, *bounds)


def _sigma(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) > 10:
        raise WrongInput(f"sigma {text!r} of a lognormal latency is not between 0 and 10")
    return float(text)

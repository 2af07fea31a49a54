"""Lets calls out evenly, so that no minute at the server holds more than the limit."""

from collections.abc import Iterable
from typing import Final

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
SPAN_US: Final = MINUTE_US + SECOND_US
"""The server's minute and a second of network jitter."""


def microseconds(seconds: float) -> int:
    """The next whole number of them."""
    return round(seconds * SECOND_US)


class Bucket:
    """Lets calls out so that no 61 s hold more than *limit*; pure, in integer microseconds.

    Credit is counted in units of which a call costs ``call`` and a microsecond brings
    ``limit - burst + 1``: whole numbers, so nothing is lost or won by rounding. ``call`` is 61 s
    and a millisecond; hence burst + ⌊gain of 61 s⌋ ≤ limit, even for a limit of 1.

    With *late_us* the limit holds for spans longer by that: a call may then leave so long after
    the moment at which it was taken.
    """

    __slots__ = ("_at_us", "_burst", "_call", "_credit", "_gain", "_late_us", "_limit")

    def __init__(self, limit: int, now_us: int, *, late_us: int = 0, credit: int = 0) -> None:
        """A bucket for *limit* ≥ 1 calls a minute, empty but for *credit*."""
        self._late_us = late_us
        self._call = SPAN_US + late_us + 1_000
        self._credit = credit
        self._at_us = now_us
        self._use(limit)

    @property
    def limit(self) -> int:
        """Calls a minute that are never exceeded."""
        return self._limit

    @property
    def credit(self) -> int:
        """What there is at ``at_us``; less than 0 while too much has left."""
        return self._credit

    @property
    def at_us(self) -> int:
        """Up to when it has gained."""
        return self._at_us

    def wait_us(self, now_us: int, calls: int = 1) -> int:
        """Microseconds until so many *calls* may have left; 0 if they may leave now."""
        self._gain_until(now_us)
        return max(0, -((self._credit - calls * self._call) // self._gain))

    def reserve(self, now_us: int) -> int:
        """Take a call and return 0; or take nothing and return the microseconds still to wait."""
        wait_us = self.wait_us(now_us)
        if wait_us == 0:
            self._credit -= self._call
        return wait_us

    def set_limit(
        self, limit: int, now_us: int, calls: Iterable[tuple[int, int]] | None = None
    ) -> None:
        """Go on with *limit* calls a minute.

        *calls* (moment in microseconds, number; oldest first) are those of the last 61 s. With
        them the new limit holds at once: what left too fast for it is waited out, at most 61 s.
        """
        self._gain_until(now_us)
        self._use(limit)
        if calls is not None:
            self._credit = min(self._credit, self._credit_after(calls, now_us))

    def _use(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a limit of {limit} calls a minute allows none")
        self._limit = limit
        # Each call of burst costs one of the steady calls, so small limits go without: with one
        # per 75, at least 97 % of every limit stay usable. Five bridge a late timer at 10,000.
        self._burst = 1 + min(4, limit // 75)
        self._gain = limit - self._burst + 1
        self._credit = min(self._credit, self._burst * self._call)

    def _gain_until(self, now_us: int) -> None:
        passed_us = max(0, now_us - self._at_us)
        self._credit = min(self._credit + passed_us * self._gain, self._burst * self._call)
        self._at_us += passed_us

    def _credit_after(self, calls: Iterable[tuple[int, int]], now_us: int) -> int:
        """What this limit would have left over had it held for the last span."""
        span_us = SPAN_US + self._late_us
        shadow = Bucket(self._limit, now_us - span_us, late_us=self._late_us)
        for moment_us, number in calls:
            shadow._gain_until(min(moment_us, now_us))
            shadow._credit -= number * self._call
        shadow._gain_until(now_us)
        # After it the server has forgotten all of them, however many there were.
        return max(shadow._credit, -span_us * self._gain)

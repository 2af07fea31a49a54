"""What the API's replies teach about the rate, and what of it was our own doing."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from runner.pacing.bucket import MINUTE_US, SECOND_US, SPAN_US

FULL: Final = 1_000_000
"""The share of the ceiling that is used while nothing was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What ``AccountRate`` has learnt, to be kept."""

    stated: int | None = None
    """The limit that the API named."""
    share: int = FULL
    """Millionths of the ceiling that were left at ``share_at_us``; they come back by time."""
    share_at_us: int
    foreign: int = 0
    """Calls a minute that others were believed to make at ``foreign_at_us``; forgotten by time."""
    foreign_at_us: int


class AccountRate:
    """What we may use of the account: the setting, and what the API's replies have taught."""

    FLOOR: Final = 6
    """Calls a minute that no lesson takes away (unless the limit itself is lower): one in 10 s."""

    _RECOVERY_US: Final = 10 * MINUTE_US
    """From nothing back to everything: 10 % of the full rate a minute."""

    def __init__(self, setting: int, now_us: int, lessons: Lessons | None = None) -> None:
        """*lessons* are those of an earlier one, of whatever setting."""
        learnt = lessons or Lessons(share_at_us=now_us, foreign_at_us=now_us)
        self._setting = setting
        self._stated = learnt.stated
        self._share = learnt.share
        self._share_at_us = learnt.share_at_us
        self._foreign = learnt.foreign
        self._foreign_at_us = learnt.foreign_at_us

    @property
    def lessons(self) -> Lessons:
        """All that was learnt."""
        return Lessons(
            stated=self._stated,
            share=self._share,
            share_at_us=self._share_at_us,
            foreign=self._foreign,
            foreign_at_us=self._foreign_at_us,
        )

    @property
    def ceiling(self) -> int:
        """Calls a minute before any lowering: the setting, or the stated limit if that is less."""
        return self._setting if self._stated is None else min(self._setting, self._stated)

    def per_minute(self, now_us: int) -> int:
        """Calls a minute that we may use now."""
        allowed = self.ceiling * self._share_now(now_us) // FULL
        if self._stated is not None:
            allowed = min(allowed, self._stated - self._foreign_now(now_us))
        return max(allowed, min(self.ceiling, self.FLOOR))

    def state(self, limit: int) -> None:
        """The API named its limit; the last word counts. 0 and less state nothing."""
        if limit > 0:
            self._stated = limit

    def see_foreign(self, calls: int, now_us: int) -> None:
        """*calls* of the last minute were neither ours nor left over.

        Believed by halves, so that one odd reply does little harm, but held for a while: where
        the server's minute is a fixed one, little foreign use shows at its beginning.
        """
        known = self._foreign_now(now_us)
        if calls > known:
            self._foreign = known + (calls - known + 1) // 2
            self._foreign_at_us = now_us

    def slow_down(self, now_us: int) -> None:
        """The API refused a call for the rate (40202): half of what was used until now."""
        lowest = FULL * min(self.ceiling, self.FLOOR) // self.ceiling
        self._share = max(self._share_now(now_us) // 2, lowest)
        self._share_at_us = now_us

    def _share_now(self, now_us: int) -> int:
        regained = FULL * (now_us - self._share_at_us) // self._RECOVERY_US
        return min(FULL, self._share + regained)

    def _foreign_now(self, now_us: int) -> int:
        limit = self._stated or 0
        forgotten = limit * (now_us - self._foreign_at_us) // self._RECOVERY_US
        return max(0, self._foreign - forgotten)


class CallLog:
    """How many calls left in each of the last seconds: as much as the slowest reply needs."""

    SLOWEST_REPLY_US: Final = 120 * SECOND_US
    _KEPT_S: Final = (SPAN_US + SLOWEST_REPLY_US) // SECOND_US + 1

    def __init__(self, seconds: Iterable[tuple[int, int]] = ()) -> None:
        """*seconds*: pairs of a second and a number, oldest first, as ``seconds`` gives them."""
        self._seconds: deque[tuple[int, int]] = deque(seconds)

    @property
    def seconds(self) -> tuple[tuple[int, int], ...]:
        """The seconds in which calls left, with their numbers, oldest first."""
        return tuple(self._seconds)

    def add(self, at_us: int) -> None:
        """Note a call; *at_us* never goes back by a second or more."""
        second, number = at_us // SECOND_US, 0
        if self._seconds and self._seconds[-1][0] >= second:
            second, number = self._seconds.pop()
        self._seconds.append((second, number + 1))
        while self._seconds[0][0] < second - self._KEPT_S:
            self._seconds.popleft()

    def take_back(self, calls: int) -> None:
        """So many of the newest *calls* have never left."""
        while calls > 0 and self._seconds:
            second, number = self._seconds.pop()
            if number > calls:
                self._seconds.append((second, number - calls))
            calls -= number

    def since(self, moment_us: int) -> Iterator[tuple[int, int]]:
        """Ends of seconds and numbers, oldest first; a second counts whole, so rather too many."""
        for second, number in self._seconds:
            end_us = (second + 1) * SECOND_US
            if end_us > moment_us:
                yield end_us, number

    def between(self, from_us: int, to_us: int) -> int:
        """Calls from *from_us* to *to_us*, both seconds whole."""
        return sum(number for end_us, number in self.since(from_us) if end_us - SECOND_US <= to_us)

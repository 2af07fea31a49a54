"""The API's own time, from the ``Date`` of its replies: believed as far as it can be true.

    first .................. agrees with our wall clock, or another reply agrees with it
    later .................. no further on than monotonic time went since, and a little
    further on, or back .... not believed, until three replies in a row, over 2 s, agree on it

One reply whose ``Date`` is wrong (a proxy's, a cache's) must not make a wait look over. If many
agree, it was our monotonic time that stood still, as in a virtual machine that was frozen, or the
API is a simulated one whose time is quicker. Pure.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

SLACK: Final = timedelta(seconds=30)
"""By so much the clocks of the API's own machines may differ."""

_SLACK_S: Final = SLACK.total_seconds()

DRIFT: Final = 0.001
"""So much of an interval two honest clocks may be apart after it: ten times a poor crystal's."""

WALL_AGREES: Final = timedelta(minutes=10)
"""A first ``Date`` this near to our wall clock needs no other witness."""

FIRST_WITNESSES: Final = 2
"""Replies that agree on a time before it counts, where there was none before."""

WITNESSES: Final = 3
"""The same where they contradict what was believed."""

WITNESSED_S: Final = 2.0
"""So long they must go on contradicting it, in monotonic seconds: longer than the tries of one call
that meet one bad proxy."""


class Heard(msgspec.Struct, frozen=True):
    """A reply's ``Date``, and the call that brought it."""

    date: datetime
    asked_s: float
    """When the call began, monotonic; the date was written after that."""
    heard_s: float
    """When the reply came, monotonic; the date was written before that."""

    def allows(self, later: "Heard") -> bool:
        """Whether *later* may be of the same clock, further on, as one that keeps time."""
        passed_s = max(0.0, later.asked_s - self.heard_s)
        return self._further_s(later) >= passed_s * (1 - DRIFT) - _SLACK_S and not self.too_late(
            later
        )

    def too_late(self, later: "Heard") -> bool:
        """Whether *later* bears a date that this clock cannot have come to by then."""
        passed_s = max(0.0, later.heard_s - self.asked_s)
        return self._further_s(later) > passed_s * (1 + DRIFT) + _SLACK_S

    def _further_s(self, later: "Heard") -> float:
        # In seconds: every answer comes by here, and sums of dates take four times as long.
        return (later.date - self.date).total_seconds()


@dataclass(slots=True)
class ApiTime:
    """What this process believes the API's time to be."""

    anchor: Heard | None = None
    """What every later reply is measured by: always the same, so that small errors in one
    direction cannot add up."""
    newest: Heard | None = None
    """The newest believed."""
    _rival: Heard | None = None
    _witnesses: int = 0

    def see(self, heard: Heard, *, wall: datetime | None = None) -> None:
        """Take up a reply that came when our wall clock said *wall*."""
        if self.anchor is not None and self.anchor.allows(heard):
            self._rival, self._witnesses = None, 0
            if self.newest is None or heard.date >= self.newest.date:
                self.newest = heard
            return
        agreed = self._is_agreed(heard)
        if self.anchor is None and wall is not None:
            agreed = agreed or abs(heard.date - wall) <= WALL_AGREES
        if agreed:
            self.anchor = self.newest = heard
            self._rival, self._witnesses = None, 0

    def _is_agreed(self, heard: Heard) -> bool:
        """Whether enough replies in a row, this the last, tell of one other time."""
        rival = self._rival
        keeps_time = rival is not None and rival.allows(heard)
        # A date that stands still is a cached reply's; one that is ahead and runs is a clock's.
        runs = rival is not None and heard.date >= rival.date and self._is_ahead(heard)
        if rival is None or not (keeps_time or runs):
            self._rival, self._witnesses = heard, 1
            return False
        self._witnesses += 1
        if self.anchor is None and keeps_time:
            return self._witnesses >= FIRST_WITNESSES
        lasted_s = heard.asked_s - rival.heard_s
        return self._witnesses >= WITNESSES and lasted_s >= WITNESSED_S

    def _is_ahead(self, heard: Heard) -> bool:
        return self.anchor is None or self.anchor.too_late(heard)

    def at(self, now_s: float) -> datetime | None:
        """The API's time at the monotonic moment *now_s*, rather too early than too late; None if
        nothing is known of it."""
        if self.newest is None:
            return None
        passed_s = max(0.0, now_s - self.newest.heard_s)
        return self.newest.date + timedelta(seconds=passed_s * (1 - DRIFT))

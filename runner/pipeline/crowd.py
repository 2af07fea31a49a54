"""How many Live calls may be open at once: the API's limit, less while it is crowded or ill.

    40209 ................. as many as were open beside the refused one; one more every 20 s
    3 lost in a row ....... one at a time, after a wait; doubled by each answer
    3 of those lost ....... no more in this start: the API is plainly ill

What was already open when the API fell ill tells nothing new: a cut line loses thirty at once.
Pure: the time is an argument. Source of the limits: API.md §3, §12.
"""

from random import Random
from typing import Final

from runner.backoff import full_jitter

LOST_IN_A_ROW: Final = 3
"""Lost calls after which the API counts as ill, and probes after which it counts as plainly ill."""

_ROOM_EVERY_S: Final = 20.0
_WAIT_BASE_S: Final = 2.0
_WAIT_CAP_S: Final = 60.0


class Crowd:
    """The open Live calls that share one limit."""

    def __init__(self, most: int) -> None:
        """*most*: open calls that the API allows."""
        self.open = 0
        self.halted = False
        """Nothing is to be sent any more in this start."""
        self.turn = 0
        """Grows when the API falls ill. A call remembers the one that it began in."""
        self._most = most
        self._ceiling = most
        """What 40209 leaves."""
        self._healthy = most
        """What illness leaves."""
        self._ceiling_at = 0.0
        self._lost = 0
        self._unsent = 0
        self._resume_at = 0.0

    @property
    def allowed(self) -> int:
        """Open calls that are allowed now."""
        return min(self._ceiling, self._healthy)

    @property
    def probing(self) -> bool:
        """Whether the API has lost calls in a row and has not answered since."""
        return self.turn > 0 and self._healthy == 1

    def room(self, now_s: float) -> bool:
        """Whether another call may be opened."""
        return not self.halted and self.open < self.allowed and now_s >= self._resume_at

    def rest(self, until_s: float) -> None:
        """Open none before *until_s*."""
        self._resume_at = max(self._resume_at, until_s)

    def refused(self, now_s: float) -> None:
        """One of the open calls was refused because there were too many."""
        self._ceiling = min(self._ceiling, max(1, self.open - 1))
        self._ceiling_at = now_s

    def answered(self, now_s: float) -> None:
        """A call brought what it was for, or at least a sound reply."""
        self._lost = self._unsent = 0
        self._healthy = min(self._most, self._healthy * 2)
        if self._ceiling < self._most and now_s - self._ceiling_at >= _ROOM_EVERY_S:
            self._ceiling += 1
            self._ceiling_at = now_s

    def unsent(self, now_s: float, random: Random) -> None:
        """A call did not leave: nothing is lost, and there is no hurry."""
        self._unsent += 1
        self.rest(now_s + _wait_s(self._unsent, random))

    def lost(self, turn: int, now_s: float, random: Random) -> None:
        """A call that began in *turn* was lost, or failed because the API is ill."""
        if turn != self.turn:
            return
        self._lost += 1
        self.rest(now_s + _wait_s(self._lost, random))
        if self._lost < LOST_IN_A_ROW:
            return
        if self.probing:
            self.halted = True
            return
        self.turn += 1
        self._lost = 0
        self._healthy = 1
        self.rest(now_s + _wait_s(LOST_IN_A_ROW, random))


def _wait_s(failures: int, random: Random) -> float:
    least = min(failures, 5) / 2
    return least + full_jitter(failures, base_s=_WAIT_BASE_S, cap_s=_WAIT_CAP_S, random=random)

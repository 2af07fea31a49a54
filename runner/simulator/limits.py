"""Calls per minute, counted as strictly as the API could: over every sliding 60 seconds.

Whether the API's own window is fixed or sliding is unknown (API.md §3); who keeps a sliding one
keeps both. Refused calls do not fill the window, but the oracle counts every call that came.
"""

from collections import Counter, deque
from typing import Final

from runner.simulator.calls import CallKind, Lane
from runner.task import Gateway

WINDOW_S: Final = 60.0


class _Window:
    """Moments of the last 60 seconds, and the most there ever were."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()
        self.largest = 0

    def count(self, now: float) -> int:
        """How many are less than 60 s old at *now* (monotonic seconds)."""
        while self._moments and self._moments[0] <= now - WINDOW_S:
            self._moments.popleft()
        return len(self._moments)

    def add(self, now: float) -> None:
        self._moments.append(now)
        self.largest = max(self.largest, self.count(now))


class CallLog:
    """All calls of the account since it was opened, and which of them were let through."""

    def __init__(self) -> None:
        self.counts: Counter[CallKind] = Counter()
        """Every call that came, refused ones included."""
        self.refused: Counter[CallKind] = Counter()
        """Of these, the ones over a limit: 40202."""
        self._all = _Window()
        self._came: dict[CallKind, _Window] = {kind: _Window() for kind in CallKind}
        self._let_in = _Window()
        self._let_in_by_kind: dict[CallKind, _Window] = {kind: _Window() for kind in CallKind}

    @property
    def largest_minute(self) -> int:
        """The most calls that came within any sliding 60 s."""
        return self._all.largest

    def largest_minute_of(self, kind: CallKind) -> int:
        """The same for one kind of call."""
        return self._came[kind].largest

    def come(self, kind: CallKind, now: float) -> None:
        """Count a call that has arrived."""
        self.counts[kind] += 1
        self._all.add(now)
        self._came[kind].add(now)

    def admit(self, kind: CallKind, now: float, *, total: int, own: int | None) -> bool:
        """Whether the call stays within *total* for all calls and *own* for its kind."""
        within = self._let_in.count(now) < total
        if own is not None:
            within = within and self._let_in_by_kind[kind].count(now) < own
        if not within:
            self.refused[kind] += 1
            return False
        self._let_in.add(now)
        self._let_in_by_kind[kind].add(now)
        return True

    def remaining(self, kind: CallKind, now: float, *, total: int, own: int | None) -> int:
        """How many more calls of *kind* the current window would let in."""
        left = total - self._let_in.count(now)
        if own is not None:
            left = min(left, own - self._let_in_by_kind[kind].count(now))
        return max(left, 0)


class OpenCalls:
    """The Live calls that are open now, and the most there ever were."""

    def __init__(self) -> None:
        self._open: Counter[Lane] = Counter()
        self.most: Counter[Lane] = Counter()
        self.most_of_gateway: Counter[Gateway] = Counter()
        self.refused: Counter[Lane] = Counter()

    def count(self, gateway: Gateway) -> int:
        """How many are open through *gateway*, all providers together."""
        return sum(number for lane, number in self._open.items() if lane[0] is gateway)

    def enter(self, lane: Lane, *, most: int) -> bool:
        """Open a call, unless it would be more than *most*: of its lane, or of all of AIsa's."""
        gateway, _ = lane
        together = self.count(gateway)
        if (together if gateway is Gateway.AISA else self._open[lane]) >= most:
            self.refused[lane] += 1
            return False
        self._open[lane] += 1
        self.most[lane] = max(self.most[lane], self._open[lane])
        self.most_of_gateway[gateway] = max(self.most_of_gateway[gateway], together + 1)
        return True

    def leave(self, lane: Lane) -> None:
        """The call's reply has been sent, or given up."""
        self._open[lane] -= 1

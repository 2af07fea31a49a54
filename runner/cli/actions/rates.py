"""How fast things go, from what was counted in the last minute."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from runner.app import Progress
from runner.cli.counts import ended

WINDOW_S: Final = 60.0
_STEADY_S: Final = 5.0
"""A rate over less time says nothing."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Speeds of the last minute."""

    calls_per_minute: int
    answers_per_minute: float | None
    """None while there is too little to go by."""
    left_s: float | None


@dataclass(slots=True)
class Rates:
    """Remembers a minute of counts."""

    _seen: deque[tuple[float, int, int]] = field(default_factory=deque)

    def note(self, progress: Progress) -> Pace:
        """Take note of *progress* and tell the pace up to it."""
        now, calls, done = progress.elapsed_s, progress.calls, ended(progress.status)
        while self._seen and self._seen[0][0] < now - WINDOW_S:
            self._seen.popleft()
        then, calls_then, done_then = self._seen[0] if self._seen else (now, calls, done)
        self._seen.append((now, calls, done))
        passed = now - then
        if passed < _STEADY_S:
            return Pace(calls, None, None)
        per_minute = max(0, done - done_then) * 60 / passed
        still = progress.status.tasks - done
        left = still * 60 / per_minute if per_minute and still else None
        return Pace(round((calls - calls_then) * 60 / max(passed, WINDOW_S)), per_minute, left)

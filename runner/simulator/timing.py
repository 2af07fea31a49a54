"""The simulator's own time: real, faster than real, or moved by hand.

real  ──┬────────┬────────▶          speed 60: a task that takes an hour is done in a minute
sim   ──┬─────────────────┬──────▶
"""

from datetime import datetime, timedelta

from runner.clock import Clock, SystemClock


class ScaledClock:
    """Wall time that runs *speed* times as fast as the machine's and can be moved forward.

    ``monotonic`` stays real: the caller does not hurry because the simulated world does, so a
    limit of 2,000 calls a minute means minutes of the caller.
    """

    def __init__(
        self, speed: float = 1.0, *, start: datetime | None = None, base: Clock | None = None
    ) -> None:
        self._base = base or SystemClock()
        self._speed = speed
        self._began = self._base.now()
        self._start = start or self._began

    def now(self) -> datetime:
        return self._start + (self._base.now() - self._began) * self._speed

    def monotonic(self) -> float:
        return self._base.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._base.sleep(seconds / self._speed)

    def advance(self, by: timedelta) -> None:
        """Let *by* of simulated time pass at once."""
        self._start += by

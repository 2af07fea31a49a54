"""Real time that runs faster, for tests of whole runs."""

import asyncio
import time
from datetime import datetime, timedelta

from tests.support.clock import START


class FastClock:
    """A ``runner.clock.Clock`` of *speed* seconds for each real one; ``advance`` skips some."""

    def __init__(self, speed: float = 8.0, *, start: datetime = START) -> None:
        self._speed = speed
        self._began = time.monotonic()
        self._wall = start
        self._skipped = timedelta(0)

    def _passed(self) -> timedelta:
        real = timedelta(seconds=time.monotonic() - self._began)
        return real * self._speed + self._skipped

    def now(self) -> datetime:
        return self._wall + self._passed()

    def monotonic(self) -> float:
        return 1_000.0 + self._passed().total_seconds()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0) / self._speed)

    def advance(self, by: timedelta) -> None:
        """Let *by* pass at once. Who sleeps does not notice; between two starts nobody does."""
        self._skipped += by

"""Time, from one place that tests can replace. UTC everywhere, milliseconds in storage.

Wall time (``now``) dates things and measures the API's windows; monotonic time measures how long
we ourselves waited. Neither is ever used for the other's purpose.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """The wall time, timezone-aware UTC."""

    def monotonic(self) -> float:
        """Seconds that only ever grow, time spent suspended included where the system counts it."""

    async def sleep(self, seconds: float) -> None:
        """Wait *seconds* of this clock."""


class SystemClock:
    """The machine's own clocks."""

    # CLOCK_BOOTTIME goes on while a laptop sleeps; plain monotonic time does not, so a process
    # that was suspended between its intent and its send would not notice.
    _MONOTONIC: Final = getattr(time, "CLOCK_BOOTTIME", None)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        if self._MONOTONIC is None:
            return time.monotonic()
        return time.clock_gettime(self._MONOTONIC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 UTC, as stored. *moment* must be timezone-aware."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The UTC moment of a stored number of milliseconds."""
    return _EPOCH + milliseconds * _MILLISECOND


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds: ``2026-11-21T02:15:01Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

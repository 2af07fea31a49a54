"""An account's row that hosts reach over a network, hosts that take from it, in virtual time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random

from runner.pacing import Ask, Pacer, Priority, SharedRate, Slice, Slices, grant
from tests.support.server_minute import SECOND, Server
from tests.support.virtual_clock import VirtualClock


class Skewed:
    """The clocks of one host: they run as *clock* does, and show something else."""

    def __init__(self, clock: VirtualClock, ahead_s: float) -> None:
        self._clock = clock
        self._ahead_s = ahead_s

    def now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self._ahead_s)

    def monotonic(self) -> float:
        return self._clock.monotonic() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)


class Row:
    """Stands for the store: one row, its own clock, and a way to it that takes time."""

    def __init__(self, clock: VirtualClock, way_s: Callable[[], float] = lambda: 0.002) -> None:
        self._clock = clock
        self._way_s = way_s
        self._lock = asyncio.Lock()
        self.row: SharedRate | None = None
        self.away = False
        self.set_back_s = 0.0
        """By how much its clock was set back."""
        self.asks: Counter[str] = Counter()

    def now_us(self) -> int:
        return round((self._clock.monotonic() + 1_000_000 - self.set_back_s) * SECOND)

    async def ask(self, ask: Ask) -> Slice | None:
        self.asks[ask.host] += 1
        await self._clock.sleep(self._way_s())
        if self.away:
            return None
        async with self._lock:
            self.row, given = grant(self.row, ask, self.now_us())
        await self._clock.sleep(self._way_s())
        return given


class Host:
    """A process with callers that wait for calls, and an API that counts them as they arrive."""

    def __init__(
        self,
        name: str,
        row: Row,
        server: Server,
        clock: VirtualClock,
        *,
        limit: int,
        ahead_s: float = 0.0,
        jitter_us: Callable[[int], int] = lambda _now_us: 0,
    ) -> None:
        self.name = name
        self.clock = Skewed(clock, ahead_s)
        self.slices = Slices(limit, self.clock, host=name, ask=row.ask)
        self.pacer = Pacer(limit, self.clock, allowance=self.slices)
        self.left: list[float] = []
        """When each call left, by the clock of the world."""
        self._world = clock
        self._server = server
        self._jitter_us = jitter_us
        self._callers: list[asyncio.Task[None]] = []

    def work(self, callers: int, *, rest_s: float = 0.0, first_s: float = 0.0) -> None:
        """Let so many *callers* take calls, each with a rest after its call."""
        for _ in range(callers):
            self._callers.append(asyncio.create_task(self._work(rest_s, first_s)))

    async def _work(self, rest_s: float, first_s: float) -> None:
        await self.clock.sleep(first_s)
        while True:
            await self.pacer.take(Priority.POST)
            self.left.append(self._world.monotonic())
            now_us = round(self._world.monotonic() * SECOND)
            self._server.receive(now_us + self._jitter_us(now_us))
            await self.clock.sleep(rest_s)

    async def die(self) -> None:
        """End at once, and tell nobody."""
        for caller in self._callers:
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)
        self._callers.clear()


@asynccontextmanager
async def world() -> AsyncIterator[VirtualClock]:
    """A clock that runs, and stops what is left on it in the end."""
    clock = VirtualClock()
    driving = asyncio.create_task(clock.drive())
    try:
        yield clock
    finally:
        driving.cancel()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def bunching(rng: Random) -> Callable[[int], int]:
    """A network that is a second late at times, and then for every call."""
    phase_us = rng.randint(0, 50 * SECOND)
    return lambda now_us: SECOND if (now_us + phase_us) // (50 * SECOND) % 2 == 0 else 0

"""Time that passes as fast as the work in it allows: hours in seconds, in order, none skipped."""

import asyncio
from collections.abc import Awaitable, Callable, Sized
from datetime import datetime, timedelta
from functools import wraps
from heapq import heappop, heappush
from typing import Any

from tests.support.clock import START


class VirtualClock:
    """A ``runner.clock.Clock`` that ``drive`` moves to the next waking whenever all others wait.

    Work in other threads has to be told of (``watched``), or time would pass beside it.
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._passed_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbered = 0
        self._elsewhere = 0
        self._changed = asyncio.Event()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        return 1_000.0 + self._passed_s

    async def sleep(self, seconds: float) -> None:
        waking = asyncio.get_running_loop().create_future()
        self._numbered += 1
        heappush(self._sleepers, (self._passed_s + max(seconds, 0.0), self._numbered, waking))
        self._changed.set()
        await waking

    async def drive(self) -> None:
        """Let time pass, until cancelled."""
        # A private name of asyncio: what is left to run before anybody has to wait.
        runnable: Sized = vars(asyncio.get_running_loop())["_ready"]
        while True:
            await asyncio.sleep(0)
            if runnable:
                continue
            while self._sleepers and self._sleepers[0][2].done():
                heappop(self._sleepers)
            if self._elsewhere or not self._sleepers:
                self._changed.clear()
                await self._changed.wait()
                continue
            moment, _, waking = heappop(self._sleepers)
            self._passed_s = max(self._passed_s, moment)
            waking.set_result(None)

    def watched(self, work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """*work*, during which no time passes."""

        @wraps(work)
        async def counted(*args: Any, **kwargs: Any) -> Any:
            self._elsewhere += 1
            try:
                return await work(*args, **kwargs)
            finally:
                self._elsewhere -= 1
                self._changed.set()

        return counted


class WatchedStore:
    """A store on a ``VirtualClock``: while a verb is under way no time passes."""

    def __init__(self, store: Any, clock: VirtualClock) -> None:
        self._store = store
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)
        watched = self._clock.watched(verb) if asyncio.iscoroutinefunction(verb) else verb
        setattr(self, name, watched)
        return watched

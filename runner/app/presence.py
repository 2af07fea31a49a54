"""An engine among others: it shows that it lives, and takes over from those that do not.

    every 10 s ........... a heartbeat
    about every 15 s ..... what dead workers left open is let go (`runner.store.workers`)

Both go on from the moment the worker is registered to its end, whatever else it does meanwhile.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import structlog

from runner.clock import Clock
from runner.store.protocol import TaskStore
from runner.store.values import StoreUnwritable
from runner.store.workers import BEAT, SILENCE

log = structlog.get_logger()

LOOK: Final = timedelta(seconds=15)
"""Between two looks for the dead, on average."""

_MISSED: Final = 2 * BEAT + timedelta(seconds=5)
"""So long without a heartbeat of its own a worker was away itself, and cannot tell who else was:
after a failover of the server all of them look dead for a moment."""


@asynccontextmanager
async def present(store: TaskStore, worker: int, *, clock: Clock) -> AsyncIterator[None]:
    """Show that *worker* lives for as long as the context lasts."""
    # Not in a task group: the context is entered in one cancel scope and left in another.
    presence = asyncio.create_task(_Presence(store, worker, clock).last(), name="presence")
    try:
        yield
    finally:
        presence.cancel()
        with suppress(asyncio.CancelledError):
            await presence


class _Presence:
    def __init__(self, store: TaskStore, worker: int, clock: Clock) -> None:
        self._store = store
        self._worker = worker
        self._clock = clock
        self._beaten_s = clock.monotonic()
        self._look_s = self._beaten_s + self._until_look_s()

    async def last(self) -> None:
        """Beat and look until cancelled."""
        while True:
            next_s = min(self._beaten_s + BEAT.total_seconds(), self._look_s)
            await self._clock.sleep(max(0.0, next_s - self._clock.monotonic()) or _AGAIN_S)
            try:
                await self._step()
            except StoreUnwritable as error:
                log.warning("presence.not_shown", worker=self._worker, error=error.what)
                await self._clock.sleep(_AGAIN_S)
            except Exception:
                # A store that is broken ends the engine where it works. What only hinders this
                # must end neither the heartbeats nor, once they are awaited, in its place.
                log.exception("presence.not_shown", worker=self._worker)
                await self._clock.sleep(BEAT.total_seconds())

    async def _step(self) -> None:
        now_s = self._clock.monotonic()
        silent_s = now_s - self._beaten_s
        if silent_s >= BEAT.total_seconds():
            if not await self._store.beat(self._worker, now=self._clock.now()):
                log.warning("presence.was_taken_for_dead", worker=self._worker)
            if silent_s > _MISSED.total_seconds():
                self._look_s = now_s + SILENCE.total_seconds()
            self._beaten_s = now_s
        if now_s >= self._look_s:
            self._look_s = now_s + self._until_look_s()
            left = await self._store.take_over(self._worker, now=self._clock.now())
            if left.workers or left.batches:
                log.warning(
                    "presence.taken_over",
                    worker=self._worker,
                    dead=list(left.workers),
                    batches=left.batches,
                )

    def _until_look_s(self) -> float:
        # Spread, so that the workers of a night do not look all at once.
        return LOOK.total_seconds() * random.uniform(2 / 3, 4 / 3)


_AGAIN_S: Final = 1.0
"""After a heartbeat that could not be saved."""

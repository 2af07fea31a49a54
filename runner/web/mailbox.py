"""Makes deliveries durable, many in one transaction, and says so to each of their senders.

    request ─▶ put ─┐                       ┌─▶ 200
    request ─▶ put ─┼─▶ one commit, synced ─┼─▶ 200
    request ─▶ put ─┘                       └─▶ 200

While one commit is synced the next group gathers, so that the disk, not the number of senders,
sets the pace. What waits is bounded: beyond that a sender is sent away at once.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from runner.clock import Clock
from runner.errors import RunnerError
from runner.store.inbox import Delivery, Inbox

log = structlog.get_logger()

MOST_WAITING: Final = 2_000
"""Deliveries that wait for a commit."""

MOST_HELD: Final = 64 * 1024 * 1024
"""Bytes of bodies in memory, those being read included."""

_AT_ONCE: Final = 500
_BYTES_AT_ONCE: Final = 16 * 1024 * 1024


class Overloaded(Exception):
    """There is no room for another delivery now."""


class NotKept(Exception):
    """The delivery could not be made durable."""


@dataclass(slots=True)
class _Waiting:
    delivery: Delivery
    kept: asyncio.Future[None]


class Mailbox:
    """The way into the inbox; ``run`` it beside the server."""

    def __init__(self, store: Inbox, clock: Clock) -> None:
        self.held = 0
        """Bytes in memory."""
        self._store = store
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._filled = asyncio.Event()

    def hold(self, size: int) -> None:
        """Account for *size* bytes that were read; ``release`` gives them free.

        Raises:
            Overloaded: there are too many already; nothing is held.
        """
        if self.held + size > MOST_HELD:
            raise Overloaded
        self.held += size

    def release(self, size: int) -> None:
        """The bytes are gone."""
        self.held -= size

    async def put(self, delivery: Delivery) -> None:
        """Return when *delivery* is durable, or was there before.

        Raises:
            Overloaded: too many wait.
            NotKept: it could not be written.
        """
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded
        waiting = _Waiting(delivery, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._filled.set()
        await waiting.kept

    async def run(self) -> None:
        """Commit what waits until cancelled."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._waiting:
                await self._commit(self._next_group())

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        for waiting in self._waiting[:_AT_ONCE]:
            group.append(waiting)
            size += len(waiting.delivery.body)
            if size > _BYTES_AT_ONCE:
                break
        del self._waiting[: len(group)]
        # Whose sender has gone meanwhile is not kept: it will be told anew that we do not have it.
        return [each for each in group if not each.kept.done()]

    async def _commit(self, group: list[_Waiting]) -> None:
        failure: NotKept | None = None
        try:
            await self._store.deliver([each.delivery for each in group], now=self._clock.now())
        except RunnerError as error:
            log.error("receiver.not_kept", deliveries=len(group), error=error.what)
            failure = NotKept(error.what)
        except Exception as error:
            # Ended by it, this would let every later sender wait for a commit that never comes.
            log.exception("receiver.not_kept", deliveries=len(group))
            failure = NotKept(type(error).__name__)
        for each in group:
            if each.kept.done():
                continue
            if failure is None:
                each.kept.set_result(None)
            else:
                each.kept.set_exception(failure)

"""What a free call waits for before it leaves."""

from collections import deque
from typing import Final

import anyio
import structlog

from runner.api.calls import CallKind
from runner.clock import Clock
from runner.failpoints import Point, hit
from runner.pacing import LIMITS_PER_KIND, Kind, Pacer, Priority, next_slot
from runner.pipeline.engine import Signals
from runner.store.protocol import TaskStore
from runner.store.values import StoreUnwritable

log = structlog.get_logger()

_KINDS: Final = {
    CallKind.TASKS_READY: Kind.TASKS_READY,
    CallKind.ID_LIST: Kind.ID_LIST,
    CallKind.USER_DATA: Kind.USER_DATA,
}
_STORE_AWAY_S: Final = 1.0


class Turn:
    """What every free call waits for: its turn, and a place among the few calls of its kind."""

    def __init__(
        self, store: TaskStore, account: int, pacer: Pacer, signals: Signals, clock: Clock
    ) -> None:
        self._store = store
        self._account = account
        self._pacer = pacer
        self._signals = signals
        self._clock = clock
        self._one_at_a_time = {kind: anyio.Lock() for kind in Kind}
        self._made: dict[Kind, deque[int]] = {kind: deque(maxlen=64) for kind in Kind}
        """This process's own calls, in monotonic milliseconds. The store may be full, and the clock
        of its log may be set: the limit holds all the same."""

    async def take(self, call: CallKind, priority: int) -> None:
        """Return when a call may leave, and count it."""
        kind = _KINDS.get(call)
        if kind is None:
            await self._pacer.take(Priority(priority))
        else:
            async with self._one_at_a_time[kind]:
                await self._take_one_of_few(kind, Priority(priority))
        self._signals.calls += 1

    async def _take_one_of_few(self, kind: Kind, priority: Priority) -> None:
        while True:
            while wait_ms := self._until_own_slot(kind):
                await self._clock.sleep(wait_ms / 1000)
            # The slot last: its moment is that of the call, which leaves at once.
            await self._pacer.take(priority)
            wait_ms = await self._until_slot(kind)
            if wait_ms == 0:
                self._made[kind].append(self._monotonic_ms())
                return
            # Other processes have made these calls, or an earlier one.
            await self._clock.sleep(wait_ms / 1000)

    def _until_own_slot(self, kind: Kind) -> int:
        return next_slot(self._made[kind], self._monotonic_ms(), LIMITS_PER_KIND[kind])

    def _monotonic_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)

    async def _until_slot(self, kind: Kind) -> int:
        try:
            wait_ms = await self._store.take_slot(self._account, kind, now=self._clock.now())
        except StoreUnwritable as error:
            log.warning("account.call_not_noted", kind=kind, error=error.what)
            # What other hosts do not know of must not leave.
            return round(_STORE_AWAY_S * 1000) if self._pacer.shared else 0
        if wait_ms == 0:
            hit(Point.CALL_NOTED)
        return wait_ms

"""Where the calls of an account come from in this process: its own bucket, or slices of a shared
limit."""

import os
import secrets
import socket
from contextlib import AsyncExitStack

import structlog

from runner.clock import Clock
from runner.pacing import Ask, Pacer, Slice, Slices
from runner.store.pacing import SharedPacing
from runner.store.protocol import TaskStore
from runner.store.values import StoreUnwritable

log = structlog.get_logger()


def pacer_of(
    stack: AsyncExitStack, store: TaskStore, account: int, calls_per_minute: int, clock: Clock
) -> Pacer:
    """The pacer of *account*, for as long as *stack* is open. *calls_per_minute* is the setting."""
    if not isinstance(store, SharedPacing):
        return Pacer(calls_per_minute, clock)
    slices = Slices(
        calls_per_minute,
        clock,
        # No two processes, and no two accounts of one process, may be taken for each other.
        host=f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}",
        ask=_Counter(store, account).ask,
    )
    stack.push_async_callback(slices.close)
    return Pacer(calls_per_minute, clock, allowance=slices)


class _Counter:
    """Where slices are to be had."""

    def __init__(self, store: SharedPacing, account: int) -> None:
        self._store = store
        self._account = account
        self._away = False

    async def ask(self, ask: Ask) -> Slice | None:
        """A slice; None while the store is away."""
        try:
            given = await self._store.take_slice(self._account, ask)
        except StoreUnwritable as error:
            if not self._away:
                log.warning("account.no_calls_to_be_had", error=error.what)
            self._away = True
            return None
        self._away = False
        return given

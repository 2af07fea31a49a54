"""One engine per store: a kernel lock on a file beside it.

The kernel frees the lock when the process ends, however it ends; a lock file that is left behind
after a power cut means nothing.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from runner.clock import Clock

_LOOK_AGAIN_S: Final = 0.5


class EngineElsewhere(Exception):
    """Another engine holds the store."""


@asynccontextmanager
async def engine_lock(store: Path, *, wait_s: float, clock: Clock) -> AsyncIterator[None]:
    """Hold the engine's lock on *store*, waiting up to *wait_s* seconds for it.

    Raises:
        EngineElsewhere: it was not free in time.
    """
    # By the file itself: a store reached through a link is the same store.
    lock = FileLock(f"{store.resolve()}.lock", mode=0o600, thread_local=False)
    give_up = clock.monotonic() + wait_s
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            if clock.monotonic() >= give_up:
                raise EngineElsewhere from None
            await clock.sleep(_LOOK_AGAIN_S)
    try:
        yield
    finally:
        lock.release()

"""One engine per store, and one loader: kernel locks on files beside it.

The kernel frees a lock when the process ends, however it ends; a lock file that is left behind
after a power cut means nothing.
"""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from runner.clock import Clock
from runner.errors import RunnerError, StoreBroken, TryLater

_LOOK_AGAIN_S: Final = 0.5
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class EngineElsewhere(Exception):
    """Another engine holds the store."""


class LoaderElsewhere(Exception):
    """Another process is loading into the store."""


@asynccontextmanager
async def engine_lock(store: Path, *, wait_s: float, clock: Clock) -> AsyncIterator[None]:
    """Hold the engine's lock on *store*, waiting up to *wait_s* seconds for it.

    Raises:
        EngineElsewhere: it was not free in time.
        StoreBroken, TryLater: there can be no such file.
    """
    async with _held(store, "lock", wait_s, clock, EngineElsewhere):
        yield


@asynccontextmanager
async def loading_lock(store: Path, *, wait_s: float, clock: Clock) -> AsyncIterator[None]:
    """Hold the loaders' lock on *store*: two loads at once would mix the lines of one run.

    Raises:
        LoaderElsewhere: it was not free in time.
        StoreBroken, TryLater: there can be no such file.
    """
    async with _held(store, "load.lock", wait_s, clock, LoaderElsewhere):
        yield


@asynccontextmanager
async def _held(
    store: Path, suffix: str, wait_s: float, clock: Clock, elsewhere: type[Exception]
) -> AsyncIterator[None]:
    # By the file itself: a store reached through a link is the same store.
    lock = FileLock(f"{store.resolve()}.{suffix}", mode=0o600, thread_local=False)
    give_up = clock.monotonic() + wait_s
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            if clock.monotonic() >= give_up:
                raise elsewhere from None
            await clock.sleep(_LOOK_AGAIN_S)
        except OSError as error:
            raise _in_words(Path(lock.lock_file), error) from error
    try:
        yield
    finally:
        lock.release()


def _in_words(path: Path, error: OSError) -> RunnerError:
    what = f"the store cannot be locked: {error.strerror}"
    if error.errno in _FULL:
        return TryLater(what, where=str(path), how="make room, then start the same command again")
    return StoreBroken(
        what,
        where=str(path),
        why="who sends from a store keeps a lock file beside it, so that nobody else does",
        how="see that this folder can be written and nothing else stands there, or --store FILE",
    )

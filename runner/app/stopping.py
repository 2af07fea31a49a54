"""How a start gives up: because somebody asked, or because the disk is full."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio

from runner.app.values import StoppedEarly, StopSwitch
from runner.errors import Exit, TryLater
from runner.settings import Settings
from runner.store.values import StoreUnwritable

T = TypeVar("T")


async def unless_stopped(stop: StopSwitch, work: Callable[[], Awaitable[T]]) -> T:
    """Do *work*, unless somebody asks to stop before it is done.

    Raises:
        StoppedEarly: somebody did.
    """
    done: list[T] = []
    failure = None
    async with anyio.create_task_group() as group:

        async def cancel_when_stopped() -> None:
            await stop.wait()
            group.cancel_scope.cancel()

        group.start_soon(cancel_when_stopped)
        try:
            done.append(await work())
        except Exception as error:
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not done:
        raise StoppedEarly(stop.exit or Exit.INTERRUPTED)
    return done[0]


@contextmanager
def store_may_be_full(settings: Settings) -> Iterator[None]:
    """
    Raises:
        TryLater: what is done meanwhile cannot write the store.
    """
    try:
        yield
    except StoreUnwritable as error:
        raise TryLater(
            "the store cannot be written now",
            where=settings.store_name,
            why=error.what,
            how="see to the disk, then start the same command again; nothing is lost",
        ) from error

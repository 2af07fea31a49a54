"""Ctrl-C and SIGTERM: the first one stops politely, the second one at once.

first ───▶ the stop switch: nothing new is posted, what is under way is saved
second ──▶ the process ends; the store is as safe as after a kill -9
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, TypeVar

from runner.errors import Exit

T = TypeVar("T")

_SIGNALS: Final = {signal.SIGINT: Exit.INTERRUPTED, signal.SIGTERM: Exit.TERMINATED}
_SHOW_CURSOR: Final = b"\x1b[?25h\n"

AT_ONCE: Final = "stopped at once; what was saved is safe, and nothing of it is asked again"
GO_ON: Final = "the same command, which goes on where this one was stopped"


class Stopped(Exception):
    """A signal ended the command; the code says which."""

    def __init__(self, code: Exit) -> None:
        super().__init__(code.name)
        self.code = code


@contextmanager
def stop_on_signals(request: Callable[[Exit], None], *, repaint: bool) -> Iterator[None]:
    """Call *request* in the event loop at the first signal; leave at once at the second.

    *repaint*: bars have hidden the terminal's cursor. To be entered in the event loop's thread.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def leave(number: int, _frame: FrameType | None) -> None:
        words = f"error: {AT_ONCE}\n  go on with: {GO_ON}\n".encode()
        with suppress(OSError):
            os.write(2, (_SHOW_CURSOR if repaint else b"") + words)
        os._exit(_SIGNALS[signal.Signals(number)])

    def first(number: signal.Signals) -> None:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            # A plain handler also runs while the loop itself is busy.
            signal.signal(each, leave)
        request(_SIGNALS[number])

    for number in _SIGNALS:
        loop.add_signal_handler(number, first, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def run_async(work: Callable[[], Awaitable[T]]) -> T:
    """Run *work* in an event loop; SIGTERM cancels it as Ctrl-C does.

    Raises:
        Stopped: by SIGTERM.
        KeyboardInterrupt: by Ctrl-C.
    """

    async def cancellable() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work())
        terminated: list[bool] = []

        def terminate() -> None:
            terminated.append(True)
            task.cancel()

        loop.add_signal_handler(signal.SIGTERM, terminate)
        try:
            return await task
        except asyncio.CancelledError:
            if terminated:
                raise Stopped(Exit.TERMINATED) from None
            raise
        finally:
            loop.remove_signal_handler(signal.SIGTERM)

    return asyncio.run(cancellable())

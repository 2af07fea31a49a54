"""What commands that send have in common: signals, progress, the summary."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from runner.app import Reporter, RunSummary, StopSwitch
from runner.cli.actions import summary as ending
from runner.cli.actions.watching import Watcher, mode_of
from runner.cli.session import Session
from runner.cli.stopping import stop_on_signals
from runner.errors import Exit

T = TypeVar("T")

_COLLECT_AT: Final = (10_000, 20, 50)
"""An answer is made of a few hundred objects, none of them in a circle: looking for circles as
often as Python does by itself takes a tenth of the time."""

Start = Callable[[Reporter, StopSwitch], Awaitable[RunSummary]]
StartOfSeveral = Callable[[Reporter, StopSwitch], Awaitable[Sequence[RunSummary]]]


def carry_out(session: Session, start: Start, *, bad_rows_are_fine: bool = False) -> Exit:
    """Run *start* with signals and progress in place; print how it ended.

    Raises:
        RunnerError: as *start* does.
    """

    async def one(reporter: Reporter, stop: StopSwitch) -> Sequence[RunSummary]:
        return [await start(reporter, stop)]

    return carry_out_together(session, one, bad_rows_are_fine=bad_rows_are_fine)


def carry_out_together(
    session: Session, start: StartOfSeveral, *, bad_rows_are_fine: bool = False
) -> Exit:
    """The same for a start of several jobs.

    Raises:
        RunnerError: as *start* does.
    """
    mode = mode_of(session)
    session.open_log()
    with Watcher(session, mode, bad_rows_are_fine=bad_rows_are_fine) as watcher:
        summaries = asyncio.run(stoppable(session, start, watcher))
        for summary in summaries:
            watcher.ended(summary)
    return ending.tell(session, summaries)


async def stoppable(
    session: Session,
    start: Callable[[Reporter, StopSwitch], Awaitable[T]],
    watcher: Watcher,
    *,
    stopping: Callable[[], None] | None = None,
) -> T:
    """Run *start*; the first signal asks it to stop, the second leaves at once.

    *stopping* is called at the first one.
    """
    stop = StopSwitch()

    def request(code: Exit) -> None:
        stop.request(code)
        session.stopping = True
        watcher.stopping()
        if stopping is not None:
            stopping()
        session.voice.note(
            "stopping: nothing new is posted, what is under way is saved "
            "(the same signal once more leaves at once)"
        )

    with stop_on_signals(request, repaint=watcher.mode == "bar"), _seldom_collecting():
        return await start(watcher, stop)


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Look for garbage less often, and never among what was there before."""
    usual = gc.get_threshold()
    gc.set_threshold(*_COLLECT_AT)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*usual)

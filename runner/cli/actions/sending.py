"""What `run` and `retry` have in common: signals, progress, the summary."""

import asyncio
from collections.abc import Awaitable, Callable

from runner.app import Reporter, RunSummary, StopSwitch
from runner.cli.actions import summary as ending
from runner.cli.actions.watching import Watcher, mode_of
from runner.cli.session import Session
from runner.cli.stopping import stop_on_signals
from runner.errors import Exit

Start = Callable[[Reporter, StopSwitch], Awaitable[RunSummary]]


def carry_out(session: Session, start: Start, *, bad_rows_are_fine: bool = False) -> Exit:
    """Run *start* with signals and progress in place; print how it ended.

    Raises:
        RunnerError: as *start* does.
    """
    mode = mode_of(session)
    session.open_log()
    with Watcher(session, mode, bad_rows_are_fine=bad_rows_are_fine) as watcher:
        summary = asyncio.run(_stoppable(session, start, watcher))
        watcher.ended(summary)
    return ending.tell(session, summary)


async def _stoppable(session: Session, start: Start, watcher: Watcher) -> RunSummary:
    stop = StopSwitch()

    def request(code: Exit) -> None:
        stop.request(code)
        watcher.stopping()
        session.voice.note(
            "stopping: nothing new is posted, what is under way is saved "
            "(the same signal once more leaves at once)"
        )

    with stop_on_signals(request, repaint=watcher.mode == "bar"):
        return await start(watcher, stop)

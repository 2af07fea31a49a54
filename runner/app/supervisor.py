"""Runs the stages side by side until there is nothing left to do, or no time, or no use.

nothing waits .......................... done
only changed or paused tasks wait ...... nothing more can be done now
posting stopped, all answers in ........ done for now (money)
time is up ............................. what waits is collected by a later start
somebody asked, or login refused ....... stop, save, end
a stage failed ......................... the same, then its error
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from runner.app.stages import run_stages, to_collect, to_post, to_reconcile
from runner.app.values import Progress, Reporter, RunOptions, StopSwitch
from runner.lifecycle import State
from runner.pipeline.engine import Engine, Posting
from runner.pipeline.submitter import Poster
from runner.store.values import RunStatus, StoreUnwritable

log = structlog.get_logger()

LOOK_EVERY_S: Final = 0.5


async def supervise(
    engine: Engine,
    postings: Sequence[Posting],
    options: RunOptions,
    *,
    reporter: Reporter,
    stop: StopSwitch,
    late_answers: bool,
) -> None:
    """Post and collect until this start is over. *late_answers*: earlier runs wait for some.

    Raises:
        StoreBroken: as ``run_stages``.
    """
    await run_stages(
        engine,
        [
            *to_post(engine, Poster(engine, postings)),
            *to_collect(engine),
            *to_reconcile(engine),
        ],
        until=partial(_until_over, engine, postings, options, reporter, late_answers),
        stop=stop,
        tell=reporter.note,
    )


async def _until_over(
    engine: Engine,
    postings: Sequence[Posting],
    options: RunOptions,
    reporter: Reporter,
    late_answers: bool,
) -> None:
    started = engine.clock.monotonic()
    runs = [posting.run.id for posting in postings]
    while not engine.signals.stopping.is_set():
        elapsed_s = engine.clock.monotonic() - started
        # Nothing may be under way while the status is read, or it is of a moment in between.
        busy = engine.signals.in_flight
        statuses = await look(engine, runs)
        busy += engine.signals.in_flight
        if statuses is not None:
            for status in statuses:
                reporter.progress(progress_of(engine, status, elapsed_s))
            sendable = None if busy else await look_ahead(engine, runs)
            over = sendable is not None and all(
                _over(engine, each, sendable[each.run.id], options, late_answers)
                for each in statuses
            )
            # Both looks must be of one moment: nothing has moved from the one to the other.
            if over and await look(engine, runs) == statuses:
                return
        if 0 < options.wait_s <= elapsed_s:
            return
        await engine.rest(LOOK_EVERY_S)


async def look(engine: Engine, runs: Sequence[int]) -> list[RunStatus] | None:
    """Where *runs* stand; None if the store cannot be read just now."""
    try:
        return [await engine.store.status(run) for run in runs]
    except StoreUnwritable as error:
        log.warning("supervisor.status_not_read", error=error.what)
        return None


async def look_ahead(engine: Engine, runs: Sequence[int]) -> dict[int, list[datetime]] | None:
    """By run: when pending tasks are due, those that can be sent for now; None as ``look``.

    No room for more money lasts until answers come in.
    """
    now, found = engine.clock.now(), {}
    try:
        for run in runs:
            waiting = await engine.store.waiting_to_post(run, now=now)
            found[run] = [at for endpoint, at in waiting.items() if engine.may_send(run, endpoint)]
    except StoreUnwritable as error:
        log.warning("supervisor.queue_not_read", error=error.what)
        return None
    return found


def _over(
    engine: Engine,
    status: RunStatus,
    sendable: Sequence[datetime],
    options: RunOptions,
    late_answers: bool,
) -> bool:
    if _nothing_left(engine, status, sendable, late_answers):
        return True
    return options.wait_s == 0 and _gone_through(engine, status, sendable)


def _nothing_left(
    engine: Engine, status: RunStatus, sendable: Sequence[datetime], late_answers: bool
) -> bool:
    """Whether no task of the run can move any more in this start."""
    states = status.states
    if states[State.POSTING] or states[State.POSTED] or states[State.UNKNOWN]:
        return False
    if late_answers and not (engine.signals.collected and engine.signals.reconciled):
        return False
    if engine.signals.extras_found:
        return False
    return not sendable


def _gone_through(engine: Engine, status: RunStatus, sendable: Sequence[datetime]) -> bool:
    """Whether what is due now was posted, and what is ready now collected: for ``--wait 0``."""
    signals = engine.signals
    if signals.unreachable is not None or signals.unwritable is not None:
        return True
    if signals.unlisted is not None and signals.collected:
        return True
    if status.states[State.UNKNOWN] and not signals.reconciled:
        return False
    now = engine.clock.now()
    return signals.collected and not any(at <= now for at in sendable)


def progress_of(engine: Engine, status: RunStatus, elapsed_s: float) -> Progress:
    """What the reporter is told."""
    signals = engine.signals
    trouble = signals.fatal or signals.unwritable or signals.blocked or signals.unreachable
    trouble = trouble or signals.unlisted
    return Progress(
        status=status,
        elapsed_s=elapsed_s,
        calls=signals.calls,
        calls_per_minute=engine.pacer.calls_per_minute,
        now=engine.clock.now(),
        stopping=signals.stopping.is_set(),
        note=trouble.what if trouble else None,
    )

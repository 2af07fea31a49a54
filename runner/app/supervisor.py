"""Runs the stages side by side until there is nothing left to do, or no time, or no use.

nothing waits .......................... done
only changed or paused tasks wait ...... nothing more can be done now
posting stopped, all answers in ........ done for now (money)
time is up ............................. what waits is collected by a later start
somebody asked, or login refused ....... stop, save, end
a stage failed ......................... the same, then its error
"""

from collections.abc import Sequence
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
            if not busy and all(_over(engine, each, options, late_answers) for each in statuses):
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


def _over(engine: Engine, status: RunStatus, options: RunOptions, late_answers: bool) -> bool:
    if _nothing_left(engine, status, late_answers):
        return True
    return options.wait_s == 0 and _gone_through(engine, status)


def _nothing_left(engine: Engine, status: RunStatus, late_answers: bool) -> bool:
    """Whether no task of the run can move any more in this start."""
    states = status.states
    if states[State.POSTING] or states[State.POSTED] or states[State.UNKNOWN]:
        return False
    if late_answers and not (engine.signals.collected and engine.signals.reconciled):
        return False
    if engine.signals.extras_found:
        return False
    postable = states[State.PENDING] - status.held
    return postable == 0 or not may_post(engine, status)


def may_post(engine: Engine, status: RunStatus) -> bool:
    """Whether posting can go on for now. No room for more money lasts until answers come in."""
    signals = engine.signals
    held_back = signals.blocked is not None or signals.too_doubtful
    return not held_back and signals.room(status.run.id)


def _gone_through(engine: Engine, status: RunStatus) -> bool:
    """Whether what is due now was posted, and what is ready now collected: for ``--wait 0``."""
    signals = engine.signals
    if signals.unreachable is not None or signals.unwritable is not None:
        return True
    if signals.unlisted is not None and signals.collected:
        return True
    if status.states[State.UNKNOWN] and not signals.reconciled:
        return False
    due = status.next_due_at is not None and status.next_due_at <= engine.clock.now()
    return signals.collected and not (due and may_post(engine, status))


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

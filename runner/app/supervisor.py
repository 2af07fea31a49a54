"""Runs the stages side by side until there is nothing left to do, or no time, or no use.

nothing waits .......................... done
only doubtful or changed tasks wait .... nothing more can be done now
posting stopped, all answers in ........ done for now (money)
time is up ............................. what waits is collected by a later start
somebody asked, or login refused ....... stop, save, end
a stage failed ......................... the same, then its error
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import anyio
import structlog

from runner.app.values import Progress, Reporter, RunOptions, StopSwitch
from runner.lifecycle import State
from runner.pipeline.account import check_account, probe
from runner.pipeline.engine import Engine, Posting
from runner.pipeline.poller import poll
from runner.pipeline.ready import watch_ready_list
from runner.pipeline.submitter import Poster
from runner.pipeline.writer import write
from runner.store.protocol import Ending, RunStatus, StoreUnwritable

log = structlog.get_logger()

_LOOK_EVERY_S: Final = 0.5
_ENDINGS_WAITING: Final = 1_000


async def supervise(
    engine: Engine,
    posting: Posting,
    options: RunOptions,
    *,
    reporter: Reporter,
    stop: StopSwitch,
    late_answers: bool,
) -> None:
    """Post and collect until this start is over. *late_answers*: earlier runs wait for some.

    Raises:
        StoreBroken: the store cannot be used any more; what was under way was saved as far as
            that went. Any other error of a stage is a bug, after which all is saved, too.
    """
    until_over = partial(_until_over, engine, posting, options, reporter, late_answers)
    async with anyio.create_task_group() as group:
        group.start_soon(engine.unless_stopped, partial(_heed_stop, engine, stop))
        group.start_soon(_stages, engine, posting)
        await engine.guarded(until_over)
        engine.signals.stop()
    # The group ends when the stages have saved what was under way.
    if engine.signals.broken is not None:
        raise engine.signals.broken


async def _heed_stop(engine: Engine, stop: StopSwitch) -> None:
    await stop.wait()
    engine.signals.stop()


async def _stages(engine: Engine, posting: Posting) -> None:
    """All stages. What only makes free calls is cut off at the end, what pays or saves is not."""
    to_writer, endings = anyio.create_memory_object_stream[Ending](_ENDINGS_WAITING)
    stages: list[Callable[[], Awaitable[object]]] = [
        partial(_submit_when_checked, engine, posting),
        partial(engine.unless_stopped, partial(watch_ready_list, engine)),
        partial(poll, engine, to_writer),
        partial(write, engine, endings),
        partial(engine.unless_stopped, partial(probe, engine)),
    ]
    async with anyio.create_task_group() as group:
        for stage in stages:
            group.start_soon(engine.guarded, stage)


async def _submit_when_checked(engine: Engine, posting: Posting) -> None:
    # The account is checked before anything is posted; what was posted before may be fetched.
    if await engine.unless_stopped(partial(check_account, engine)):
        await Poster(engine, posting).work()


async def _until_over(
    engine: Engine, posting: Posting, options: RunOptions, reporter: Reporter, late_answers: bool
) -> None:
    started = engine.clock.monotonic()
    while not engine.signals.stopping.is_set():
        elapsed_s = engine.clock.monotonic() - started
        # Nothing may be under way while the status is read, or it is of a moment in between.
        busy = engine.signals.in_flight
        status = await _look(engine, posting)
        busy += engine.signals.in_flight
        if status is not None:
            reporter.progress(progress_of(engine, status, elapsed_s))
            if not busy and _over(engine, status, options, late_answers):
                return
        if 0 < options.wait_s <= elapsed_s:
            return
        await engine.rest(_LOOK_EVERY_S)


async def _look(engine: Engine, posting: Posting) -> RunStatus | None:
    try:
        return await engine.store.status(posting.run.id)
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
    if states[State.POSTING] or states[State.POSTED]:
        return False
    if late_answers and not engine.signals.collected:
        return False
    postable = states[State.PENDING] - status.held
    return postable == 0 or not _may_post(engine)


def _may_post(engine: Engine) -> bool:
    """Whether posting can go on for now. No room for more money lasts until answers come in."""
    return engine.signals.blocked is None and engine.signals.room


def _gone_through(engine: Engine, status: RunStatus) -> bool:
    """Whether what is due now was posted, and what is ready now collected: for ``--wait 0``."""
    signals = engine.signals
    if signals.unreachable is not None or signals.unwritable is not None:
        return True
    due = status.next_due_at is not None and status.next_due_at <= engine.clock.now()
    return signals.collected and not (due and _may_post(engine))


def progress_of(engine: Engine, status: RunStatus, elapsed_s: float) -> Progress:
    """What the reporter is told."""
    signals = engine.signals
    trouble = signals.fatal or signals.unwritable or signals.blocked or signals.unreachable
    return Progress(
        status=status,
        elapsed_s=elapsed_s,
        calls=signals.calls,
        calls_per_minute=engine.pacer.calls_per_minute,
        now=engine.clock.now(),
        stopping=signals.stopping.is_set(),
        note=trouble.what if trouble else None,
    )

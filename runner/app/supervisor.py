"""Runs the stages side by side until there is nothing left to do, or no time, or no use.

nothing waits .......................... done
only changed or paused tasks wait ...... nothing more can be done now
posting stopped, all answers in ........ done for now (money)
time is up ............................. what waits is collected by a later start
somebody asked, or login refused ....... stop, save, end
a stage failed ......................... the same, then its error
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from runner.app.engines import Engines
from runner.app.stages import Stage, run_stages, to_collect, to_post, to_reconcile
from runner.app.values import Progress, Reporter, RunOptions, StopSwitch
from runner.lifecycle import State
from runner.pipeline.engine import Engine, Posting
from runner.pipeline.submitter import Poster
from runner.store.amounts import Money
from runner.store.values import Decision, RunStatus, StoreUnwritable
from runner.store.workers import ALL_ROLES, Role
from runner.task import Endpoint, Method

log = structlog.get_logger()

LOOK_EVERY_S: Final = 0.5


async def supervise(
    engines: Engines,
    postings: Sequence[Posting],
    options: RunOptions,
    *,
    reporter: Reporter,
    stop: StopSwitch,
    late_answers: bool,
    asked: Collection[int] = (),
) -> None:
    """Post and collect until this start is over. *late_answers*: earlier runs wait for some.

    What *postings* only retry belongs to earlier runs: it is posted, and not waited for.
    *asked*: runs whose edited tasks a person said to ask; those that were at the API then are asked
    when they are back.

    Raises:
        StoreBroken: as ``run_stages``.
    """

    def stages(engine: Engine) -> list[Stage]:
        posting = to_post(engine, Poster(engine, postings))
        return [*posting, *to_collect(engine), *to_reconcile(engine)]

    await run_stages(
        engines,
        stages,
        until=partial(_until_over, engines, postings, options, reporter, late_answers, asked),
        stop=stop,
        tell=reporter.note,
    )


async def _until_over(
    engines: Engines,
    postings: Sequence[Posting],
    options: RunOptions,
    reporter: Reporter,
    late_answers: bool,
    asked: Collection[int],
) -> None:
    started = engines.clock.monotonic()
    runs = [posting.run.id for posting in postings if not posting.retries_only]
    earlier = [posting.run.id for posting in postings if posting.retries_only]
    others = Others(engines)
    while not engines.over:
        elapsed_s = engines.clock.monotonic() - started
        # Nothing may be under way while the status is read, or it is of a moment in between.
        busy = engines.in_flight
        statuses = await look(engines, runs)
        busy += engines.in_flight
        if statuses is not None:
            others.heed(statuses)
            for status in statuses:
                reporter.progress(progress_of(engines, status, elapsed_s))
            over = not busy and await _all_over(engines, statuses, options, late_answers)
            over = over and await _none_to_retry(engines, earlier, options)
            # Both looks must be of one moment: nothing has moved from the one to the other.
            if over and await look(engines, runs) == statuses and not await _ask(engines, asked):
                return
        if 0 < options.wait_s <= elapsed_s:
            return
        await engines.rest(LOOK_EVERY_S)


async def _ask(engines: Engines, runs: Collection[int]) -> int:
    """Ask what of *runs* was edited and has come back; returns how many."""
    try:
        return sum(
            [
                await engines.store.decide_changes(run, Decision.ASK, now=engines.clock.now())
                for run in runs
            ]
        )
    except StoreUnwritable as error:
        log.warning("supervisor.edits_not_asked", error=error.what)
        return 0


class Others:
    """Notices what other workers, or engines, have booked: it may have freed money for posts."""

    def __init__(self, engines: Engines) -> None:
        self._signals = [engine.signals for engine in engines.parts]
        self._money: dict[int, Money] = {}
        self._bookings = [each.bookings for each in self._signals]

    def heed(self, statuses: Sequence[RunStatus]) -> None:
        """Look for money that has moved since the last look while an engine booked nothing."""
        money = {status.run.id: status.money for status in statuses}
        if money != self._money:
            for signals, before in zip(self._signals, self._bookings, strict=True):
                signals.bookings += signals.bookings == before
        self._money, self._bookings = money, [each.bookings for each in self._signals]


async def look(engines: Engines, runs: Sequence[int]) -> list[RunStatus] | None:
    """Where *runs* stand; None if the store cannot be read just now."""
    try:
        return [await engines.store.status(run) for run in runs]
    except StoreUnwritable as error:
        log.warning("supervisor.status_not_read", error=error.what)
        return None


async def look_ahead(
    engines: Sequence[Engine],
    runs: Sequence[int],
    roles: Collection[str] = ALL_ROLES,
    *,
    retries: bool = False,
) -> dict[int, list[datetime]] | None:
    """By run: when pending tasks are due, those that one of *engines* can send for now, and that
    somebody with one of *roles* does; None as ``look``. *retries*: only those that failed before.

    No room for more money lasts until answers come in.
    """
    found: dict[int, list[datetime]] = {run: [] for run in runs}
    try:
        for engine in engines:
            for run in runs:
                waiting = await engine.store.waiting_to_post(
                    run, now=engine.clock.now(), account=engine.account, retries=retries
                )
                found[run] += [
                    at
                    for to, at in waiting.items()
                    if engine.may_send(run, to) and _sender(to) in roles
                ]
    except StoreUnwritable as error:
        log.warning("supervisor.queue_not_read", error=error.what)
        return None
    return found


def _sender(endpoint: Endpoint) -> Role:
    return Role.LIVE if endpoint.method is Method.LIVE else Role.SUBMIT


async def _all_over(
    engines: Engines, statuses: Sequence[RunStatus], options: RunOptions, late_answers: bool
) -> bool:
    runs = [status.run.id for status in statuses]
    sendable = await look_ahead(engines.working, runs)
    # Who only waits for somebody to be there again is not waited for.
    due = await look_ahead(engines.able, runs) if options.wait_s == 0 else {}
    if sendable is None or due is None:
        return False
    for status in statuses:
        run = status.run.id
        if await _nothing_left(engines, status, sendable[run], late_answers):
            continue
        if options.wait_s != 0 or not _gone_through(engines, status, due[run]):
            return False
    return True


async def _none_to_retry(engines: Engines, runs: Sequence[int], options: RunOptions) -> bool:
    """Whether no failure of earlier *runs* can be asked again any more in this start."""
    at_once = options.wait_s == 0
    able = engines.able if at_once else engines.working
    waiting = await look_ahead(able, runs, retries=True)
    if waiting is None:
        return False
    now = engines.clock.now()
    return not any(at <= now or not at_once for due in waiting.values() for at in due)


async def _nothing_left(
    engines: Engines, status: RunStatus, sendable: Sequence[datetime], late_answers: bool
) -> bool:
    """Whether no task of the run can move any more in this start."""
    try:
        if await engines.out(status):
            return False
    except StoreUnwritable as error:
        log.warning("supervisor.queue_not_read", error=error.what)
        return False
    if late_answers and not (engines.collected and engines.reconciled):
        return False
    return not (engines.extras_found or sendable)


def _gone_through(engines: Engines, status: RunStatus, sendable: Sequence[datetime]) -> bool:
    """Whether what is due now was posted, and what is ready now collected: for ``--wait 0``."""
    now = engines.clock.now()
    if any(at <= now for at in sendable):
        return False
    return all(_through(engine, status) for engine in engines.working)


def _through(engine: Engine, status: RunStatus) -> bool:
    signals = engine.signals
    if signals.unreachable is not None or signals.unwritable is not None:
        return True
    if signals.unlisted is not None and signals.collected:
        return True
    if status.states[State.UNKNOWN] and not signals.reconciled:
        return False
    return signals.collected


def progress_of(engines: Engines, status: RunStatus, elapsed_s: float) -> Progress:
    """What the reporter is told."""
    return Progress(
        status=status,
        elapsed_s=elapsed_s,
        calls=engines.calls,
        calls_per_minute=engines.calls_per_minute,
        now=engines.clock.now(),
        stopping=not engines.working,
        note=engines.note(),
    )

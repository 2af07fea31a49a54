"""The engine as a daemon: posts and collects whatever is in the store until it is stopped."""

from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, date
from functools import partial
from typing import Final

import structlog

from runner.app.engines import Engines, running_engines
from runner.app.gateways import needed_gateways
from runner.app.limits import Limits
from runner.app.opening import OwnStore
from runner.app.receiving import receiving
from runner.app.stages import Stage, run_stages, to_collect, to_post, to_reconcile
from runner.app.steps import Step, with_store
from runner.app.supervisor import Others, look_ahead
from runner.app.values import Working, WorkSummary
from runner.errors import CredentialsRefused, Exit, RunnerError, WrongInput, gravest
from runner.lifecycle import WAITING, State
from runner.pipeline.engine import Engine, Posting
from runner.pipeline.submitter import Poster
from runner.store.protocol import TaskStore
from runner.store.values import RunStatus, StoreUnwritable
from runner.store.workers import Role, WorkerState
from runner.task import Gateway

log = structlog.get_logger()

LOOK_EVERY_S: Final = 2.0
"""How soon a newly loaded run is seen."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """Who is told what the daemon does."""

    ready: Callable[[], None]
    """It has the store, and begins."""
    progress: Callable[[Working], None]
    """Called every two seconds."""
    warn: Callable[[RunnerError], None]
    """A run is left alone because of this; said once."""


@dataclass(slots=True)
class _Daemon:
    engines: Engines
    limits: Limits
    watch: Watch
    drain: bool
    own: OwnStore
    postings: list[Posting] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    """By run: why it is not posted, as it was told."""
    keyless: set[tuple[int, Gateway]] = field(default_factory=set)
    """Runs and the gateways that they wait for without credentials, as it was told."""
    ended_before: int = 0
    day: date | None = None
    """The UTC day on which it looked last."""


async def work(step: Step, limits: Limits, watch: Watch, *, drain: bool = False) -> WorkSummary:
    """Post and collect everything in the store, newly loaded runs too, until somebody stops it.

    *drain*: until nothing can be done any more.

    Raises:
        As ``runner.app.steps.submit``; a run whose job file is not found is left alone instead.
    """
    return await with_store(step, partial(_work, step, limits, watch, drain))


async def _work(
    step: Step, limits: Limits, watch: Watch, drain: bool, own: OwnStore
) -> WorkSummary:
    began = step.clock.monotonic()
    ended_before = _ended(await own.store.counts())
    unfinished = [run.id for run in await own.store.unfinished_runs()]
    needs = await needed_gateways(own.store, unfinished, late_answers=False, clock=step.clock)
    async with AsyncExitStack() as stack:
        opened: list[Engines] = []
        # It listens before anything is posted.
        await stack.enter_async_context(
            receiving(
                step.settings,
                own.store,
                step.listen,
                clock=step.clock,
                told=step.reporter.note,
                calls=lambda: sum(each.calls for each in opened),
            )
        )
        engines = await stack.enter_async_context(
            running_engines(
                step.settings,
                own,
                clock=step.clock,
                needs=needs,
                # A run that is loaded later may need any of them.
                welcome=tuple(Gateway),
                listening=step.listen is not None,
            )
        )
        opened.append(engines)
        daemon = _Daemon(engines, limits, watch, drain, own, ended_before=ended_before)
        watch.ready()

        def stages(engine: Engine) -> list[Stage]:
            return [
                *to_post(engine, Poster(engine, daemon.postings), own.roles),
                *to_collect(engine, own.roles),
                *to_reconcile(engine, own.roles),
            ]

        await run_stages(
            engines,
            stages,
            until=partial(_until_over, daemon),
            stop=step.stop,
            tell=step.reporter.note,
        )
        left = await _unfinished(own.store)
        reasons = [reason for each in left if (reason := engines.reason(each))]
        reason = engines.fatal() or next(iter(reasons), None)
        codes = [each.exit_code for each in (reason,) if each is not None]
        if step.stop.exit is not None:
            codes.append(step.stop.exit)
        elif left:
            codes.append(Exit.NOT_FINISHED)
        return WorkSummary(
            working=_working(daemon, left, await own.store.counts()),
            exit=gravest(codes),
            reason=reason,
            elapsed_s=step.clock.monotonic() - began,
        )


async def _until_over(daemon: _Daemon) -> None:
    engines = daemon.engines
    others = Others(engines)
    while not engines.over:
        busy = engines.in_flight
        try:
            left = await _unfinished(engines.store)
            counts = await engines.store.counts()
        except StoreUnwritable as error:
            log.warning("daemon.store_not_read", error=error.what)
        else:
            busy += engines.in_flight
            others.heed(left)
            _take_up(daemon, left)
            await _tell_of_missing_keys(daemon)
            daemon.watch.progress(_working(daemon, left, counts))
            still = not daemon.drain or busy or await _any_can_move(daemon, left)
            if not still and await _unchanged(engines, left):
                return
        await engines.rest(LOOK_EVERY_S)


async def _unchanged(engines: Engines, left: list[RunStatus]) -> bool:
    """Whether nothing has moved since *left* was read, so that what was seen is of one moment."""
    try:
        return await _unfinished(engines.store) == left
    except StoreUnwritable as error:
        log.warning("daemon.store_not_read", error=error.what)
        return False


def _take_up(daemon: _Daemon, left: list[RunStatus]) -> None:
    """Post from now on what has something to post, within the limits that hold now."""
    before = {posting.run.id: posting.ceiling for posting in daemon.postings}
    postings = []
    for status in left:
        run = status.run
        if status.states[State.PENDING] <= status.held:
            continue
        try:
            ceiling = daemon.limits.of(run)
        except WrongInput as error:
            if daemon.refused.get(run.id) != error.why:
                daemon.refused[run.id] = error.why or ""
                daemon.watch.warn(error)
            continue
        daemon.refused.pop(run.id, None)
        another_day = _day(daemon) != daemon.day
        if before.get(run.id, ceiling) != ceiling or another_day:
            # A budget was raised, or a day's begins anew: there may be room again.
            daemon.engines.forget_shortages(run.id)
        postings.append(Posting(run=run, ceiling=ceiling))
    daemon.postings[:] = postings
    daemon.day = _day(daemon)


async def _tell_of_missing_keys(daemon: _Daemon) -> None:
    """Say once of each run that was loaded meanwhile what it waits for in vain."""
    engine = daemon.engines.lead
    for posting in daemon.postings:
        try:
            waiting = await engine.store.waiting_to_post(posting.run.id, now=engine.clock.now())
        except StoreUnwritable as error:
            log.warning("daemon.store_not_read", error=error.what)
            return
        for gateway in {each.gateway for each in waiting} - engine.live.keys():
            if (posting.run.id, gateway) not in daemon.keyless:
                daemon.keyless.add((posting.run.id, gateway))
                daemon.watch.warn(_without_key(posting, gateway))


def _without_key(posting: Posting, gateway: Gateway) -> CredentialsRefused:
    aisa = gateway is Gateway.AISA
    return CredentialsRefused(
        f"tasks of {posting.run.name} wait: there was no {'key' if aisa else 'login'} for "
        f"{'AIsa' if aisa else 'the API'} when this start began",
        why="the other tasks go on",
        how=f"export {'AISA_API_KEY_FILE=…' if aisa else 'DATAFORSEO_LOGIN=… …_PASSWORD_FILE=…'} "
        "and start runner work again",
    )


def _day(daemon: _Daemon) -> date:
    return daemon.engines.clock.now().astimezone(UTC).date()


async def _any_can_move(daemon: _Daemon, left: list[RunStatus]) -> bool:
    try:
        roles = await _roles_at_work(daemon)
        if any([_heard_of(each, roles) and await daemon.engines.out(each) for each in left]):
            return True
    except StoreUnwritable as error:
        log.warning("daemon.store_not_read", error=error.what)
        return True
    runs = [each.run.id for each in left if each.run.id not in daemon.refused]
    sendable = await look_ahead(daemon.engines.working, runs, roles)
    return sendable is None or any(sendable.values())


async def _roles_at_work(daemon: _Daemon) -> set[str]:
    """What this worker and those beside it do: what is nobody's role is not waited for."""
    lines = await daemon.engines.store.workers(now=daemon.engines.clock.now())
    working = [each.roles.split(",") for each in lines if each.state is WorkerState.WORKING]
    return set(daemon.own.roles).union(*working)


def _heard_of(status: RunStatus, roles: Collection[str]) -> bool:
    """Whether what is out is moved by somebody with one of *roles*."""
    states = status.states
    return bool(
        states[State.POSTING]
        or (states[State.POSTED] and Role.POLL in roles)
        or (states[State.UNKNOWN] and Role.RECONCILE in roles)
    )


async def _unfinished(store: TaskStore) -> list[RunStatus]:
    return [await store.status(run.id) for run in await store.unfinished_runs()]


def _ended(counts: Mapping[State, int]) -> int:
    return sum(n for state, n in counts.items() if state not in WAITING)


def _working(daemon: _Daemon, left: list[RunStatus], counts: Mapping[State, int]) -> Working:
    posted = [each.oldest_posted_at for each in left if each.oldest_posted_at is not None]
    return Working(
        runs=len(left),
        states={state: counts[state] for state in WAITING},
        ended=max(0, _ended(counts) - daemon.ended_before),
        oldest_posted_at=min(posted, default=None),
        calls=daemon.engines.calls,
        calls_per_minute=daemon.engines.calls_per_minute,
        now=daemon.engines.clock.now(),
        note=daemon.engines.note(),
    )

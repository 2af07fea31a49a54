"""One step of a start by itself: post what is pending, or collect what is out."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from runner.app.ending import reason_of
from runner.app.gateways import needed_gateways
from runner.app.limits import Limits
from runner.app.opening import OwnStore, own_store, running_engine
from runner.app.spending import confirm_spending
from runner.app.stages import run_stages, to_collect, to_post, to_reconcile
from runner.app.stopping import store_may_be_full, unless_stopped
from runner.app.supervisor import LOOK_EVERY_S, look, look_ahead, progress_of
from runner.app.values import Confirm, Reporter, StepSummary, StopSwitch
from runner.clock import Clock
from runner.errors import Exit, RunnerError, gravest
from runner.lifecycle import State
from runner.pipeline.engine import Engine, Posting, Signals
from runner.pipeline.submitter import Poster
from runner.settings import Settings
from runner.store.opening import AnyStore
from runner.store.values import Run, RunStatus
from runner.web.listen import Listen

Choose = Callable[[Sequence[Run]], Sequence[Run]]
"""Which of all runs are meant; raises ``WrongInput`` if none are."""

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Step:
    """What a step has to work with."""

    settings: Settings
    clock: Clock
    reporter: Reporter
    stop: StopSwitch
    wait_lock_s: float = 0.0
    listen: Listen | None = None
    """Where postbacks are received while it lasts; only `work` does."""


async def submit(
    step: Step,
    choose: Choose,
    limits: Limits,
    *,
    limit: int | None,
    confirm: Confirm | None = None,
) -> StepSummary:
    """Post what is due of the chosen runs, at most *limit* tasks, and leave.

    Raises:
        WrongInput: no such run, or its job file does not say the limits any more.
        TryLater: another engine holds the store, or the disk is full.
        CredentialsRefused: login or password is missing.
        StoreBroken: the store cannot be used.
    """
    return await with_store(step, partial(_submit, step, choose, limits, limit, confirm))


async def _submit(
    step: Step,
    choose: Choose,
    limits: Limits,
    limit: int | None,
    confirm: Confirm | None,
    own: OwnStore,
) -> StepSummary:
    before = await _statuses(own.store, choose)
    to_do = [each for each in before if each.states[State.PENDING] > each.held]
    postings = [Posting(run=each.run, ceiling=limits.of(each.run)) for each in to_do]
    doubtful = any(each.states[State.UNKNOWN] for each in before)
    if not (postings or doubtful) or step.stop.exit is not None:
        return _summary(before, before, step.stop)
    for each in to_do:
        above = limits.confirm_above(each.run)
        asking = partial(confirm_spending, own.store, each.run, above, confirm, step.settings)
        await unless_stopped(step.stop, partial(asking, most=limit))
    needs = await needed_gateways(
        own.store, [each.run.id for each in to_do], late_answers=False, clock=step.clock
    )
    async with running_engine(step.settings, own, clock=step.clock, needs=needs) as engine:
        poster = Poster(engine, postings, most=limit)
        await run_stages(
            engine,
            [*to_post(engine, poster), *to_reconcile(engine)],
            until=partial(
                _until_posted, step.reporter, engine, poster, [each.run.id for each in before]
            ),
            stop=step.stop,
            tell=step.reporter.note,
        )
        after = [await own.store.status(each.run.id) for each in before]
        summary = _summary(before, after, step.stop, engine.signals, posts=poster.quota.posts)
        left = any(each.states[State.PENDING] > each.held for each in after)
        doubtful = any(each.states[State.UNKNOWN] for each in after)
        if doubtful or (left and poster.quota.left != 0):
            summary = replace(summary, exit=gravest([summary.exit, Exit.NOT_FINISHED]))
        return summary


async def _until_posted(
    reporter: Reporter, engine: Engine, poster: Poster, runs: Sequence[int]
) -> None:
    began = engine.clock.monotonic()
    while not engine.signals.stopping.is_set():
        busy = engine.signals.in_flight
        statuses = await look(engine, runs)
        busy += engine.signals.in_flight
        _tell(reporter, engine, statuses, began)
        signals = engine.signals
        stuck = signals.unreachable is not None or signals.unlisted is not None
        if statuses is not None and not busy:
            sendable = await look_ahead(engine, runs)
            now = engine.clock.now()
            # What waits for its backoff is left.
            due = sendable is None or any(at <= now for each in sendable.values() for at in each)
            # What is in doubt is looked for once; how that ends may take longer than a step.
            looked = signals.reconciled or not any(each.states[State.UNKNOWN] for each in statuses)
            if stuck or (looked and (poster.quota.left == 0 or not due)):
                return
        await engine.rest(LOOK_EVERY_S)


async def collect(step: Step, choose: Choose, *, wait_s: float) -> StepSummary:
    """Fetch answers, post nothing. What comes of other runs than the chosen ones is kept as well.

    *wait_s*: 0 takes what is there now; ``inf`` waits until nothing is out any more.

    Raises:
        As ``submit``.
    """
    return await with_store(step, partial(_collect, step, choose, wait_s))


async def _collect(step: Step, choose: Choose, wait_s: float, own: OwnStore) -> StepSummary:
    before = await _statuses(own.store, choose)
    if not any(map(_out, before)) or step.stop.exit is not None:
        return _summary(before, before, step.stop, waiting_is_3=True)
    async with running_engine(step.settings, own, clock=step.clock) as engine:
        await run_stages(
            engine,
            [*to_collect(engine), *to_reconcile(engine)],
            until=partial(
                _until_collected, step.reporter, engine, [each.run.id for each in before], wait_s
            ),
            stop=step.stop,
        )
        after = [await own.store.status(each.run.id) for each in before]
        return _summary(before, after, step.stop, engine.signals, waiting_is_3=True)


async def _until_collected(
    reporter: Reporter, engine: Engine, runs: Sequence[int], wait_s: float
) -> None:
    signals, started = engine.signals, engine.clock.monotonic()
    while not signals.stopping.is_set():
        busy = signals.in_flight
        statuses = await look(engine, runs)
        busy += signals.in_flight
        _tell(reporter, engine, statuses, started)
        if statuses is not None and not busy:
            done = not any(map(_out, statuses))
            stuck = signals.unreachable is not None or signals.unwritable is not None
            in_doubt = any(each.states[State.UNKNOWN] for each in statuses)
            through = signals.collected and (signals.reconciled or not in_doubt)
            if done or (wait_s == 0 and (through or stuck)):
                return
        if 0 < wait_s <= engine.clock.monotonic() - started:
            return
        await engine.rest(LOOK_EVERY_S)


def _out(status: RunStatus) -> int:
    """Tasks that are at the API, or may be."""
    return status.states[State.POSTED] + status.states[State.UNKNOWN]


def _tell(
    reporter: Reporter, engine: Engine, statuses: Sequence[RunStatus] | None, began: float
) -> None:
    for status in statuses or ():
        reporter.progress(progress_of(engine, status, engine.clock.monotonic() - began))


async def with_store(step: Step, work: Callable[[OwnStore], Awaitable[T]]) -> T:
    """Do *work* as the store's engine.

    Raises:
        TryLater: another engine holds the store, or the disk is full.
        StoppedEarly: somebody asked to stop before it was free.
        StoreBroken: the store cannot be used.
    """
    async with AsyncExitStack() as stack:
        with store_may_be_full(step.settings):
            opening = own_store(step.settings, wait_lock_s=step.wait_lock_s, clock=step.clock)
            own = await unless_stopped(step.stop, partial(stack.enter_async_context, opening))
            return await work(own)


async def _statuses(store: AnyStore, choose: Choose) -> list[RunStatus]:
    """Where the chosen runs stand that are not finished."""
    chosen = {run.id for run in choose(await store.runs())}
    return [await store.status(run.id) for run in await store.unfinished_runs() if run.id in chosen]


def _summary(
    before: Sequence[RunStatus],
    after: Sequence[RunStatus],
    stop: StopSwitch,
    signals: Signals | None = None,
    *,
    posts: int = 0,
    waiting_is_3: bool = False,
) -> StepSummary:
    reasons: list[RunnerError] = []
    if signals is not None:
        found = (reason_of(signals, status) for status in after)
        reasons = [reason for reason in found if reason is not None]
    codes = [reason.exit_code for reason in reasons]
    if stop.exit is not None:
        codes.append(stop.exit)
    if waiting_is_3 and any(map(_out, after)):
        codes.append(Exit.NOT_FINISHED)
    code = gravest(codes)
    return StepSummary(
        before=tuple(before),
        after=tuple(after),
        posts=posts,
        calls=signals.calls if signals else 0,
        exit=code,
        reason=next((reason for reason in reasons if reason.exit_code is code), None),
    )

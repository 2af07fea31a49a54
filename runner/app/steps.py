"""One step of a start by itself: post what is pending, or collect what is out."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from runner.app.engines import Engines, running_engines
from runner.app.gateways import needed_gateways
from runner.app.limits import Limits
from runner.app.opening import OwnStore, own_store
from runner.app.spending import confirm_spending
from runner.app.stages import Stage, run_stages, to_collect, to_post, to_reconcile
from runner.app.stopping import store_may_be_full, unless_stopped
from runner.app.supervisor import LOOK_EVERY_S, Others, look, look_ahead, progress_of
from runner.app.values import Confirm, Reporter, StepSummary, StopSwitch
from runner.clock import Clock
from runner.errors import Exit, RunnerError, gravest
from runner.lifecycle import State
from runner.pipeline.engine import Engine, Posting, Quota
from runner.pipeline.submitter import Poster
from runner.settings import Settings
from runner.store.opening import AnyStore
from runner.store.values import Run, RunStatus, StoreUnwritable
from runner.store.workers import ALL_ROLES, Role
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
    roles: frozenset[Role] = ALL_ROLES
    """What this worker does, as others see it."""
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
    step = replace(step, roles=ALL_ROLES - {Role.POLL})
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
    async with running_engines(step.settings, own, clock=step.clock, needs=needs) as engines:
        quota = Quota(limit)

        def stages(engine: Engine) -> list[Stage]:
            poster = Poster(engine, postings, quota=quota)
            return [*to_post(engine, poster), *to_reconcile(engine)]

        await run_stages(
            engines,
            stages,
            until=partial(
                _until_posted, step.reporter, engines, quota, [each.run.id for each in before]
            ),
            stop=step.stop,
            tell=step.reporter.note,
        )
        after = [await own.store.status(each.run.id) for each in before]
        summary = _summary(before, after, step.stop, engines, posts=quota.posts)
        left = any(each.states[State.PENDING] > each.held for each in after)
        doubtful = any(each.states[State.UNKNOWN] for each in after)
        if doubtful or (left and quota.left != 0):
            summary = replace(summary, exit=gravest([summary.exit, Exit.NOT_FINISHED]))
        return summary


async def _until_posted(
    reporter: Reporter, engines: Engines, quota: Quota, runs: Sequence[int]
) -> None:
    began = engines.clock.monotonic()
    others = Others(engines)
    while not engines.over:
        busy = engines.in_flight
        statuses = await look(engines, runs)
        busy += engines.in_flight
        others.heed(statuses or ())
        _tell(reporter, engines, statuses, began)
        waiting = [engine for engine in engines.working if _waits(engine)]
        able = [engine for engine in engines.working if engine not in waiting]
        if statuses is not None and not busy:
            sendable = await look_ahead(able, runs)
            now = engines.clock.now()
            # What waits for its backoff is left.
            due = sendable is None or any(at <= now for each in sendable.values() for at in each)
            # What is in doubt is looked for once; how that ends may take longer than a step.
            looked = engines.reconciled or not any(each.states[State.UNKNOWN] for each in statuses)
            if not able or ((looked or waiting) and (quota.left == 0 or not due)):
                return
        await engines.rest(LOOK_EVERY_S)


def _waits(engine: Engine) -> bool:
    """Whether *engine* waits for an API that is not there, or for its listing."""
    return engine.signals.unreachable is not None or engine.signals.unlisted is not None


async def collect(step: Step, choose: Choose, *, wait_s: float) -> StepSummary:
    """Fetch answers, post nothing. What comes of other runs than the chosen ones is kept as well.

    *wait_s*: 0 takes what is there now; ``inf`` waits until nothing is out any more.

    Raises:
        As ``submit``.
    """
    step = replace(step, roles=frozenset({Role.POLL, Role.RECONCILE}))
    return await with_store(step, partial(_collect, step, choose, wait_s))


async def _collect(step: Step, choose: Choose, wait_s: float, own: OwnStore) -> StepSummary:
    before = await _statuses(own.store, choose)
    if not any(map(_out, before)) or step.stop.exit is not None:
        return _summary(before, before, step.stop, waiting_is_3=True)
    async with running_engines(step.settings, own, clock=step.clock) as engines:
        await run_stages(
            engines,
            lambda engine: [*to_collect(engine), *to_reconcile(engine)],
            until=partial(
                _until_collected, step.reporter, engines, [each.run.id for each in before], wait_s
            ),
            stop=step.stop,
        )
        after = [await own.store.status(each.run.id) for each in before]
        return _summary(before, after, step.stop, engines, waiting_is_3=True)


async def _until_collected(
    reporter: Reporter, engines: Engines, runs: Sequence[int], wait_s: float
) -> None:
    started = engines.clock.monotonic()
    while not engines.over:
        busy = engines.in_flight
        statuses = await look(engines, runs)
        busy += engines.in_flight
        _tell(reporter, engines, statuses, started)
        if statuses is not None and not busy:
            in_doubt = any(each.states[State.UNKNOWN] for each in statuses)
            through = all(_has_looked(engine, in_doubt) for engine in engines.working)
            if (wait_s == 0 and through) or not await _any_out(engines, statuses):
                return
        if 0 < wait_s <= engines.clock.monotonic() - started:
            return
        await engines.rest(LOOK_EVERY_S)


def _has_looked(engine: Engine, in_doubt: bool) -> bool:
    """Whether *engine* has collected what is there now, or nobody is there to be asked."""
    signals = engine.signals
    if signals.unreachable is not None or signals.unwritable is not None:
        return True
    return signals.collected and (signals.reconciled or not in_doubt)


async def _any_out(engines: Engines, statuses: Sequence[RunStatus]) -> bool:
    try:
        return any([_out(status) and await engines.out(status) for status in statuses])
    except StoreUnwritable:
        return True


def _out(status: RunStatus) -> int:
    """Tasks that are at the API, or may be; another worker may be posting some just now."""
    return sum(status.states[each] for each in (State.POSTING, State.POSTED, State.UNKNOWN))


def _tell(
    reporter: Reporter, engines: Engines, statuses: Sequence[RunStatus] | None, began: float
) -> None:
    for status in statuses or ():
        reporter.progress(progress_of(engines, status, engines.clock.monotonic() - began))


async def with_store(step: Step, work: Callable[[OwnStore], Awaitable[T]]) -> T:
    """Do *work* as the store's engine.

    Raises:
        TryLater: another engine holds the store, or the disk is full.
        StoppedEarly: somebody asked to stop before it was free.
        StoreBroken: the store cannot be used.
    """
    async with AsyncExitStack() as stack:
        with store_may_be_full(step.settings):
            opening = own_store(
                step.settings,
                wait_lock_s=step.wait_lock_s,
                clock=step.clock,
                roles=step.roles,
            )
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
    engines: Engines | None = None,
    *,
    posts: int = 0,
    waiting_is_3: bool = False,
) -> StepSummary:
    reasons: list[RunnerError] = []
    if engines is not None:
        found = (engines.reason(status) for status in after)
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
        calls=engines.calls if engines else 0,
        exit=code,
        reason=next((reason for reason in reasons if reason.exit_code is code), None),
    )

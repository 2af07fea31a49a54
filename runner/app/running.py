"""One start of a job, from its input to its exports."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import anyio

from runner.app.ending import exit_of, reason_of
from runner.app.exporting import check_export, export_job_run
from runner.app.opening import OwnStore, own_store, running_engine
from runner.app.starting import begin_run, ceiling_of, for_run, plan_run
from runner.app.supervisor import supervise
from runner.app.values import Reporter, RunOptions, RunSummary, StoppedEarly, StopSwitch
from runner.clock import Clock
from runner.errors import Exit, TryLater
from runner.jobfile.job import Job
from runner.lifecycle import State
from runner.pipeline.engine import Posting, Signals
from runner.pipeline.loader import LoadReport, check_input, load
from runner.settings import Settings
from runner.store.protocol import RetryFilter, Run, RunStatus, StoreUnwritable
from runner.store.sqlite.store import SqliteStore

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Start:
    """One start: what it was asked, with what, and what it has come to so far."""

    job: Job
    options: RunOptions
    settings: Settings
    clock: Clock
    reporter: Reporter
    stop: StopSwitch
    load: LoadReport | None = None
    retried: int = 0
    signals: Signals | None = None


async def run_job(
    job: Job,
    options: RunOptions,
    *,
    settings: Settings,
    clock: Clock,
    reporter: Reporter,
    stop: StopSwitch,
) -> RunSummary:
    """Load what is new, post it, collect, store, export; go on where the last start ended.

    Raises:
        WrongInput: the input has bad rows, or an option does not fit; nothing was sent.
        TryLater: another engine holds the store, or the disk is full.
        StoppedEarly: somebody asked to stop before anything was posted.
        CredentialsRefused: login or password is missing.
        StoreBroken: the store cannot be used.
    """
    start = Start(
        job=job, options=options, settings=settings, clock=clock, reporter=reporter, stop=stop
    )

    async def prepare(store: SqliteStore) -> Run:
        # Whatever may be refused is looked at before the first row is queued.
        planned = await plan_run(store, job, options, settings, clock)
        if options.export:
            check_export(job, planned, options)
        source = None
        if options.key is None:
            source = await check_input(
                for_run(job, planned),
                reporter.problem,
                key_columns=planned.key_columns,
                skip_bad=options.skip_bad,
            )
        run = await begin_run(store, job, planned, clock)
        if source is not None:
            start.load = await load(
                store, for_run(job, run), run, source, clock=clock, limit=options.limit
            )
        if options.changed is not None:
            await store.decide_changes(run.id, options.changed, now=clock.now())
        return run

    return await _carry_out(start, prepare)


async def retry_run(
    job: Job,
    run: Run,
    which: RetryFilter,
    options: RunOptions,
    *,
    settings: Settings,
    clock: Clock,
    reporter: Reporter,
    stop: StopSwitch,
) -> RunSummary:
    """Put unsuccessful tasks of *run* back to pending, then go on with it as any start does.

    Raises:
        As ``run_job``, but for the input, which is not read.
    """
    start = Start(
        job=job, options=options, settings=settings, clock=clock, reporter=reporter, stop=stop
    )

    async def prepare(store: SqliteStore) -> Run:
        start.retried = await store.retry(run.id, which, now=clock.now(), dry=False)
        return run

    return await _carry_out(start, prepare)


async def _carry_out(start: Start, prepare: Callable[[SqliteStore], Awaitable[Run]]) -> RunSummary:
    began = start.clock.monotonic()
    async with AsyncExitStack() as stack:
        with _store_may_be_full(start.settings):
            own, run = await _unless_stopped(start.stop, partial(_open, start, stack, prepare))
            return await _go_on(start, own, run, began)


async def _open(
    start: Start, stack: AsyncExitStack, prepare: Callable[[SqliteStore], Awaitable[Run]]
) -> tuple[OwnStore, Run]:
    own = await stack.enter_async_context(
        own_store(start.settings, wait_lock_s=start.options.wait_lock_s, clock=start.clock)
    )
    return own, await prepare(own.store)


async def _go_on(start: Start, own: OwnStore, run: Run, began: float) -> RunSummary:
    store = own.store
    others = [other for other in await store.runs(job=run.job) if other.id != run.id]
    before = [await store.status(other.id) for other in others]
    status = await store.status(run.id)
    start.reporter.begun(run, start.load, status)
    late_answers = any(other.states[State.POSTED] for other in before)
    if start.stop.exit is None and (_can_move(status) or late_answers):
        await _work(start, own, run, late_answers=late_answers)
    status = await store.status(run.id)
    after = [await store.status(other.id) for other in others]
    changed = [new for old, new in zip(before, after, strict=True) if old.states != new.states]
    files = []
    if start.options.export:
        for touched in (status, *changed):
            files += await export_job_run(store, start.job, touched.run, start.options)
    reason = reason_of(start.signals, status) if start.signals else None
    return RunSummary(
        status=status,
        others=tuple(changed),
        left_over=sum(other.states[State.PENDING] for other in after),
        load=start.load,
        exit=exit_of((status, *changed), start.options, reason=reason, stop=start.stop),
        reason=reason,
        retried=start.retried,
        files=tuple(files),
        elapsed_s=start.clock.monotonic() - began,
        calls=start.signals.calls if start.signals else 0,
    )


def _can_move(status: RunStatus) -> bool:
    """Whether the API is needed: tasks in doubt, and changed ones, wait for somebody else."""
    return status.states[State.POSTED] > 0 or status.states[State.PENDING] > status.held


async def _work(start: Start, own: OwnStore, run: Run, *, late_answers: bool) -> None:
    async with running_engine(start.settings, own, clock=start.clock) as engine:
        start.signals = engine.signals
        await supervise(
            engine,
            Posting(run=run, ceiling=ceiling_of(start.job)),
            start.options,
            reporter=start.reporter,
            stop=start.stop,
            late_answers=late_answers,
        )


async def _unless_stopped(stop: StopSwitch, work: Callable[[], Awaitable[T]]) -> T:
    """Do *work*, unless somebody asks to stop before it is done.

    Raises:
        StoppedEarly: somebody did.
    """
    done: list[T] = []
    failure = None
    async with anyio.create_task_group() as group:

        async def cancel_when_stopped() -> None:
            await stop.wait()
            group.cancel_scope.cancel()

        group.start_soon(cancel_when_stopped)
        try:
            done.append(await work())
        except Exception as error:
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not done:
        raise StoppedEarly(stop.exit or Exit.INTERRUPTED)
    return done[0]


@contextmanager
def _store_may_be_full(settings: Settings) -> Iterator[None]:
    try:
        yield
    except StoreUnwritable as error:
        raise TryLater(
            "the store cannot be written now",
            where=str(settings.store),
            why=error.what,
            how="see to the disk, then start the same command again; nothing is lost",
        ) from error

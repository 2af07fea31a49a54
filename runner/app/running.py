"""One start of a job, or of several together, from their inputs to their exports."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from runner.app.ending import exit_of, incidents_note, quarantine_note
from runner.app.engines import Engines, running_engines
from runner.app.exporting import check_export, export_job_run, folder_of
from runner.app.gateways import needed_gateways
from runner.app.identity import check_identity
from runner.app.left_over import heard, left_over
from runner.app.loading import check_inputs, queue
from runner.app.models import check_models
from runner.app.opening import OwnStore, own_store
from runner.app.receiving import receiving
from runner.app.spending import confirm_spending
from runner.app.starting import ceiling_of, plan_run
from runner.app.stopping import store_may_be_full, unless_stopped
from runner.app.supervisor import supervise
from runner.app.values import Reporter, RunOptions, RunSummary, StopSwitch
from runner.clock import Clock
from runner.errors import WrongInput
from runner.jobfile.job import Job
from runner.lifecycle import State
from runner.pipeline.engine import Posting
from runner.pipeline.loader import LoadReport
from runner.settings import Settings
from runner.store.opening import AnyStore
from runner.store.values import Decision, RetryFilter, Run, RunStatus


@dataclass(slots=True, kw_only=True)
class Start:
    """What one start of some jobs has, and what it has come to so far."""

    settings: Settings
    clock: Clock
    reporter: Reporter
    stop: StopSwitch
    engines: Engines | None = None


@dataclass(slots=True, kw_only=True)
class Part:
    """One job's part in a start."""

    job: Job
    options: RunOptions
    run: Run
    load: LoadReport | None = None
    retried: int = 0


@dataclass(frozen=True, slots=True)
class _Before:
    """Where the other runs of a job stood before the work."""

    part: Part
    others: list[RunStatus]


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
    (summary,) = await run_jobs(
        [(job, options)], settings=settings, clock=clock, reporter=reporter, stop=stop
    )
    return summary


async def run_jobs(
    jobs: Sequence[tuple[Job, RunOptions]],
    *,
    settings: Settings,
    clock: Clock,
    reporter: Reporter,
    stop: StopSwitch,
) -> list[RunSummary]:
    """The same for several jobs in one engine: all are checked before a row of any is queued.

    How long to wait is what the first job's options say.

    Raises:
        WrongInput: as ``run_job``, for any of them, or a job is named twice.
        As ``run_job``.
    """
    start = Start(settings=settings, clock=clock, reporter=reporter, stop=stop)
    refuse_twice(jobs)

    async def prepare(store: AnyStore) -> list[Part]:
        # Whatever may be refused is looked at before the first row is queued.
        planned = []
        for job, options in jobs:
            run = await plan_run(store, job, options, settings, clock)
            if options.export:
                check_export(job, run, options)
            planned.append((job, run, options))
        await check_identity(store, planned, reporter)
        sources = await check_inputs(planned, reporter)
        await check_models(store, planned, reporter, settings=settings, clock=clock)
        parts = []
        for (job, run, options), source in zip(planned, sources, strict=True):
            begun, load = await queue(
                store, job, run, source, options, settings=settings, clock=clock
            )
            parts.append(Part(job=job, options=options, run=begun, load=load))
        for part in parts:
            await _agree(store, part, settings)
        return parts

    return await _carry_out(start, jobs[0][1], prepare)


def refuse_twice(jobs: Sequence[tuple[Job, RunOptions]]) -> None:
    """
    Raises:
        WrongInput: two of *jobs* are the same one.
    """
    seen: set[str] = set()
    for job, _ in jobs:
        if job.name in seen:
            raise WrongInput(
                f"the job {job.name} is named twice",
                why="two job files of one name, or one file given twice, are the same run",
                how="name each once; jobs that differ need names that differ",
            )
        seen.add(job.name)


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
    start = Start(settings=settings, clock=clock, reporter=reporter, stop=stop)

    async def prepare(store: AnyStore) -> list[Part]:
        retried = await store.retry(run.id, which, now=clock.now())
        if not retried:
            reporter.note(f"0 tasks of {run.name} to ask again")
        part = Part(job=job, options=options, run=run, retried=retried)
        await _agree(store, part, settings)
        return [part]

    (summary,) = await _carry_out(start, options, prepare)
    return summary


async def _agree(store: AnyStore, part: Part, settings: Settings) -> None:
    """Keep what this start was given and owes, and have what it may spend agreed to."""
    run, options = part.run, part.options
    if (run.given_budget, run.given_hold) != (options.given_budget, options.given_hold):
        await store.remember_limits(run.id, options.given_budget, options.given_hold)
    if options.export:
        # From here on its files are owed, whoever collects the answers, and should this one die.
        await store.note_export(run.id, folder_of(part.job))
    above = part.job.confirm_above_nanousd
    await confirm_spending(store, run, above, options.confirm, settings)


async def _carry_out(
    start: Start, options: RunOptions, prepare: Callable[[AnyStore], Awaitable[list[Part]]]
) -> list[RunSummary]:
    began = start.clock.monotonic()
    async with AsyncExitStack() as stack:
        with store_may_be_full(start.settings):
            opening = partial(_open, start, stack, options, prepare)
            own, parts = await unless_stopped(start.stop, opening)
            return await _go_on(start, own, parts, began)


async def _open(
    start: Start,
    stack: AsyncExitStack,
    options: RunOptions,
    prepare: Callable[[AnyStore], Awaitable[list[Part]]],
) -> tuple[OwnStore, list[Part]]:
    own = await stack.enter_async_context(
        own_store(start.settings, wait_lock_s=options.wait_lock_s, clock=start.clock)
    )
    # It listens before anything is posted.
    await stack.enter_async_context(
        receiving(
            start.settings,
            own.store,
            options.listen,
            clock=start.clock,
            told=start.reporter.note,
            calls=lambda: start.engines.calls if start.engines else 0,
        )
    )
    return own, await prepare(own.store)


async def _go_on(
    start: Start, own: OwnStore, parts: Sequence[Part], began: float
) -> list[RunSummary]:
    store = own.store
    before = []
    late_answers = can_move = False
    retries: list[Posting] = []
    for part in parts:
        others = [run for run in await store.runs(job=part.run.job) if run.id != part.run.id]
        before.append(_Before(part, [await store.status(run.id) for run in others]))
        late_answers |= any(
            other.states[State.POSTED] or other.states[State.UNKNOWN] for other in before[-1].others
        )
        # What is out may fail yet, and be asked again in this start.
        retries += [
            Posting(run=other.run, ceiling=ceiling_of(part.job), retries_only=True)
            for other in before[-1].others
            if _is_out(other) or await _to_retry(store, other)
        ]
        status = await store.status(part.run.id)
        can_move |= _can_move(status)
        # What was paid twice is asked for, too, even if nothing else is left to do.
        late_answers |= bool(await store.extras_due(1, now=start.clock.now()))
        start.reporter.begun(part.run, part.load, status)
    if start.stop.exit is None and (can_move or late_answers or retries):
        await _work(start, own, parts, retries, late_answers=late_answers)
    return [await _summary(start, store, each, began) for each in before]


async def _summary(start: Start, store: AnyStore, before: _Before, began: float) -> RunSummary:
    part = before.part
    status = await store.status(part.run.id)
    after = [await store.status(other.run.id) for other in before.others]
    left = await left_over(
        store,
        after,
        runs=[part.run, *(other.run for other in after)],
        now_in=part.job.run_key(start.clock.now()),
    )
    ids = [other.run.id for other in after]
    owed = await store.exports_behind(ids, folder_of(part.job)) if part.options.export else []
    changed = [
        new
        for old, new in zip(before.others, after, strict=True)
        if old.states != new.states or new.run.id in owed
    ]
    retried = [other for other in after if await _to_retry(store, other)]
    told = [other for other in after if other in changed or other in retried]
    files = []
    if part.options.export:
        for touched in (status, *changed):
            files += await export_job_run(store, part.job, touched.run, part.options)
    for note in (quarantine_note(status), incidents_note(await store.incidents())):
        if note is not None:
            start.reporter.note(note)
    limit = part.options.limit
    reason = start.engines.reason(status, limit=limit) if start.engines else None
    if reason is None and start.engines:
        # What keeps an earlier run's failures from being asked again does so every night.
        reasons = (start.engines.reason(other) for other in retried)
        reason = next((each for each in reasons if each is not None), None)
    if reason is None and start.engines:
        # The others have taken what was nobody's; the next start may need this one, too.
        for note in start.engines.blocked():
            start.reporter.note(note)
    code = exit_of((status, *told), part.options, reason=reason, stop=start.stop)
    return RunSummary(
        status=status,
        others=tuple(told),
        left_over=left,
        load=part.load,
        exit=heard(code, left),
        reason=reason,
        retried=part.retried,
        files=tuple(files),
        elapsed_s=start.clock.monotonic() - began,
        calls=start.engines.calls if start.engines else 0,
        rejects=part.options.skip_bad if part.load is not None and status.rejected else None,
    )


def _can_move(status: RunStatus) -> bool:
    """Whether the API is needed: tasks that are changed or held wait for a person."""
    return _is_out(status) or status.states[State.PENDING] > status.held


def _is_out(status: RunStatus) -> bool:
    # Another worker may be posting them just now.
    return any(status.states[each] for each in (State.POSTING, State.POSTED, State.UNKNOWN))


async def _to_retry(store: AnyStore, status: RunStatus) -> bool:
    return status.states[State.PENDING] > status.held and await store.to_retry(status.run.id) > 0


async def _work(
    start: Start,
    own: OwnStore,
    parts: Sequence[Part],
    retries: Sequence[Posting],
    *,
    late_answers: bool,
) -> None:
    needs = await needed_gateways(
        own.store,
        [part.run.id for part in parts],
        late_answers=late_answers,
        retries=[posting.run.id for posting in retries],
        clock=start.clock,
    )
    listening = parts[0].options.listen is not None
    async with running_engines(
        start.settings, own, clock=start.clock, needs=needs, listening=listening
    ) as engines:
        start.engines = engines
        await supervise(
            engines,
            [*(Posting(run=part.run, ceiling=ceiling_of(part.job)) for part in parts), *retries],
            parts[0].options,
            reporter=start.reporter,
            stop=start.stop,
            late_answers=late_answers,
            asked=[each.run.id for each in parts if each.options.changed is Decision.ASK],
        )

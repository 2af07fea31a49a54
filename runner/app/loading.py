"""Inputs into the queue: checked whole, then loaded by one process at a time."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from runner.app.identity import check_identity
from runner.app.models import check_models
from runner.app.opening import about_to_load
from runner.app.starting import begin_run, for_run, plan_run
from runner.app.stopping import store_may_be_full, unless_stopped
from runner.app.values import Loaded, Reporter, RunOptions, StopSwitch
from runner.clock import Clock
from runner.errors import TryLater, WrongInput
from runner.jobfile.job import Job
from runner.pipeline.loader import Input, LoadReport, check_input, load
from runner.settings import Settings
from runner.store.lock import LoaderElsewhere
from runner.store.opening import open_store
from runner.store.protocol import TaskStore
from runner.store.values import Decision, Run

LOADER_PATIENCE_S: Final = 600.0
"""How long another load is waited for: loading a million rows takes a few minutes."""


async def check_inputs(
    planned: Sequence[tuple[Job, Run, RunOptions]], reporter: Reporter
) -> list[Input | None]:
    """Check the input of each job whole; None for a run that is only gone on with.

    Raises:
        WrongInput: of one or more; the mistakes of all have been told.
        TryLater: the disk of temporary files is full.
    """
    sources: list[Input | None] = []
    refused = []
    for job, run, options in planned:
        source = None
        try:
            if options.key is None:
                source = await check_input(
                    for_run(job, run),
                    reporter.problem,
                    key_columns=run.key_columns,
                    skip_bad=options.skip_bad,
                    again=options.again,
                )
        except WrongInput as error:
            refused.append(error)
        sources.append(source)
    if len(refused) == 1:
        raise refused[0]
    if refused:
        raise WrongInput(
            f"the inputs of {len(refused)} of {len(planned)} jobs cannot be asked",
            why="; ".join(error.what for error in refused),
            how="correct them; nothing was queued and nothing was sent, of any job",
        )
    return sources


async def queue(
    store: TaskStore,
    job: Job,
    planned: Run,
    source: Input | None,
    options: RunOptions,
    *,
    settings: Settings,
    clock: Clock,
) -> tuple[Run, LoadReport | None]:
    """Begin the run if it is not there yet, and queue what is new in *source*.

    Raises:
        WrongInput: a target asks another API now, or the file changed since it was checked.
        TryLater: another process has been loading for ten minutes.
    """
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(store.loading_alone(wait_s=LOADER_PATIENCE_S))
        except LoaderElsewhere:
            raise TryLater(
                "another process is loading into this store",
                where=settings.store_name,
                how="start the same command again when it is done",
            ) from None
        run = await begin_run(store, job, planned, settings, clock)
        report = None
        if source is not None:
            report = await load(
                store, for_run(job, run), run, source, clock=clock, limit=options.limit
            )
        await decide(store, job, run, source, options, clock)
    return run, report


async def decide(
    store: TaskStore,
    job: Job,
    run: Run,
    source: Input | None,
    options: RunOptions,
    clock: Clock,
) -> None:
    """Ask or keep what was edited, if *options* say which; *source* was loaded just before.

    Who says ask where nothing is undecided, and has said keep before, has thought better of it.

    Raises:
        WrongInput: the file changed since it was checked.
    """
    if options.changed is None:
        return
    asking = options.changed is Decision.ASK
    if asking and source is not None and await store.reconsider(run.id):
        # Of what was kept only the input still has the edit.
        await load(store, for_run(job, run), run, source, clock=clock, limit=options.limit)
    await store.decide_changes(run.id, options.changed, now=clock.now())


async def load_job(
    job: Job,
    options: RunOptions,
    *,
    settings: Settings,
    clock: Clock,
    reporter: Reporter,
    stop: StopSwitch,
) -> Loaded:
    """Queue what is new in *job*'s input and send nothing. An engine may be at work meanwhile.

    Raises:
        WrongInput: the input has bad rows, an option does not fit, or the store was copied from
            another host; nothing was queued.
        TryLater: the disk is full, or another process is loading.
        StoppedEarly: somebody asked to stop; the next load goes on.
        StoreBroken: the store cannot be used.
    """

    async def work() -> Loaded:
        async with open_store(settings.place, clock=clock) as store:
            await about_to_load(store, settings)
            planned = await plan_run(store, job, options, settings, clock)
            parts = [(job, planned, options)]
            await check_identity(store, parts, reporter)
            (source,) = await check_inputs(parts, reporter)
            await check_models(store, parts, reporter, settings=settings, clock=clock)
            run, report = await queue(
                store, job, planned, source, options, settings=settings, clock=clock
            )
            return Loaded(status=await store.status(run.id), load=report)

    with store_may_be_full(settings):
        return await unless_stopped(stop, work)

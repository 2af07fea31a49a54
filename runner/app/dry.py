"""What a start would do: done for real, on a copy of the store that is thrown away."""

from runner.app.identity import check_identity
from runner.app.loading import decide
from runner.app.rehearsing import rehearsal
from runner.app.starting import begin_run, for_run, plan_run
from runner.app.values import DryRun, Reporter, RunOptions
from runner.clock import Clock
from runner.jobfile.job import Job
from runner.lifecycle import State
from runner.pipeline.loader import LoadReport, check_input, load
from runner.reports.estimate import estimate
from runner.settings import Settings
from runner.store.values import Added


async def dry_run(
    job: Job, options: RunOptions, *, settings: Settings, clock: Clock, reporter: Reporter
) -> DryRun:
    """Count what starting *job* now would queue and post. Nothing is sent, nothing is kept.

    Raises:
        WrongInput: as ``run_job`` would.
    """
    report = LoadReport(added=Added(), rejected=0, unchanged=True)
    async with rehearsal(job, options, settings=settings, clock=clock) as copy:
        store = copy.store
        run = await plan_run(store, job, options, settings, clock)
        source = None
        await check_identity(store, [(job, run, options)], reporter)
        if options.key is None:
            source = await check_input(
                for_run(job, run),
                reporter.problem,
                key_columns=run.key_columns,
                skip_bad=options.skip_bad and copy.folder / "rejects",
                again=options.again,
            )
            run = await begin_run(store, job, run, settings, clock)
            report = await load(
                store, for_run(job, run), run, source, clock=clock, limit=options.limit
            )
        await decide(store, job, run, source, options, clock)
        status = await store.status(run.id)
        left = [estimate(each) for each in await store.target_history(run.id)]
    if status.paused is not None:
        left = []
    return DryRun(
        run=status.run.name,
        rows=status.rows,
        new=report.added.new,
        known=report.added.known if not report.unchanged else status.tasks,
        changed=status.changed,
        gone=status.gone,
        rejected=report.rejected,
        duplicates=status.duplicates,
        to_post=status.states[State.PENDING] - status.held,
        hold_nanousd=sum(each.hold for each in left),
        calls=sum(each.posts + each.fetches for each in left),
    )

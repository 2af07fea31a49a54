"""Where a start writes the answers, and whether it may: seen before anything is sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from runner.app.values import RunOptions
from runner.jobfile.job import Job
from runner.reports.export import export_name, export_run
from runner.reports.files import OutputFile, Unwritable
from runner.store.protocol import TaskStore
from runner.store.values import Run, StoreUnwritable

log = structlog.get_logger()


def check_export(job: Job, run: Run, options: RunOptions) -> None:
    """Make sure that the run's files may be written at the end.

    Raises:
        WrongInput: a file there is not an earlier export, or the folder cannot be written.
    """
    name = export_name(run)
    for format_ in job.formats:
        file = OutputFile(job.output_dir / f"{name}.{format_}", job=run.job, force=options.force)
        try:
            with _as_a_start_says_it():
                file.begin()
        finally:
            file.discard()


async def export_job_run(store: TaskStore, job: Job, run: Run, options: RunOptions) -> list[Path]:
    """Write the run as the job says, and note what the files show; returns them.

    Raises:
        WrongInput: a file may not be written there.
        TryLater: the disk is full or failing.
    """
    # Read before the first line: what comes in meanwhile may be in the files, or not.
    mark = await store.export_mark(run.id)
    with _as_a_start_says_it():
        exported = await export_run(
            store,
            run,
            folder=job.output_dir,
            formats=job.formats,
            raw_cells=options.raw_cells,
            force=options.force,
        )
    try:
        await store.note_export(run.id, folder_of(job), mark)
    except StoreUnwritable as error:
        log.warning("export.not_noted", run=run.name, error=error.what)
    return [file.path for file in exported]


def folder_of(job: Job) -> str:
    """What the folder of the job's files is called in the store."""
    return str(job.output_dir.absolute())


@contextmanager
def _as_a_start_says_it() -> Iterator[None]:
    """A start names a folder where ``export`` names a file, and may do without."""
    try:
        yield
    except Unwritable as error:
        raise Unwritable(
            error.what,
            where=error.where,
            why=error.why,
            how="name a folder that is writable: -o DIR; or leave the files out: --no-export",
        ) from error

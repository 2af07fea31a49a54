"""Whether a start is of the job that its name belongs to, before anything of it is queued.

    the job's name ── of another file, still there and still of that name? ──▶ refused

Names are what a job is known by (DESIGN.md §10). One that two files have makes their prompts one
run, under the limits of whichever was started last.
"""

import filecmp
import re
import shlex
import tomllib
from collections.abc import Iterable
from pathlib import Path

from runner.app.values import Reporter, RunOptions
from runner.errors import WrongInput
from runner.jobfile import Job
from runner.jobfile.find import relative
from runner.jobfile.values import is_name
from runner.store.protocol import TaskStore
from runner.store.values import Run, is_job_file


async def check_identity(
    store: TaskStore, planned: Iterable[tuple[Job, Run, RunOptions]], reporter: Reporter
) -> None:
    """Refuse what would be asked under a name that is another's.

    Raises:
        WrongInput: a job's name belongs to another file; nothing was queued.
    """
    for job, _, options in planned:
        known = [run.source for run in await store.runs(job=job.name)]
        if known and known[-1] and options.source:
            _check_source(job, Path(known[-1]), Path(options.source), reporter)


def _check_source(job: Job, old: Path, new: Path, reporter: Reporter) -> None:
    """Whether *new* may go on with what was started from *old*: it is the same, or took its place.

    Raises:
        WrongInput: *old* is another job of that name, or other data.
    """
    if old == new or not old.is_file() or _same_file(old, new):
        return
    if is_job_file(old) and _name_in(old) not in (job.name, None):
        return
    if is_job_file(old) and is_job_file(new) and old.name == new.name:
        # A workspace that was copied to where it runs from now on; one that is not a copy looks
        # the same, so it is said.
        reporter.note(
            f"{job.name} goes on from {relative(new)}; until now it was {relative(old)}, which is "
            "still there. Two jobs need names that differ"
        )
        return
    if not is_job_file(old) and _asks(job, old, new):
        return
    raise WrongInput(
        f"the job {job.name} is {relative(old)}, and {relative(new)} is another one of that name",
        why="both would be one run, under the limits of whichever was started last",
        how=_way_on(job, old, new),
    )


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _name_in(path: Path) -> object:
    """The job that the file *path* says it is; None if it does not say."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig")).get("name")
    except (OSError, ValueError, RecursionError):
        return None


def _asks(job: Job, data: Path, new: Path) -> bool:
    """Whether the prompts in *data* are what *job*, started from *new*, asks."""
    if is_job_file(new):
        return any(_same_file(data, file.path) for file in job.input.files)
    try:
        return filecmp.cmp(data, new, shallow=False)
    except OSError:
        return False


def _way_on(job: Job, old: Path, new: Path) -> str:
    if is_job_file(new):
        return (
            f'give it a name of its own: name = "…"   (if it takes the place of {relative(old)}, '
            "move that one away)"
        )
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{new.parent.name}-{job.name}").strip("-")
    own = name if is_name(name) else "NAME"
    make = shlex.join(["runner", "init", "--from", relative(new), "--job", own])
    return f"make it a job file with a name of its own: {make}"

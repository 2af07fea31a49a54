"""Whether names mean what they meant at the start before, looked at before anything is queued.

    the job's name ── of another file, still there and still of that name? ──▶ refused
    a new target ──── asks what one asks that is gone from the job? ─────────▶ refused

Names are what jobs and targets are known by (DESIGN.md §10). A name that two files have makes their
prompts one run, under the limits of whichever was started last; a target of another name asks, and
pays for, everything again.
"""

import filecmp
import re
import shlex
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from runner.app.values import Reporter, RunOptions
from runner.errors import WrongInput
from runner.jobfile import Job, findings_about
from runner.jobfile.find import relative
from runner.jobfile.values import is_name
from runner.store.protocol import TaskStore
from runner.store.values import Run, is_job_file
from runner.task import Target


async def check_identity(
    store: TaskStore,
    planned: Iterable[tuple[Job, Run, RunOptions]],
    reporter: Reporter,
    *,
    planning: bool = False,
) -> None:
    """Refuse a start under a name that is another's, or that would ask the same under a new one.

    *planning*: a target that looks renamed is only told, as what it would cost is the question.

    Raises:
        WrongInput: a job's name belongs to another file, a target looks renamed, or ``--pay-again``
            was said and there is nothing to insist on; nothing was queued.
    """
    for job, run, options in planned:
        known = [run.source for run in await store.runs(job=job.name)]
        if known and known[-1] and options.source:
            _check_source(job, Path(known[-1]), Path(options.source), reporter)
        goes_on = run.id and options.key is None
        renamed = await store.renamed_targets(run.id, job.targets) if goes_on else []
        if options.pay_again and not options.fresh and not renamed:
            raise WrongInput(
                "--pay-again goes with --fresh, or with a target under a new name",
                how="runner run --help",
            )
        if renamed and not options.pay_again and not planning:
            raise _renamed(job, renamed)
        for old, target in renamed:
            way = "run does so only with --pay-again" if planning else "as --pay-again says"
            reporter.note(f'"{target.name}" {_looks(old)}; {way}')


def _renamed(job: Job, renamed: Sequence[tuple[str, Target]]) -> WrongInput:
    findings = findings_about(job)
    numbers = {target.name: number for number, target in enumerate(job.targets)}
    for old, target in renamed:
        findings.add(("targets", numbers[target.name]), f'"{target.name}" {_looks(old)}')
    keep = " and ".join(f'name = "{old}"' for old, _ in renamed)
    findings.how = f"keep the old name: {keep}   (if another answer is meant: --pay-again)"
    return findings.error()


def _looks(old: str) -> str:
    return (
        f'looks like "{old}" under a new name: it asks the same, and would ask, and pay for, every '
        "row again"
    )


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

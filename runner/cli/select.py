"""Which run RUN or JOB means: ``brand-watch@2026-11-21``, ``brand-watch``, ``r42``, a job file."""

import re
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from runner.errors import WrongInput
from runner.store.values import Run

_NUMBER: Final = re.compile(r"r([0-9]{1,18})")
_NAME: Final = re.compile(r"(?P<job>[^@~]+)(?:@(?P<key>[^~]+))?(?:~(?P<fresh>[0-9]{1,9}))?")


def matching(reference: str | None, runs: Sequence[Run]) -> list[Run]:
    """The runs that *reference* means, oldest first; all of them if it is None.

    A JOB means all runs of the job, a RUN the newest one of that name, ``JOB~N`` the N-th fresh.

    Raises:
        WrongInput: it means none.
    """
    if reference is None:
        return list(runs)
    found = _found(reference, runs)
    if not found:
        raise _unknown(reference, runs)
    return found


def newest(reference: str | None, runs: Sequence[Run]) -> Run:
    """The one run that *reference* means, the newest where several would do.

    Raises:
        WrongInput: there is none.
    """
    found = matching(reference, runs)
    if not found:
        raise WrongInput("nothing was run in this store yet", how="runner run demo --api sim")
    return max(found, key=lambda run: run.id)


def job_name(reference: str) -> str | None:
    """The job's name within *reference*, if that is the path of a job file or a data file."""
    path = Path(reference)
    if path.suffix.lower() == ".toml" and path.is_file():
        return _name_in(path)
    # Imported here: it brings pydantic, which no help should wait for.
    from runner.jobfile import data_job_name

    return data_job_name(reference)


def job_file(run: Run, *references: str | None) -> str:
    """The file of *run*'s job: the one that a reference names, else where it was when the run was
    started last; else the job's name, for jobs/."""
    for reference in references:
        if reference and job_name(reference) == run.job:
            return reference
    return run.job_file if run.job_file and Path(run.job_file).is_file() else run.job


def _found(reference: str, runs: Sequence[Run]) -> list[Run]:
    number = _NUMBER.fullmatch(reference)
    if number and (exact := [run for run in runs if run.id == int(number[1])]):
        return exact
    if of_job := [run for run in runs if run.job == reference]:
        return of_job
    name = _NAME.fullmatch(reference)
    if name and (name["key"] or name["fresh"]):
        named = [r for r in runs if r.job == name["job"] and r.key == (name["key"] or "")]
        if name["fresh"]:
            return [run for run in named if run.fresh == int(name["fresh"])]
        return named[-1:]
    job = job_name(reference)
    return [run for run in runs if run.job == job]


def _name_in(path: Path) -> str | None:
    try:
        name = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("name")
    except (OSError, ValueError):
        return None
    return name if isinstance(name, str) else None


def _unknown(reference: str, runs: Sequence[Run]) -> WrongInput:
    known = sorted({run.job for run in runs} | {run.name for run in runs})
    near = get_close_matches(reference, known, n=1, cutoff=0.5)
    return WrongInput(
        f"there is no run or job {reference} in this store"
        + (f"; did you mean {near[0]}?" if near else ""),
        why=None if known else "nothing was run in it yet",
        how="see which there are: runner status",
    )

"""``runner schedule``: what cron or systemd needs to start a job every night."""

import getpass
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runner.cli.actions import units
from runner.cli.actions.units import Night
from runner.cli.session import Session
from runner.errors import Exit, WrongInput
from runner.jobfile import Job, load_job
from runner.jobfile.find import Source, find
from runner.jobfile.values import DATE_PLACEHOLDER
from runner.settings import Settings
from runner.settings.endpoint import ApiKind

_OPTIONS: Final = ("--wait", "6h", "--wait-lock", "2h")
"""Jobs of one workspace take turns; the one that comes second waits for the first."""


def schedule(
    session: Session, kind: str, reference: str, *, at: tuple[int, int], user: bool
) -> Exit:
    """Print a crontab line, or a service and a timer; nothing is written.

    Raises:
        WrongInput: the job does not load, or a path cannot stand in such a file.
    """
    settings = session.settings()
    source = find(reference, settings.workspace)
    if source.is_data:
        raise WrongInput(
            f"{reference} is a data file; a night needs a job file, which says whom to ask",
            how=f"runner init --from {reference}",
        )
    job = load_job(reference, workspace=settings.workspace)
    night = _night(settings, source, job, at)
    if kind == "cron":
        files = {"crontab": units.crontab(night)}
    else:
        files = units.systemd(night, user=user, account=_account())
    for note in _notes(job):
        session.voice.note(note)
    if session.voice.json:
        session.voice.document(
            {"schema": "runner.schedule/1", "kind": kind, "job": job.name, "files": files}
        )
    else:
        session.voice.answer("\n".join(files.values()).rstrip("\n"))
    return Exit.DONE


def program() -> tuple[str, ...]:
    """How this very runner is called from anywhere."""
    # Not resolved: the Python of a virtual environment is a link, and knows itself by its place.
    beside = Path(sys.executable).with_name("runner")
    return (str(beside),) if beside.is_file() else (sys.executable, "-m", "runner")


def _account() -> str:
    """Who is at work here; by number where nobody has given a name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _night(settings: Settings, source: Source, job: Job, at: tuple[int, int]) -> Night:
    return Night(
        job=job.name,
        workspace=settings.workspace,
        program=program(),
        shared=tuple(_shared(settings)),
        command=("run", _word(source, settings.workspace), *_OPTIONS),
        at=at,
        variables=tuple(_variables(settings)),
        by_date=DATE_PLACEHOLDER in job.key_template,
    )


def _word(source: Source, workspace: Path) -> str:
    """The job as it is called from the workspace."""
    if source.is_shipped:
        return source.path.stem
    if source.path.is_relative_to(workspace):
        return str(source.path.relative_to(workspace))
    return str(source.path)


def _shared(settings: Settings) -> Iterator[str]:
    """Flags for what holds now by a flag or the environment, and would not hold at night."""
    # Another store would not know what has been asked already, and ask and pay for it again.
    if _passing(settings, "api") or _passing(settings, "base_url"):
        yield from ("--api", str(settings.api))
    if _passing(settings, "store"):
        if settings.server is not None:
            raise WrongInput(
                "the store's address is in a flag or the environment, and the night has neither",
                why="written into the schedule, everybody on this machine could read its password",
                how='set store = "postgresql://…" in runner.toml, readable by you alone',
            )
        yield from ("--store", str(settings.store))


def _passing(settings: Settings, name: str) -> bool:
    origin = settings.origin(name)
    return "(flag)" in origin or "(environment)" in origin


def _variables(settings: Settings) -> Iterator[str]:
    """Variables that the night needs and this start was given, or is missing as well."""
    for name, origin in settings.origins.items():
        if "(environment)" in origin and name not in ("base_url", "store"):
            yield origin.split()[0]
    if settings.api.kind is ApiKind.SIM:
        return
    if "login" not in settings.origins:
        yield "DATAFORSEO_LOGIN"
    if not {"password", "password_file"} & settings.origins.keys():
        yield "DATAFORSEO_PASSWORD_FILE"


def _notes(job: Job) -> Iterator[str]:
    """What surprises people in the morning."""
    if DATE_PLACEHOLDER not in job.key_template:
        yield (
            f"{job.name} has no [run] key with a date: every night goes on with the same run and "
            'asks only what is new; with key = "{{date}}" each UTC day asks everything anew'
        )
    if job.budget_nanousd is None:
        yield f"{job.name} has no budget_usd in [limits]: nothing bounds what a night may cost"

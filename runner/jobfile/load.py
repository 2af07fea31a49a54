"""From JOB on the command line to a checked `Job`, or to every mistake in it at once.

    find ─▶ tomllib ─▶ tables ─▶ targets, columns, folders ─▶ Job
                └─ positions ─── each mistake is placed by its key

A data file needs no job file: the same way is gone with a document made of the flags.
"""

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from runner.errors import Problem, WrongInput
from runner.inputs.stdin import STDIN
from runner.jobfile.assemble import Folders, assemble, assemble_without_input
from runner.jobfile.find import Source, data_job_name, find
from runner.jobfile.findings import Findings
from runner.jobfile.job import Job, Overrides
from runner.jobfile.positions import Path as Key
from runner.jobfile.positions import Positions, scan
from runner.jobfile.reading import read_tables

_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_FLAGS: Final[dict[Key, str]] = {
    ("prompt", "column"): "--column",
    ("input", "encoding"): "--encoding",
    ("input", "delimiter"): "--delimiter",
    ("targets", 0, "provider"): "--provider",
    ("targets", 0, "model"): "--model",
    ("targets", 0, "method"): "--method",
    ("targets", 0, "gateway"): "--gateway",
}


def load_job(ref: str, *, workspace: Path, overrides: Overrides | None = None) -> Job:
    """The job that *ref* stands for: a .toml path, a data file, or the name of a job.

    The input's header is looked at, its rows are not.

    Raises:
        WrongInput: there is no such job, or something in it is wrong; ``problems`` has all of it.
    """
    given = overrides or Overrides()
    source = find(ref, workspace)
    if source.is_data:
        return _of_data_file(ref, source, workspace, given)
    for flag, value in (
        ("--provider", given.provider),
        ("--model", given.model),
        ("--method", given.method),
        ("--gateway", given.gateway),
        ("--column", given.column),
    ):
        if value is not None:
            raise WrongInput(
                f"{flag} is for data files; {source.display} says itself whom to ask and what",
                how=f"edit {source.display}, or leave {flag} out",
            )
    document, positions = _parse(_read(source), source.display)
    findings = Findings(source.display, positions)
    tables = read_tables(document, findings)
    job = assemble(tables, _folders(source, workspace), given, findings)
    return replace(job, positions=positions)


def job_without_input(name: str, *, workspace: Path, overrides: Overrides) -> Job:
    """The job *name* of a data file that was queued before: nothing is left of it but what flags
    say it may spend, and where its files go. It asks nothing.

    Raises:
        WrongInput: a flag is wrong.
    """
    folders = Folders(workspace.absolute(), workspace.absolute())
    return assemble_without_input(name, folders, overrides, _FlagFindings(name))


def findings_about(job: Job) -> Findings:
    """A gathering of mistakes that come to light after *job* was loaded, each placed in its file
    or, where there is none, named as the flag that it is in."""
    return _FlagFindings(job.path) if job.positions is None else Findings(job.path, job.positions)


def _of_data_file(ref: str, source: Source, workspace: Path, given: Overrides) -> Job:
    """A job made of a data file and flags, named after the file.

    Raises:
        WrongInput: a flag is missing or wrong, or the file cannot be read.
    """
    if given.provider is None or given.model is None:
        raise WrongInput(
            f"{source.display} is a data file, and nothing says whom to ask",
            how=shlex.join(
                ["runner", "run", ref, "--provider", "claude", "--model", "claude-sonnet-4-0"]
            ),
        )
    document: dict[str, object] = {
        "name": data_job_name(ref),
        "input": {"file": STDIN if source.is_stdin else str(source.path)},
        "prompt": {"column": given.column or "prompt"},
        "targets": [_target_of_flags(given)],
    }
    findings = _FlagFindings(source.display)
    home = source.path if source.is_stdin else source.path.parent
    folders = Folders(home, workspace.absolute(), input_display=source.display)
    return assemble(read_tables(document, findings), folders, given, findings)


def _target_of_flags(given: Overrides) -> dict[str, object]:
    flags = {
        "provider": given.provider,
        "model": given.model,
        "method": given.method,
        "gateway": given.gateway,
    }
    return {key: value for key, value in flags.items() if value is not None}


def _folders(source: Source, workspace: Path) -> Folders:
    home = source.path.parent
    # A shipped job may lie where nobody can write: its results go where they would if it were
    # one of the workspace's own jobs.
    output = workspace.absolute() / "jobs" if source.is_shipped else home
    return Folders(home=home, output=output)


class _FlagFindings(Findings):
    """Mistakes in what the command line says, where there is no job file to point into."""

    def __init__(self, path: str) -> None:
        super().__init__(path, Positions({}))
        self._said: list[str] = []

    def add(self, key: Key, message: str) -> None:
        self._said.append(f"{_FLAGS[key]}: {message}" if key in _FLAGS else message)

    @property
    def any(self) -> bool:
        return bool(self._said) or super().any

    def error(self) -> WrongInput:
        if not self._said:
            return super().error()
        return WrongInput("; ".join(self._said), problems=self._of_inputs(), how=self.how)


def _read(source: Source) -> str:
    """The text of a job file.

    Raises:
        WrongInput: it cannot be read, or is not UTF-8.
    """
    try:
        data = source.path.read_bytes()
    except OSError as error:
        raise WrongInput(f"{source.display} cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"byte 0x{data[error.start]:02X} is not UTF-8; save the file as UTF-8"
        raise _unreadable(Problem(source.display, line, column, message)) from error


def _parse(text: str, display: str) -> tuple[Mapping[str, object], Positions]:
    """The document, its decimal fractions exact, and where its keys stand.

    Raises:
        WrongInput: it is not TOML.
    """
    try:
        document = tomllib.loads(text, parse_float=Decimal)
        return document, scan(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(_syntax_problem(str(error), text, display)) from error
    except (ValueError, InvalidOperation) as error:
        message = "holds a number too long to be read"
        raise _unreadable(Problem(display, 1, 1, message)) from error
    except RecursionError as error:
        message = "is nested too deeply to be a job file"
        raise _unreadable(Problem(display, 1, 1, message)) from error


def _syntax_problem(message: str, text: str, display: str) -> Problem:
    place = _PLACE.search(message)
    said = f"not TOML: {_PLACE.sub('', message)}"
    if place is None or place[1] is None:
        lines = text.rstrip("\r\n").split("\n")
        return Problem(display, len(lines), len(lines[-1]) + 1, f"{said}, at the end of the file")
    return Problem(display, int(place[1]), int(place[2]), said)


def _unreadable(problem: Problem) -> WrongInput:
    return WrongInput(f"{problem.path} cannot be read as a job file", problems=[problem])

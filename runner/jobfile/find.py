"""What JOB on the command line means: a job file, a data file, ``-``, or the name of a job."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner import resources
from runner.errors import WrongInput
from runner.inputs.formats import SUFFIXES, is_prompt_file
from runner.inputs.stdin import DISPLAY, STDIN
from runner.jobfile import values
from runner.jobfile.findings import nearest

STDIN_NAME: Final = "stdin"
"""The job that standard input alone makes."""

_KINDS: Final = "a job file (.toml) nor a data file (.csv, .tsv, .jsonl, .json, or .gz of these)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The file that JOB stands for."""

    path: Path
    """Absolute; of standard input, the workspace."""
    display: str
    """As the person wrote it, or relative to the current folder."""
    is_data: bool = False
    """A data file, to be asked without any job file."""
    is_stdin: bool = False
    """As *is_data*, for standard input."""
    is_shipped: bool = False
    """It came with runner; its folder may be read-only."""


def find(ref: str, workspace: Path) -> Source:
    """The file that *ref* stands for: a path, ``-``, or a job of *workspace*, or a shipped one.

    Raises:
        WrongInput: there is no such file or job, or it is of a kind that cannot be read.
    """
    if ref == STDIN:
        return Source(path=workspace.absolute(), display=DISPLAY, is_data=True, is_stdin=True)
    path = Path(ref)
    if path.suffix.lower() == ".toml":
        return Source(path=_existing(path, "job file", (".toml",)), display=ref)
    if is_prompt_file(ref):
        return Source(path=_existing(path, "data file", SUFFIXES), display=ref, is_data=True)
    if path.name != ref or path.is_file():
        there = path.exists()
        raise WrongInput(f"{ref} is neither {_KINDS}" if there else f"there is no file {ref}")
    return _named(ref, workspace)


def data_job_name(ref: str) -> str | None:
    """The name of the job that *ref* makes without a job file; None if it is no data file.

    Whether there is such a file is not looked at.
    """
    if ref == STDIN:
        return STDIN_NAME
    if not is_prompt_file(ref):
        return None
    stem = Path(ref).name.split(".")[0]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-")[:64]
    return name if values.is_name(name) else "prompts"


def _named(name: str, workspace: Path) -> Source:
    own = workspace.absolute() / "jobs" / f"{name}.toml"
    if own.is_file():
        return Source(path=own, display=relative(own))
    shipped = resources.shipped_job(name)
    if shipped is not None:
        return Source(path=shipped, display=relative(shipped), is_shipped=True)
    known = sorted({p.stem for p in [*own.parent.glob("*.toml"), *resources.shipped_jobs()]})
    raise WrongInput(
        f'there is no job "{name}"{nearest(name, known)}',
        where=relative(own.parent),
        why=f"jobs there are: {', '.join(known)}" if known else None,
        how="runner run PATH.toml, or runner run DATA.csv --provider … --model …",
    )


def _existing(path: Path, kind: str, suffixes: Iterable[str]) -> Path:
    """*path*, absolute.

    Raises:
        WrongInput: no file is there.
    """
    if path.is_file():
        return path.absolute()
    names = [p.name for p in _folder(path.parent)]
    beside = [name for name in names if name.lower().endswith(tuple(suffixes))]
    raise WrongInput(f"there is no {kind} {path}{nearest(path.name, beside)}")


def _folder(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else []


def relative(path: Path) -> str:
    """*path* from the current folder if it lies in it, else in full."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)

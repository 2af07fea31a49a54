"""What JOB on the command line means: a job file, a data file, or the name of a job."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner import resources
from runner.errors import WrongInput
from runner.jobfile.findings import nearest

DATA_SUFFIXES: Final = (".csv", ".jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The file that JOB stands for."""

    path: Path
    """Absolute."""
    display: str
    """As the person wrote it, or relative to the current folder."""
    is_data: bool = False
    """A data file, to be asked without any job file."""
    is_shipped: bool = False
    """It came with runner; its folder may be read-only."""


def find(ref: str, workspace: Path) -> Source:
    """The file that *ref* stands for: a path, or a job of *workspace*, or a shipped one.

    Raises:
        WrongInput: there is no such file or job, or it is of a kind that cannot be read.
    """
    path = Path(ref)
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return Source(path=_existing(path, "job file", (".toml",)), display=ref)
    if suffix in DATA_SUFFIXES:
        return Source(path=_existing(path, "data file", DATA_SUFFIXES), display=ref, is_data=True)
    if path.name != ref or path.is_file():
        what = "neither a job file (.toml) nor a data file (.csv, .jsonl)"
        raise WrongInput(f"{ref} is {what}" if path.exists() else f"there is no file {ref}")
    return _named(ref, workspace)


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
    beside = [p.name for p in _folder(path.parent) if p.suffix.lower() in suffixes]
    raise WrongInput(f"there is no {kind} {path}{nearest(path.name, beside)}")


def _folder(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else []


def relative(path: Path) -> str:
    """*path* from the current folder if it lies in it, else in full."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)

"""``runner init``: a workspace with a job in it. What stands there already stays as it is."""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runner.cli.actions import first_files
from runner.cli.actions.first_files import Plan
from runner.cli.actions.prompt_column import Found, prompt_column
from runner.cli.layout import count, pairs
from runner.cli.session import Session
from runner.errors import Exit, WrongInput
from runner.inputs.table import Table, open_table
from runner.jobfile.findings import listed
from runner.jobfile.values import is_name
from runner.logs import printable
from runner.settings import FILE_NAME

if TYPE_CHECKING:
    from runner.cli.commands.init import InitOptions

_EXAMPLE: Final = "data/brands.csv"
_KEYS: Final = ("id", "key", "qid", "row_id")
_COLUMNS_OF_JSON: Final = 200
"""Most that are looked at where each row brings its own names."""


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to tell about a prompt file."""

    table: Table
    columns: tuple[str, ...]
    rows: int
    rejected: int
    found: Found

    def __str__(self) -> str:
        delimiter = self.table.delimiter
        between = {None: "", "\t": ", tabs"}.get(delimiter, f', "{delimiter}"')
        bad = f" ({self.rejected:,} cannot be read)" if self.rejected else ""
        return (
            f"{printable(self.table.display)}: {self.table.encoding.upper()}{between}, "
            f"{count(self.rows, 'row')}{bad}, columns {listed(self.columns)}"
        )


@dataclass(slots=True)
class Made:
    """What was written, and what stood there already; paths from the workspace."""

    folder: Path
    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    def write(self, name: str, content: str | Path) -> None:
        """Write a text, or copy a file, to *name* unless something stands there.

        Raises:
            WrongInput: it cannot be written.
        """
        path = self.folder / name
        if os.path.lexists(path):
            self.kept.append(name)
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_new(path, content)
        except OSError as error:
            raise WrongInput(
                f"{path} cannot be written: {error.strerror or error}",
                why=f"written before: {', '.join(self.made)}" if self.made else None,
                how="make room or get the right to write there, then the same command again",
            ) from error
        self.made.append(name)


def _write_new(path: Path, content: str | Path) -> None:
    """All of *content* to a file that is not there yet, or no file.

    Raises:
        OSError: it cannot be written, or is there.
    """
    with path.open("xb") as file:
        try:
            if isinstance(content, str):
                file.write(content.encode())
            else:
                with content.open("rb") as source:
                    shutil.copyfileobj(source, file)
        except OSError:
            path.unlink()
            raise


def init(session: Session, folder: Path, given: "InitOptions") -> Exit:
    """Make a workspace in *folder*.

    Raises:
        WrongInput: a name or the prompt file is wrong, then nothing was written; or writing failed.
    """
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise WrongInput(f"{folder} is not a folder", how="runner init DIR")
    work = Made(folder)
    name = _job_name(given)
    job = f"jobs/{name}.toml"
    stands = os.path.lexists(folder / job)
    source = _source(folder, given, stands=stands)
    look = _look(source, given) if source else None
    if stands:
        work.kept.append(job)
        if given["from_file"] is None:
            _example_again(work, folder / job)
    else:
        work.write(job, _job_file(work, name, job, source, look, given))
    work.write(FILE_NAME, first_files.SETTINGS)
    work.write(".gitignore", first_files.IGNORED)
    _tell(session, work, job, look)
    return Exit.DONE


def _job_name(given: "InitOptions") -> str:
    """What ``--job`` says, else the name of the file.

    Raises:
        WrongInput: it is no name for a job.
    """
    if given["job"] is not None:
        if not is_name(given["job"]):
            raise WrongInput(
                f"--job {given['job']}: a job's name has 1 to 64 letters, digits, '.', '_' or "
                "'-', and starts with none of '.-'"
            )
        return given["job"]
    if given["from_file"] is None:
        return "example"
    stem = given["from_file"].name.split(".")[0]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-")[:64]
    return name if is_name(name) else "prompts"


def _source(folder: Path, given: "InitOptions", *, stands: bool) -> Path | None:
    """The prompt file to make the job for; None for the example's, or if the job *stands* already.

    Raises:
        WrongInput: options for a file were given, and no file.
    """
    if given["from_file"] == Path("-"):
        raise WrongInput(
            "--from takes a file: a job finds its data again at every start",
            how="write it to a file first, then runner init --from FILE",
        )
    if given["from_file"] is not None:
        return given["from_file"]
    for option, value in (("encoding", given["encoding"]), ("delimiter", given["delimiter"])):
        if value is not None:
            raise WrongInput(f"--{option} goes with --from", how="runner init --help")
    own = folder / "data" / "brands.csv"
    # Somebody's own file of that name is what the example job would ask.
    mine = own.is_file() and _head_of(own) != first_files.EXAMPLE_CSV.encode()
    return own if mine and not stands else None


def _head_of(path: Path) -> bytes:
    """Enough of a file to tell whether it is the example."""
    try:
        with path.open("rb") as file:
            return file.read(len(first_files.EXAMPLE_CSV.encode()) + 1)
    except OSError:
        return b""


def _look(path: Path, given: "InitOptions") -> Look:
    """Read all of *path* once.

    Raises:
        WrongInput: it cannot be read, or nothing in it is text.
    """
    table = open_table(
        path,
        display=str(path),
        encoding=given["encoding"],
        delimiter=given["delimiter"],
    )
    rows = rejected = 0
    sample: list[dict[str, object]] = []
    for chunk in table.chunks():
        sample = sample or [row.cells for row in chunk.rows]
        rows += len(chunk.rows) + len(chunk.rejects)
        rejected += len(chunk.rejects)
    names = table.columns or tuple(dict.fromkeys(name for row in sample for name in row))
    columns = names[:_COLUMNS_OF_JSON]
    found = prompt_column(columns, sample)
    if found is None:
        raise WrongInput(
            f"{path} has no column with text in it, so there is nothing to ask",
            where=f"columns {listed(columns)}" if columns else None,
            how="put the prompts into a column called prompt, then the same command again",
        )
    return Look(table, columns, rows, rejected, found)


def _job_file(
    work: Made, name: str, job: str, source: Path | None, look: Look | None, given: "InitOptions"
) -> str:
    """The text of the job file; the data that it speaks of is put in place.

    Raises:
        WrongInput: the data cannot be written.
    """
    if source is None or look is None:
        work.write(_EXAMPLE, first_files.EXAMPLE_CSV)
        return first_files.job_file(
            Plan(
                name=name,
                path=job,
                file=f"../{_EXAMPLE}",
                column=first_files.EXAMPLE_COLUMN,
                key="id",
            )
        )
    return first_files.job_file(
        Plan(
            name=name,
            path=job,
            file=_data(work, source),
            column=look.found.column,
            key=next((c for c in look.columns if c.casefold() in _KEYS), look.columns[0]),
            encoding=given["encoding"],
            delimiter=given["delimiter"],
        )
    )


def _example_again(work: Made, job: Path) -> None:
    """Name the example's data as left, or make it again if *job*, which stands, still reads it.

    Raises:
        WrongInput: it cannot be written.
    """
    try:
        reads_it = f"../{_EXAMPLE}" in job.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        reads_it = False
    if reads_it or os.path.lexists(work.folder / _EXAMPLE):
        work.write(_EXAMPLE, first_files.EXAMPLE_CSV)


def _data(work: Made, source: Path) -> str:
    """Where the job finds *source*, from its folder; it is copied into the workspace if need be.

    Raises:
        WrongInput: the copy cannot be written.
    """
    folder, given = Path(os.path.abspath(work.folder)), Path(os.path.abspath(source))
    if not given.is_relative_to(folder):
        work.write(f"data/{given.name}", given)
        copy = folder / "data" / given.name
        # Another file of that name: it stays, and the job speaks of the one that was named.
        given = copy if _same(copy, given) else given
    return Path(os.path.relpath(given, folder / "jobs")).as_posix()


def _same(one: Path, other: Path) -> bool:
    import filecmp

    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _tell(session: Session, work: Made, job: str, look: Look | None) -> None:
    voice = session.voice
    column = look.found.column if look else first_files.EXAMPLE_COLUMN
    if look and not look.found.by_name and job in work.made:
        voice.note(
            f"no column is called prompt, question, query or text: {job} asks the first one that "
            f"reads like it, {printable(column)}; edit [prompt] column in it if that is wrong"
        )
    if work.kept:
        voice.note(f"left as it was: {', '.join(work.kept)}")
    keys: dict[str, object] = {"dir": str(work.folder), "job": job}
    told = {"column": column, "rows": look.rows} if look else {}
    if voice.json:
        voice.document(
            {"schema": "runner.init/1", **keys, "made": work.made, "kept": work.kept, **told}
        )
    elif not voice.for_people:
        counts = {"files": len(work.made), "kept": len(work.kept)}
        voice.answer(pairs("init", {**keys, **counts, **told}))
    else:
        voice.answer("\n".join(_for_people(work, job, look)))


def _for_people(work: Made, job: str, look: Look | None) -> Iterator[str]:
    if look:
        yield f"✓ read {look}"
        if job in work.made:
            yield f"✓ prompts are in column {printable(look.found.column)}"
    if work.made:
        yield "  ".join(f"✓ {name}" for name in work.made)
    here = Path(os.path.abspath(work.folder)) == Path.cwd()
    steps = [] if here else [f"cd {shlex.quote(str(work.folder))}"]
    steps += [f"runner check {job}", f"runner run {job} --api sim"]
    yield f"next: {steps[0]}"
    yield from (f"      {step}" for step in steps[1:])

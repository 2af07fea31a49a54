"""The files of a job's input: which they are, and the table that they make together.

    [input] file ── names, patterns ──▶ files ── looked at one by one ──▶ Table

Standard input is not looked at before it is to be read: it may be the user's terminal, or a pipe
that says nothing for hours, and commands such as `export` load a job without any need of its rows.
"""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.errors import WrongInput
from runner.inputs.product import Product
from runner.inputs.prompt_file import PromptFile, open_file, open_stdin
from runner.inputs.stdin import STDIN
from runner.inputs.table import Table
from runner.jobfile.columns import no_column
from runner.jobfile.find import relative
from runner.jobfile.findings import Findings, shown
from runner.jobfile.job import InputFile, InputSpec
from runner.jobfile.positions import Path as Key


@dataclass(frozen=True, slots=True)
class Found:
    """A file that the job file names."""

    path: Path
    key: Key
    """What names it."""

    def as_input(self, display: str | None) -> InputFile:
        """With what messages call it: *display*, else its path."""
        return InputFile(path=self.path, display=display or relative(self.path))


def find_files(
    file: str | Sequence[str], home: Path, findings: Findings, *, at: Key = ("input", "file")
) -> list[Found]:
    """The files that *file*, the value of *at*, names, relative to *home*; none for standard input.

    Those of a pattern come sorted by name, none comes twice. A pattern that no file matches goes
    to *findings*.
    """
    if file == STDIN:
        return []
    if isinstance(file, str):
        named: list[tuple[Key, str]] = [(at, file)]
    else:
        named = [((*at, number), name) for number, name in enumerate(file)]
    found: dict[Path, Found] = {}
    for key, name in named:
        paths = _matching(name, home)
        if not paths:
            findings.add(key, f"no file matches {shown(name)} in {relative(home)}")
        for path in paths:
            found.setdefault(path, Found(path, key))
    return list(found.values())


def _matching(name: str, home: Path) -> list[Path]:
    """The file called *name*, whether it is there or not; for a pattern, those that match."""
    path = Path(os.path.normpath(home / name))
    # A file whose name looks like a pattern is still a file.
    if not glob.has_magic(name) or os.path.lexists(path):
        return [path]
    matches = glob.iglob(name, root_dir=home, recursive=True)
    paths = {Path(os.path.normpath(home / match)) for match in matches}
    return sorted(path for path in paths if not path.is_dir())


def look_at(spec: InputSpec, found: Sequence[Found], findings: Findings) -> Table | None:
    """The table of the files *found*, those of *spec*; None if there is none to look at yet.

    Each file that cannot be read goes to *findings*, at the key that names it.
    """
    opened: list[PromptFile] = []
    for place, file in zip(found, spec.files, strict=True):
        try:
            opened.append(_open(spec, file, opened))
        except WrongInput as error:
            findings.add_input(place.key, error)
    complete = opened and len(opened) == len(found)
    return Table(opened, spec.display) if complete else None


def open_input(spec: InputSpec) -> Table:
    """The table of a job's input. Standard input is read to its end first, which may take long.

    Raises:
        WrongInput: there is no such file, it cannot be read as a table, or lacks a column.
        TryLater: the disk of temporary files is full.
    """
    table = _table(spec)
    if spec.questions is not None:
        second = _table(spec.questions)
        if shared := clash(table, second):
            raise WrongInput(
                f'column "{shared}" is in {table.display} and in {second.display}',
                how="rename it in one of them",
            )
        table = Product(table, second, spec.combine)
    columns = table.columns
    missing = [] if columns is None else [name for name in spec.columns if name not in columns]
    if columns is not None and missing:
        raise WrongInput(
            no_column(missing[0], table.display, columns),
            how="give it that column, or name another: [prompt] column, or --column",
        )
    return table


def clash(first: Table, second: Table) -> str | None:
    """A column of both headers; None if there is none, or no header to tell from."""
    names = first.columns or ()
    return next((name for name in names if name in (second.columns or ())), None)


def _table(spec: InputSpec) -> Table:
    opened: list[PromptFile] = []
    for file in spec.files:
        opened.append(_open(spec, file, opened))
    if not opened:
        opened.append(open_stdin(encoding=spec.encoding, delimiter=spec.delimiter))
    return Table(opened, spec.display)


def _open(spec: InputSpec, file: InputFile, before: Sequence[PromptFile]) -> PromptFile:
    return open_file(
        file.path,
        encoding=spec.encoding,
        delimiter=spec.delimiter,
        display=file.display,
        like=before[0] if before else None,
    )

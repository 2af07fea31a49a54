"""Prompts as a table, from one file or several: opened once, read as often as wanted, in chunks.

    table = open_table(Path("prompts.csv"))
    for chunk in table.chunks():
        ...                            # chunk.rows, chunk.rejects
    seen = table.digest()              # of the bytes that were read
    ...                                # a second pass
    table.check_unchanged(seen)        # it read the very same bytes

Plain blocking code: the caller takes one chunk per hop to a worker thread (PERFORMANCE.md §1).
"""

import hashlib
from bisect import bisect_left
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from runner.inputs.origin import changed
from runner.inputs.prompt_file import PromptFile, open_file
from runner.inputs.rows import Chunk

CHUNK: Final = 1000
"""Rows per chunk."""


def open_table(
    path: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    display: str | None = None,
) -> "Table":
    """Look at the start of a prompt file: format, encoding, and for CSV delimiter and header.

    The format goes by the end of the name. *encoding* and *delimiter* are what the user insists
    on; without them the file has to be plain about it. *display* is the file as the user named
    it, for messages; by default the path.

    Raises:
        WrongInput: there is no such file, or it cannot be read as a table; says how to go on.
    """
    return Table([open_file(path, encoding=encoding, delimiter=delimiter, display=display)])


class Table:
    """Prompts of one shape: what they look like, and their rows as often as they are wanted."""

    def __init__(self, files: Sequence[PromptFile], display: str | None = None) -> None:
        """*files*, one at least, in the order in which they are read.

        All but the first were opened ``like`` the first. *display* is what messages call them
        together; by default the first and the number of others.
        """
        self._files: Final = tuple(files)
        self._display = display or together([file.display for file in files])
        self._ends: list[int] = []
        """The number of the last row of each file that the present or latest pass has read."""
        self._reached = 0
        """How many files that pass has begun to read."""

    @property
    def format(self) -> str:
        """``csv``, ``tsv``, ``jsonl`` or ``json``; of the first file, like all that follow."""
        return self._files[0].format.name

    @property
    def encoding(self) -> str:
        """Python's name of it: ``utf-8``, ``utf-16``, or what was asked for."""
        return self._files[0].encoding

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The header, in order; None for JSON, where each row brings its own names."""
        return self._files[0].reader.columns

    @property
    def textual(self) -> bool:
        """Whether there are cells that are text whatever they mean, as in CSV."""
        return self.columns is not None

    @property
    def files(self) -> tuple[PromptFile, ...]:
        """In the order in which they are read."""
        return self._files

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many rows the latest pass found; of tables that are multiplied, of each."""
        return (self._ends[-1] if self._ends else 0,)

    @property
    def repeating(self) -> str | None:
        """What messages call a table whose rows come again and again, if there is one."""
        return None

    def row_of(self, number: int) -> int:
        """The number in the files of the row that has *number* in here."""
        return number

    @property
    def delimiter(self) -> str | None:
        """What separates the cells; None if nothing does: one column, or JSON."""
        return self._files[0].reader.delimiter

    @property
    def header(self) -> bytes:
        """The top of a file of rejects, in UTF-8: the header as it stands; nothing for JSON."""
        return self._files[0].reader.header

    @property
    def rejects_suffix(self) -> str:
        """How the name of a file of rejects should end, so that it can be read again."""
        return self._files[0].format.rejects

    @property
    def path(self) -> Path:
        """Of the first file."""
        return self._files[0].origin.path

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of all files; what a command must not write over."""
        return tuple(file.origin.path for file in self._files)

    @property
    def display(self) -> str:
        """What messages call all of it."""
        return self._display

    @property
    def size(self) -> int:
        """Bytes of all files, when they were opened; packed ones as they lie."""
        return sum(file.origin.size for file in self._files)

    def display_of(self, number: int) -> str:
        """What messages call the file that row *number* stands in, as the latest pass found."""
        return self._files[min(bisect_left(self._ends, number), len(self._files) - 1)].display

    def chunks(self, size: int = CHUNK) -> Generator[Chunk, None, None]:
        """One pass over all rows, *size* at a time, good and bad together. Blocks.

        A bad row is a reject, never an exception. Numbers go on from file to file, lines do not;
        no chunk has rows of two files.

        Raises:
            WrongInput: a file as a whole is at fault: not in its encoding, without any row,
                damaged, changed since it was opened, or it cannot be read. Chunks that came
                before do not count then.
        """
        self._ends = []
        self._reached = 0
        rows = bytes_before = 0
        for file in self._files:
            self._reached += 1
            with closing(file.chunks(size, rows)) as chunks:
                for chunk in chunks:
                    rows += len(chunk.rows) + len(chunk.rejects)
                    yield Chunk(chunk.rows, chunk.rejects, bytes_before + chunk.bytes_read)
            self._ends.append(rows)
            bytes_before += file.origin.bytes_read

    def digest(self) -> str:
        """SHA-256, in hex, over exactly the bytes that the latest pass read.

        Of several files, over their digests. A pass that was closed early counts with what it had
        read: as much as another one that is closed behind the same row.

        Raises:
            ValueError: no pass has ended yet: a bug of the caller's.
        """
        digests = [file.origin.digest() for file in self._files[: max(1, self._reached)]]
        if len(self._files) == 1:
            return digests[0]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def check_unchanged(self, digest: str | None = None) -> None:
        """Make sure that this is still what was opened: size, time of change, inode of each file.

        *digest*: of an earlier pass; the latest must have read the same bytes.

        Raises:
            WrongInput: it changed while it was being read.
        """
        for file in self._files:
            file.origin.check_unchanged()
        if digest is not None and digest != self.digest():
            raise changed(self.display)


def together(displays: Sequence[str]) -> str:
    """What messages call several files; the first by its name."""
    first, *others = displays
    if not others:
        return first
    return f"{first} and {others[0] if len(others) == 1 else f'{len(others)} other files'}"

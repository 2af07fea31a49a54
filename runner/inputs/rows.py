"""What comes out of a prompt file: rows, rejects, and chunks of both.

A row remembers its raw bytes; where a cell stands is worked out only when somebody has to be told.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from msgspec import Struct

from runner.errors import Problem


class Place(NamedTuple):
    """Where something stands in a file."""

    line: int
    """From 1, as an editor counts: LF, CR LF and a lone CR each end a line."""
    column: int
    """From 1, in characters."""


class Layout(Protocol):
    """What a row needs of its table to say where its cells stand."""

    @property
    def display(self) -> str:
        """The file as the user named it."""

    def place(self, line: int, raw: bytes, name: str | None) -> Place:
        """Where the cell *name* of the row *raw* stands, which starts on *line*."""

    def as_reject(self, raw: bytes) -> bytes:
        """The row *raw* as it is to stand in a file of rejects, below the table's header."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that cannot be used, whole, so that it can be written out as it came."""

    number: int
    """Its place among the rows, from 1; good and bad ones count alike."""
    line: int
    """The line it starts on, from 1."""
    problems: tuple[Problem, ...]
    raw: bytes
    """The row for a file of rejects, line end included, in UTF-8: as read, wherever that can stand
    below the table's header. Of a row over the cap only its start."""
    reread: Callable[[], Iterator[bytes]] | None = None
    """For a row over the cap: reads all of it from the file again, in blocks."""

    def pieces(self) -> Iterator[bytes]:
        """The whole row for a file of rejects, always with a line end.

        In UTF-8, whatever the encoding of the file; a row over the cap comes in blocks.

        Raises:
            WrongInput: the file has changed since, or cannot be read any more.
        """
        last = b""
        for piece in self.reread() if self.reread else (self.raw,):
            yield piece
            last = piece
        if not last.endswith((b"\n", b"\r")):
            yield b"\n"


# A Struct and no dataclass: one is made for every row of the input, and it is made in C.
class Row(Struct, frozen=True, gc=False):
    """One row of the input."""

    number: int
    """Its place among the rows, from 1; good and bad ones count alike."""
    line: int
    """The line it starts on, from 1. A quoted cell may run over several."""
    cells: dict[str, object]
    """CSV: text by column, in the order of its own header. JSON: the object as it stands."""
    raw: bytes
    """The row as read, line end included, in UTF-8."""
    layout: Layout

    def place(self, name: str | None = None) -> Place:
        """Where the cell *name* stands (JSON: a dotted path); the row's start without a name.

        Where there is no such cell, the place of the nearest thing around it.
        """
        return self.layout.place(self.line, self.raw, name)

    def problem(self, message: str, name: str | None = None) -> Problem:
        """A mistake of this row, placed at the cell *name*."""
        place = self.place(name)
        return Problem(self.layout.display, place.line, place.column, message)

    def beside(self, name: str) -> str:
        """Which other row it is paired with, to stand behind a message about the cell *name*."""
        return ""

    def reject(self, problems: Sequence[Problem]) -> Reject:
        """This row as one that cannot be used."""
        return Reject(self.number, self.line, tuple(problems), self.layout.as_reject(self.raw))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows in the order of the file."""

    rows: list[Row]
    rejects: list[Reject]
    """Rows that could not be read; each has its place among the others in ``number``."""
    bytes_read: int
    """Of the file, up to here: for progress. Runs ahead of the rows by up to a block."""

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the rejects, in the order of the file."""
        return [problem for reject in self.rejects for problem in reject.problems]

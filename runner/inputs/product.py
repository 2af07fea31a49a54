"""Two tables read as one: every row with every row of the second, or side by side.

    cross   brands.csv:2 × questions.csv:2, 3, 4 … then brands.csv:3 × …    the second is held
    zip     brands.csv:2 × questions.csv:2, brands.csv:3 × questions.csv:3  neither is held

Rows come out one after the other, so memory grows with the second table alone, which is bounded,
and never with the product. Every message still names the file and line of the cell it is about.
"""

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Final, NoReturn

from runner.errors import Problem, WrongInput
from runner.inputs.rows import Chunk, Place, Reject, Row
from runner.inputs.table import CHUNK, Table

MOST_HELD_ROWS: Final = 10_000
MOST_HELD_BYTES: Final = 16 * 1024 * 1024
"""How large the second table of a cross may be: it is held while the first is read."""


class Combine(StrEnum):
    """How two tables become one."""

    CROSS = "cross"
    ZIP = "zip"


class Pair(Row, frozen=True, gc=False):
    """A row of the first table together with one of the second; ``number`` counts pairs."""

    first: Row
    second: Row

    def place(self, name: str | None = None) -> Place:
        return self._owner(name).place(name)

    def problem(self, message: str, name: str | None = None) -> Problem:
        return self._owner(name).problem(message, name)

    def beside(self, name: str) -> str:
        owner = self._owner(name)
        other = self.second if owner is self.first else self.first
        return f" (with {other.layout.display}:{other.line})"

    def _owner(self, name: str | None) -> Row:
        """The row that has the cell *name*, or something on the way to it."""
        parts = name.split(".") if name is not None else []
        ways = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
        return self.second if any(way in self.second.cells for way in ways) else self.first


class Product(Table):
    """The pairs of two tables; what stands in a file of rejects is the first one's rows."""

    def __init__(self, first: Table, second: Table, combine: Combine) -> None:
        super().__init__(first.files, f"{first.display} × {second.display}")
        self._first: Final = first
        self._second: Final = second
        self._combine: Final = combine
        self._held = 1
        """Rows of the second table that each of the first is paired with, in the latest pass."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        first, second = self._first.columns, self._second.columns
        return None if first is None or second is None else first + second

    @property
    def textual(self) -> bool:
        return self._first.textual or self._second.textual

    @property
    def paths(self) -> tuple[Path, ...]:
        return self._first.paths + self._second.paths

    @property
    def size(self) -> int:
        return self._first.size + self._second.size

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of both tables where they are multiplied, as the latest pass found."""
        sizes = self._first.sizes
        return (*sizes, self._held) if self._combine is Combine.CROSS else sizes

    @property
    def repeating(self) -> str | None:
        return self._second.display

    def row_of(self, number: int) -> int:
        return (number - 1) // self._held + 1

    def display_of(self, number: int) -> str:
        return self._first.display_of(self.row_of(number))

    def chunks(self, size: int = CHUNK) -> Generator[Chunk, None, None]:
        """One pass over all pairs. Blocks.

        Raises:
            WrongInput: as ``Table.chunks``; a row of the second table cannot be read, the two are
                not of one length (zip), or the second is too large to be held (cross).
        """
        self._held = 1
        both = self._zipped if self._combine is Combine.ZIP else self._crossed
        return both(size)

    def digest(self) -> str:
        parts = (self._first.digest(), self._second.digest(), self._combine)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def check_unchanged(self, digest: str | None = None) -> None:
        self._second.check_unchanged()
        super().check_unchanged(digest)

    def _crossed(self, size: int) -> Generator[Chunk, None, None]:
        held = self._hold()
        self._held = len(held)
        with closing(self._first.chunks(max(1, size // len(held)))) as chunks:
            for chunk in chunks:
                rejects = [
                    replace(reject, number=(reject.number - 1) * len(held) + 1)
                    for reject in chunk.rejects
                ]
                pairs: list[Row] = []
                for row in chunk.rows:
                    before = (row.number - 1) * len(held)
                    for number, other in enumerate(held, start=before + 1):
                        pair = _pair(number, row, other)
                        if isinstance(pair, Reject):
                            rejects.append(pair)
                            break
                        pairs.append(pair)
                        if len(pairs) == size:
                            yield Chunk(pairs, rejects, chunk.bytes_read)
                            pairs, rejects = [], []
                if pairs or rejects:
                    yield Chunk(pairs, rejects, chunk.bytes_read)

    def _zipped(self, size: int) -> Generator[Chunk, None, None]:
        with closing(self._first.chunks(size)) as chunks, closing(self._second.chunks(size)) as own:
            others = _in_order(own)
            last = 0
            for chunk in chunks:
                rows: list[Row] = []
                rejects: list[Reject] = []
                left = _count(chunk)
                for item in _in_order([chunk]):
                    last = item.number
                    other = next(others, None)
                    if other is None:
                        total = last - 1 + left + sum(map(_count, chunks))
                        self._refuse_lengths(total, last - 1)
                    left -= 1
                    if isinstance(other, Reject):
                        raise self._unreadable(other.problems)
                    pair = item if isinstance(item, Reject) else _pair(item.number, item, other)
                    if isinstance(pair, Reject):
                        rejects.append(pair)
                    else:
                        rows.append(pair)
                yield Chunk(rows, rejects, chunk.bytes_read)
            if more := sum(1 for _ in others):
                self._refuse_lengths(last, last + more)

    def _hold(self) -> list[Row]:
        """All rows of the second table.

        Raises:
            WrongInput: it is too large, or a row of it cannot be read.
        """
        held: list[Row] = []
        problems: list[Problem] = []
        size = 0
        for chunk in self._second.chunks():
            held += chunk.rows
            problems += chunk.problems
            size += sum(len(row.raw) for row in chunk.rows)
            if len(held) > MOST_HELD_ROWS or size > MOST_HELD_BYTES:
                raise WrongInput(
                    f"{self._second.display} is too large for a second table",
                    why=f"it is held while {self._first.display} is read: at most "
                    f"{MOST_HELD_ROWS:,} rows and {MOST_HELD_BYTES // 2**20} MB",
                    how="make it [input] file, and the smaller one [input.questions] file",
                )
        if problems:
            raise self._unreadable(problems)
        return held

    def _unreadable(self, problems: Sequence[Problem]) -> WrongInput:
        return WrongInput(
            f"{self._second.display} cannot be used as it is",
            why="each of its rows belongs to many tasks, so it must be right as a whole",
            how="correct these rows; --skip-bad is for those of [input] file",
            problems=problems,
        )

    def _refuse_lengths(self, first: int, second: int) -> NoReturn:
        raise WrongInput(
            f"{self._first.display} has {first:,} rows and {self._second.display} {second:,}",
            why='with combine = "zip" they are read side by side, row by row',
            how='give both the same number of rows, or ask every pair: combine = "cross"',
        )


def _pair(number: int, first: Row, second: Row) -> Pair | Reject:
    """Both rows in one; the first as a reject if a name stands in both."""
    if not first.cells.keys().isdisjoint(second.cells):
        shared = next(name for name in first.cells if name in second.cells)
        problem = first.problem(
            f'column "{shared}" is in {second.layout.display} too; rename one of them', shared
        )
        return replace(first.reject([problem]), number=number)
    return Pair(
        number=number,
        line=first.line,
        cells=first.cells | second.cells,
        raw=first.raw,
        layout=first.layout,
        first=first,
        second=second,
    )


def _in_order(chunks: Iterable[Chunk]) -> Iterator[Row | Reject]:
    for chunk in chunks:
        items: list[Row | Reject] = [*chunk.rows, *chunk.rejects]
        yield from sorted(items, key=lambda item: item.number)


def _count(chunk: Chunk) -> int:
    return len(chunk.rows) + len(chunk.rejects)

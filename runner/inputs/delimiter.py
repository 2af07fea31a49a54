"""What separates the cells of a CSV file: led by the header, then by how well the rows agree.

Prompts are prose, full of commas and semicolons, so counting characters misleads. A header is a
list of names: a delimiter is believed if the header has it and the rows are as wide as the header.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from runner.errors import WrongInput

CANDIDATES: Final = (",", ";", "\t", "|")

ONE_COLUMN: Final = "\0"
"""Stands in for the delimiter of a file with one column: a row that holds it is refused anyway."""

_ROWS: Final = 50
"""Records looked at, the header included."""
_EVIDENCE: Final = 3
"""Rows that it takes to call a header of one name too short."""
_SEP_LINE: Final = re.compile(r'"?sep=([^\w"\r\n\0])"?[\r\n]*', re.IGNORECASE)
_WORDS: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
"""What is hard to type in a shell, by name."""


def known_delimiter(wanted: str) -> str:
    """The character that a user's ``--delimiter`` means.

    Raises:
        WrongInput: it is neither one character nor the name of one, or cannot separate cells.
    """
    delimiter = _WORDS.get(wanted.lower(), wanted)
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise WrongInput(
            f"{wanted!r} cannot separate the cells of a CSV file",
            how="give one character, or one of: comma, semicolon, tab, pipe",
        )
    return delimiter


def named_in(line: str) -> str | None:
    """The delimiter in a first line such as ``sep=;``, which Excel writes and reads; else None."""
    found = _SEP_LINE.fullmatch(line)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the first records look, read with one delimiter."""

    delimiter: str
    widths: tuple[int, ...]
    """Cells in each record, the header first."""
    names: tuple[str, ...]
    spaced: bool
    """Whether a space ever follows the delimiter in a row, as it does in prose."""

    @property
    def width(self) -> int:
        return self.widths[0]

    @property
    def agreement(self) -> float:
        """The share of rows that are as wide as the header."""
        rows = self.widths[1:]
        return rows.count(self.width) / len(rows) if rows else 1.0

    @property
    def names_spaced(self) -> bool:
        """As ``spaced``, for the header."""
        return any(name.startswith(" ") for name in self.names[1:])

    @property
    def plausible(self) -> bool:
        """Whether the header looks like names: none empty, none twice."""
        return all(name.strip() for name in self.names) and len(set(self.names)) == self.width


def choose_delimiter(lines: Sequence[str], *, complete: bool) -> str:
    """The delimiter of a file that begins with *lines*; ``ONE_COLUMN`` if nothing separates.

    *complete*: the lines are the whole file, so the last record is not cut.
    """
    readings = [_read(lines, candidate, complete=complete) for candidate in CANDIDATES]
    several = [reading for reading in readings if reading.width > 1]
    if not several:
        return _of_one_name(readings)
    best = max(several, key=lambda r: (r.plausible, r.agreement, not r.names_spaced, r.width))
    # "What is it, exactly?" on top of prose is one name with a comma in it.
    prose = best.names_spaced and best.agreement < 0.5
    return ONE_COLUMN if prose else best.delimiter


def _of_one_name(readings: Sequence[_Reading]) -> str:
    """The delimiter under a header of one name.

    Several rows of one width, two cells or more, and never a space after the delimiter: that is
    data whose header is too short, and read as such each row is reported. Anything else is a
    column of prose.
    """
    for reading in readings:
        rows = reading.widths[1:]
        alike = len(rows) >= _EVIDENCE and len(set(rows)) == 1
        if alike and rows[0] > 1 and not reading.spaced:
            return reading.delimiter
    return ONE_COLUMN


def _read(lines: Sequence[str], delimiter: str, *, complete: bool) -> _Reading:
    # Not strict: a broken quote further down must not decide the delimiter.
    records = list(islice(filter(None, csv.reader(lines, delimiter=delimiter)), _ROWS + 1))
    if len(records) > _ROWS or (not complete and len(records) > 1):
        records.pop()
    cells = [cell for record in records[1:] for cell in record[1:]]
    return _Reading(
        delimiter=delimiter,
        widths=tuple(map(len, records)) or (0,),
        names=tuple(records[0]) if records else (),
        spaced=any(cell.startswith(" ") for cell in cells),
    )

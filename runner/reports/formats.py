"""An export's lines as bytes: CSV and JSON Lines.

**CSV**: RFC 4180 but for its line end, a plain LF; UTF-8 without BOM; first the input's columns,
then ours. Lists and objects stand as JSON text, yes and no as ``true`` and ``false``. A NUL, at
which many readers of CSV stop, stands as U+FFFD.

A spreadsheet takes a cell that begins with ``= + - @``, tab or CR for a formula (CWE-1236), and
answers come from outside. Such a cell gets an apostrophe before it, unless it is a plain number
(``-5``, ``+3.2``, ``-1e9``). A cell that begins like one made inert (``'=``) gets one more, so the
way back is certain: of a cell with apostrophes before one of the six characters, drop the first.

**JSON Lines**: the row as it was under ``input``, ours beside it under their own names; lists are
lists, NULs are kept, nothing is made inert.
"""

import re
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from runner.reports import columns
from runner.reports.columns import COLUMNS, Value

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[+-](\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SPECIAL: Final = re.compile(r'[",\r\n]')
_HARMLESS: Final = re.compile(r"""[^'=+\-@\t",\r\n\0][^",\r\n\0]*""")
"""Neither like a formula nor in need of quotes."""

_ENCODER: Final = msgspec.json.Encoder()
_CELLS: Final = msgspec.json.Decoder(dict[str, object])

Record = tuple[str, list[Value]]
"""A line of an export: the input's cells as a JSON object, and the values of our columns."""


class Format(Protocol):
    """One way to write a run down."""

    def header(self) -> bytes:
        """What stands at the top."""

    def lines(self, records: Sequence[Record]) -> bytes:
        """*records*, each with its line end."""


class Csv:
    """For spreadsheets, and whatever reads tables."""

    def __init__(self, inputs: Sequence[str], *, raw_cells: bool) -> None:
        """*inputs* are the input's columns; *raw_cells* leaves cells that begin like formulas."""
        self._inputs = inputs
        self._raw = raw_cells

    def header(self) -> bytes:
        return self._line([*self._inputs, *columns.beside(self._inputs)]).encode()

    def lines(self, records: Sequence[Record]) -> bytes:
        return "".join(map(self._record, records)).encode()

    def _record(self, record: Record) -> str:
        text, ours = record
        cells = _CELLS.decode(text)
        return self._line([*map(cells.get, self._inputs), *ours])

    def _line(self, values: Sequence[object]) -> str:
        return ",".join([self._cell(value) for value in values]) + "\n"

    def _cell(self, value: object) -> str:
        if value is None:
            return ""
        if type(value) is int:
            return str(value)
        if isinstance(value, str):
            # Most cells are of this kind, and one look is enough for them.
            if _HARMLESS.fullmatch(value):
                return value
            text = value.replace("\0", "\ufffd")
            if not self._raw:
                text = inert(text)
        else:
            text = _ENCODER.encode(value).decode()
        return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


class Jsonl:
    """For programs: types and nested values survive."""

    def header(self) -> bytes:
        return b""

    def lines(self, records: Sequence[Record]) -> bytes:
        return _ENCODER.encode_lines(
            [
                # Between JSON's tokens a line end is only space, and one line is one object.
                {"input": msgspec.Raw(cells.replace("\n", " ").replace("\r", " ")), **_named(ours)}
                for cells, ours in records
            ]
        )


def _named(values: Sequence[Value]) -> dict[str, Value]:
    return dict(zip(COLUMNS, values, strict=True))


def format_named(name: str, inputs: Sequence[str], *, raw_cells: bool) -> Format:
    """The format called ``csv`` or ``jsonl``.

    Raises:
        ValueError: there is no such format.
    """
    match name:
        case "csv":
            return Csv(inputs, raw_cells=raw_cells)
        case "jsonl":
            return Jsonl()
    raise ValueError(f"no format of exports: {name}")


def inert(text: str) -> str:
    """*text* as a cell that no spreadsheet takes for a formula."""
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text

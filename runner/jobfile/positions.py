"""Where each key of a TOML document stands, so that an error can name line and column.

`tomllib` tells the place of a syntax error but forgets where the values of a good file came from.
This scanner walks a document that `tomllib` has accepted, so it need not judge anything:

    [[targets]]            ("targets", 0)            line 1, column 3
    model = "x"            ("targets", 0, "model")   line 2, column 1
    limits.budget_usd = 4  ("targets", 0, "limits", "budget_usd")

An element of an array is placed where its value starts, an element of an array of tables at its
header's key. Where a table is named more than once, its first mention counts.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from runner.jobfile.literals import offset_in

Path = tuple[str | int, ...]
"""The way to a value: table keys by name, elements of arrays by number from 0."""


class Position(NamedTuple):
    """A place in a text file."""

    line: int
    """From 1."""
    column: int
    """From 1, in characters (code points)."""


START: Final = Position(1, 1)


@dataclass(frozen=True, slots=True)
class Positions:
    """The places of a document's keys."""

    places: Mapping[Path, Position]
    texts: Mapping[Path, tuple[Position, str]] = field(default_factory=dict)
    """Values that are text: where each begins, and how it is written, quotes and all."""

    def __contains__(self, path: Path) -> bool:
        return path in self.places

    def of(self, *path: str | int) -> Position:
        """Where *path* stands; else its nearest enclosing table; else the start of the file."""
        for length in range(len(path), 0, -1):
            place = self.places.get(path[:length])
            if place is not None:
                return place
        return START

    def inside(self, path: Path, offset: int) -> Position:
        """Where character *offset* (from 0) of the text at *path* stands; else its key."""
        if path not in self.texts:
            return self.of(*path)
        start, raw = self.texts[path]
        at = offset_in(raw, offset)
        lines = raw.count("\n", 0, at)
        column = at - raw.rindex("\n", 0, at) if lines else start.column + at
        return Position(start.line + lines, column)


def scan(text: str) -> Positions:
    """The places of all keys and array elements of *text*, a document that `tomllib` accepts."""
    scanner = _Scanner(text)
    return Positions(scanner.run(), scanner.texts)


_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
"""Between statements, and anywhere inside an array: white space, line ends and comments."""
_INLINE_BLANK: Final = re.compile(r"[ \t]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(
    # A multi-line string may end in up to five quotes: two of its own and the three that close it.
    r'"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}'
    r"|'''(?:[^']++|'(?!''))*+'{3,5}"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*+'",
    re.DOTALL,
)
_SCALAR: Final = re.compile(r"[^,\]}#\r\n]+")
"""A number, boolean or date; a date may hold a space, so only what can follow a value ends it."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._line_start = 0
        self._counted = 0
        self._places: dict[Path, Position] = {}
        self.texts: dict[Path, tuple[Position, str]] = {}
        self._last_element: dict[Path, int] = {}
        """The newest element's number of each array of tables that a header has named."""

    def run(self) -> dict[Path, Position]:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text.startswith("[[", self._at):
                table = self._header("[[", "]]", new_element=True)
            elif self._text[self._at] == "[":
                table = self._header("[", "]", new_element=False)
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._places

    def _header(self, opening: str, closing: str, *, new_element: bool) -> Path:
        self._at += len(opening)
        self._skip(_INLINE_BLANK)
        keys = self._dotted_key()
        self._at += len(closing)
        path: Path = ()
        for number, (name, place) in enumerate(keys, start=1):
            path = (*path, name)
            self._places.setdefault(path, place)
            if new_element and number == len(keys):
                self._last_element[path] = self._last_element.get(path, -1) + 1
            if path in self._last_element:
                path = (*path, self._last_element[path])
                self._places.setdefault(path, place)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for name, place in self._dotted_key():
            path = (*path, name)
            self._places.setdefault(path, place)
        self._at += len("=")
        self._skip(_INLINE_BLANK)
        self._value(path)

    def _dotted_key(self) -> list[tuple[str, Position]]:
        """The parts of a key with their places; stops behind it and the blanks that follow."""
        parts = []
        while True:
            place = self._position()
            parts.append((self._key(), place))
            self._skip(_INLINE_BLANK)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1
            self._skip(_INLINE_BLANK)

    def _key(self) -> str:
        if self._text[self._at] not in "\"'":
            return self._take(_BARE_KEY)
        quoted = self._take(_STRING)
        name = tomllib.loads(f"key = {quoted}")["key"]
        return str(name)

    def _value(self, path: Path) -> None:
        first = self._text[self._at]
        if first in "\"'":
            at = self._position()
            self.texts.setdefault(path, (at, self._take(_STRING)))
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._take(_SCALAR)

    def _array(self, path: Path) -> None:
        self._at += len("[")
        number = 0
        while not self._closes("]"):
            element = (*path, number)
            self._places.setdefault(element, self._position())
            self._value(element)
            number += 1

    def _inline_table(self, path: Path) -> None:
        self._at += len("{")
        while not self._closes("}"):
            self._pair(path)

    def _closes(self, bracket: str) -> bool:
        """Go on to the next element; True, and behind *bracket*, if there is none."""
        self._skip(_BLANK)
        if self._text.startswith(",", self._at):
            self._at += 1
            self._skip(_BLANK)
        if self._text.startswith(bracket, self._at):
            self._at += 1
            return True
        return False

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise RuntimeError(f"no document that tomllib accepts, at character {self._at}")
        self._at = match.end()
        return match.group()

    def _position(self) -> Position:
        """Where the scanner is; lines are counted only over what came since the last call."""
        newlines = self._text.count("\n", self._counted, self._at)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rindex("\n", self._counted, self._at) + 1
        self._counted = self._at
        return Position(self._line, self._at - self._line_start + 1)

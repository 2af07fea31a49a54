"""Where a cell stands in the text of its row. Only for messages: nothing here is quick."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from runner.inputs.rows import Place

QUOTE: Final = '"'

_LINE_END: Final = re.compile(r"\r\n|\r|\n")


def place_at(text: str, offset: int, line: int) -> Place:
    """The place of ``text[offset]``, where *text* starts on *line*."""
    ends = [match.end() for match in _LINE_END.finditer(text, 0, offset)]
    return Place(line + len(ends), offset - (ends[-1] if ends else 0) + 1)


@dataclass(frozen=True, slots=True)
class CsvScan:
    """One CSV record, cell by cell, as far as its quotes allow."""

    starts: tuple[int, ...]
    """The offset of each cell's first character, which may be its quote."""
    unclosed: int | None = None
    """The offset of a quote that opens a cell and is never closed."""
    misplaced: int | None = None
    """The offset of the first character behind a closing quote that should not be there."""


def scan_csv(text: str, delimiter: str) -> CsvScan:
    """Read the record at the start of *text*; stops at its end or at its first broken quote."""
    cell_end = re.compile(f"[{re.escape(delimiter)}\r\n]")
    starts = []
    at = 0
    while True:
        starts.append(at)
        if text.startswith(QUOTE, at):
            end = _closing_quote(text, at)
            if end is None:
                return CsvScan(tuple(starts), unclosed=at)
            end += 1
            if end < len(text) and text[end] not in (delimiter, "\r", "\n"):
                return CsvScan(tuple(starts), misplaced=end)
        else:
            found = cell_end.search(text, at)
            end = found.start() if found else len(text)
        if not text.startswith(delimiter, end):
            return CsvScan(tuple(starts))
        at = end + 1


def _closing_quote(text: str, opening: int) -> int | None:
    at = opening + 1
    while (at := text.find(QUOTE, at)) >= 0:
        if not text.startswith(QUOTE, at + 1):
            return at
        at += 2
    return None


_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def json_offset(text: str, path: str | None) -> int:
    """The offset of the value at the dotted *path* in the JSON object *text*; None for all of it.

    Where the path goes on but the text does not, that of the innermost value it leads to.
    """
    if path is None:
        return len(text) - len(text.lstrip())
    best = ("", 0)
    for keys, offset in _json_values(text):
        joined = ".".join(keys)
        leads_there = not keys or path == joined or path.startswith(f"{joined}.")
        if leads_there and len(joined) >= len(best[0]):
            best = (joined, offset)
    return best[1]


def json_token(text: str, token: str) -> int:
    """The offset of the first bare *token* in *text*: not one inside a string."""
    tokens = _JSON_TOKEN.finditer(text)
    return next((match.start() for match in tokens if match.group() == token), 0)


class RepeatedKey(NamedTuple):
    """A key that stands in one object for the second time."""

    name: str
    offset: int


def repeated_key(text: str) -> RepeatedKey | None:
    """The first key that is not the first of its name in its object, anywhere in a valid *text*."""
    names: list[set[str] | None] = []
    """Of each object around the token; None for a list."""
    key_next = False
    for match in _JSON_TOKEN.finditer(text):
        token = match.group()
        if token in ("{", "["):
            key_next = token == "{"
            names.append(set() if key_next else None)
        elif token in ("}", "]"):
            names.pop()
            key_next = False
        elif token == ",":
            key_next = names[-1] is not None
        elif key_next and (here := names[-1]) is not None:
            name = json.loads(token)
            if name in here:
                return RepeatedKey(name, match.start())
            here.add(name)
            key_next = False
    return None


def _json_values(text: str) -> Iterator[tuple[list[str], int]]:
    """Each value in a valid JSON *text*: the keys and indexes that lead to it, and its offset."""
    keys: list[str] = []
    in_object: list[bool] = []
    key_next = False
    for match in _JSON_TOKEN.finditer(text):
        token = match.group()
        if token in ("}", "]"):
            keys.pop()
            in_object.pop()
            key_next = False
        elif token == ",":
            key_next = in_object[-1]
            if not key_next:
                keys[-1] = str(int(keys[-1]) + 1)
        elif token == ":":
            key_next = False
        elif key_next:
            keys[-1] = json.loads(token)
        else:
            yield keys, match.start()
            if token in ("{", "["):
                key_next = token == "{"
                in_object.append(key_next)
                keys.append("" if key_next else "0")

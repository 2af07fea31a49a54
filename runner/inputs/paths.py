"""Dotted paths into a row: ``turns.0`` is the first item of the list in ``turns``.

A key that holds the dots itself wins over the nested one, the longest such key first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_ABSENT: Final = object()
_LONGEST_INDEX: Final = 9
"""Digits. No list of a row that fits its line has more, and ``int`` stays cheap."""


class MissKind(StrEnum):
    """Why a path leads nowhere."""

    NO_KEY = "no_key"
    """The object there has no such key."""
    OUT_OF_RANGE = "out_of_range"
    """The list there is shorter."""
    NOT_AN_INDEX = "not_an_index"
    """There is a list, and the next part of the path is no number."""
    NOT_A_CONTAINER = "not_a_container"
    """There is text, a number, true, false or null, and the path goes on."""


@dataclass(frozen=True, slots=True)
class Miss:
    """A path that leads nowhere in this row; ``str`` says why, for a message."""

    kind: MissKind
    at: str
    """The part of the path that could be followed; empty if none could."""
    part: str
    """The part that could not."""
    length: int | None = None
    """How many items the list has, where there is one."""

    def __str__(self) -> str:
        there = f'"{self.at}"' if self.at else "the row"
        match self.kind:
            case MissKind.NO_KEY:
                return f'{there} has no "{self.part}"'
            case MissKind.OUT_OF_RANGE:
                items = "1 item" if self.length == 1 else f"{self.length} items"
                return f"{there} has {items}, so there is no item {self.part} (the first is 0)"
            case MissKind.NOT_AN_INDEX:
                return f'{there} is a list: "{self.part}" must be a number (the first item is 0)'
            case MissKind.NOT_A_CONTAINER:
                return f'{there} is neither object nor list, so it has no "{self.part}"'


def get_path(cells: Mapping[str, object], path: str) -> object | Miss:
    """What stands at *path* in a row's cells (None for a JSON null), or the ``Miss``."""
    value = cells.get(path, _ABSENT)
    if value is not _ABSENT:
        return value
    value, _reached = _follow(cells, path.split("."), ())
    return value


def _follow(
    value: object, parts: Sequence[str], done: tuple[str, ...]
) -> tuple[object | Miss, tuple[str, ...]]:
    """The value at *parts* below *value*, and how far the path could be followed."""
    if not parts:
        return value, done
    at = ".".join(done)
    if isinstance(value, Mapping):
        return _follow_key(value, parts, done)
    if not isinstance(value, list):
        return Miss(MissKind.NOT_A_CONTAINER, at, parts[0]), done
    index = list_index(parts[0])
    if index is None:
        return Miss(MissKind.NOT_AN_INDEX, at, parts[0]), done
    if index >= len(value):
        return Miss(MissKind.OUT_OF_RANGE, at, parts[0], len(value)), done
    return _follow(value[index], parts[1:], (*done, parts[0]))


def _follow_key(
    value: Mapping[str, object], parts: Sequence[str], done: tuple[str, ...]
) -> tuple[object | Miss, tuple[str, ...]]:
    best: tuple[object | Miss, tuple[str, ...]] | None = None
    for count in range(len(parts), 0, -1):
        below = value.get(".".join(parts[:count]), _ABSENT)
        if below is _ABSENT:
            continue
        found = _follow(below, parts[count:], (*done, *parts[:count]))
        if not isinstance(found[0], Miss):
            return found
        if best is None or len(found[1]) > len(best[1]):
            best = found
    return best or (Miss(MissKind.NO_KEY, ".".join(done), parts[0]), done)


def list_index(part: str) -> int | None:
    """*part* of a path as a place in a list, from 0; None if it is none."""
    if part.isascii() and part.isdecimal() and len(part) <= _LONGEST_INDEX:
        return int(part)
    return None

"""Numbers and tables for people, and lines for programs."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from runner.money import dollars


def span(seconds: float) -> str:
    """A duration for people: ``58 s``, ``39 min 12 s``, ``23 h 5 min``, ``3 d 2 h``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    for size, name, smaller, smaller_name in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    raise AssertionError("sixty seconds and more are a minute")


def amount(nanousd: int) -> str:
    """Money for programs: exact dollars, at least two decimals: ``17.94``, ``0.0102``."""
    digits = f"{dollars(nanousd):.9f}".rstrip("0")
    whole, _, fraction = digits.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"


def count(number: int, noun: str) -> str:
    """``1 task``, ``2,370 tasks``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def day(moment: datetime, now: datetime) -> str:
    """``today 02:15``, ``yesterday 02:15`` or the date, in UTC."""
    moment, now = moment.astimezone(UTC), now.astimezone(UTC)
    age = (now.date() - moment.date()).days
    name = {0: "today", 1: "yesterday"}.get(age, f"{moment:%Y-%m-%d}")
    return f"{name} {moment:%H:%M}"


def pairs(name: str, keys: Mapping[str, object]) -> str:
    """One line for programs: ``status run=demo done=3 note="two words"``."""
    from runner.logs.lines import as_text

    # The log's own rendering, without its time and level.
    line = as_text(datetime(2000, 1, 1, tzinfo=UTC), "info", name, keys)
    return line.split(" ", 2)[2]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int]) -> str:
    """Columns side by side, those numbered in *right* flush right; never wrapped."""
    from runner.logs import printable

    lines = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(_width(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            _padded(cell, width, i in right)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _padded(cell: str, width: int, right: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if right else cell + space


def _width(text: str) -> int:
    """Columns that *text* takes on a terminal."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

"""Numbers and tables for people, and lines for programs."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from runner.money import dollars

_LEAST: Final = 8
"""What is cut is cut to no less."""


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


def either(number: int, one: str, many: str) -> str:
    """The word for one, or that for several: ``waits``, ``wait``."""
    return one if number == 1 else many


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


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: frozenset[int],
    width: int | None = None,
) -> str:
    """Columns side by side, those numbered in *right* flush right; never wrapped.

    Of a screen of so many columns, *width*, the widest texts are cut to fit, numbers never.
    """
    from runner.logs import printable

    lines = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(width_of(line[i]) for line in lines) for i in range(len(head))]
    if width is not None:
        widths = _fitting(widths, [max(_LEAST, width_of(name)) for name in head], right, width)
        lines = [[clipped(cell, widths[i]) for i, cell in enumerate(line)] for line in lines]
    return "\n".join(side_by_side(line, widths, right) for line in lines)


def _fitting(
    widths: Sequence[int], least: Sequence[int], right: frozenset[int], width: int
) -> list[int]:
    """*widths* with the widest of the texts made narrower until all fit, none below its *least*."""
    fitting = list(widths)
    for _ in range(sum(widths) + 2 * (len(widths) - 1) - width):
        texts = [i for i in range(len(fitting)) if i not in right and fitting[i] > least[i]]
        if not texts:
            break
        fitting[max(texts, key=fitting.__getitem__)] -= 1
    return fitting


def side_by_side(line: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> str:
    """One line of a table whose columns are so wide."""
    cells = enumerate(zip(line, widths, strict=True))
    return "  ".join(_padded(cell, width, i in right) for i, (cell, width) in cells).rstrip()


def tab_separated(cells: Sequence[str]) -> str:
    """One line for programs: what would end a cell or the line, or what a terminal obeys, is
    written out (``\\t``, ``\\n``, ``\\x1b``), and a backslash twice."""
    from runner.logs import printable

    return "\t".join(printable(cell.replace("\\", "\\\\")) for cell in cells)


def clipped(text: str, width: int) -> str:
    """As much of *text* as *width* columns of a terminal hold; what was cut ends in ``…``."""
    if width_of(text) <= width:
        return text
    kept, used = "", 1
    for character in text:
        used += _columns(character)
        if used > width:
            break
        kept += character
    return f"{kept}…"


def wrapped(text: str, width: int) -> list[str]:
    """*text* in lines of at most *width* columns, broken at spaces where there are any."""
    lines = [""]
    room = width
    for word in re.findall(r" *[^ ]+| +$", text):
        if width_of(word) > room and lines[-1]:
            lines.append("")
            room = width
            first, *more = _pieces(word.lstrip(" "), width)
        else:
            first, *more = _pieces(word, width)
        lines[-1] += first
        lines += more
        room = width - width_of(lines[-1])
    return lines


def _pieces(word: str, width: int) -> list[str]:
    pieces, piece, used = list[str](), "", 0
    for character in word:
        columns = _columns(character)
        if piece and used + columns > width:
            pieces.append(piece)
            piece, used = "", 0
        piece, used = piece + character, used + columns
    return [*pieces, piece]


def _padded(cell: str, width: int, right: bool) -> str:
    space = " " * (width - width_of(cell))
    return space + cell if right else cell + space


def width_of(text: str) -> int:
    """Columns that *text* takes on a terminal."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1

"""What a stream can show: colour, more than ASCII, moving bars."""

import os
from collections.abc import Mapping
from typing import Final, TextIO

from runner.cli.shared import Colour

_IN_ASCII: Final = str.maketrans(
    {
        "✓": "ok",
        "✗": "x",
        "·": "-",
        "…": "...",
        "–": "-",
        "—": "-",
        "×": "x",
        "→": "->",
        "’": "'",
        "“": '"',
        "”": '"',
        "\u00a0": " ",
    }
)
"""Our own signs; what people and the API write is escaped where a stream cannot show it."""


def is_terminal(stream: TextIO) -> bool:
    """Whether a person watches *stream*."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def can_move(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether lines of *stream* can be repainted."""
    return is_terminal(stream) and environ.get("TERM") != "dumb"


def size_of(stream: TextIO, environ: Mapping[str, str]) -> tuple[int, int]:
    """Columns and lines of the terminal *stream*; 80 × 24 where nobody says."""
    try:
        columns, lines = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        columns, lines = 0, 0
    return _number(environ.get("COLUMNS")) or columns or 80, (
        _number(environ.get("LINES")) or lines or 24
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 6 else 0


def wants_colour(stream: TextIO, wish: Colour, environ: Mapping[str, str]) -> bool:
    """``--color``, else NO_COLOR, FORCE_COLOR and TERM, else whether it is a terminal."""
    if wish != "auto":
        return wish == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR") not in (None, "", "0"):
        return True
    return can_move(stream, environ)


def fitted(text: str, encoding: str | None) -> str:
    """*text* in characters that *encoding* has; in UTF-8 it stays as it is."""
    name = (encoding or "ascii").lower().replace("-", "").replace("_", "")
    if name in ("utf8", "utf8sig", "cp65001"):
        # A lone surrogate stands for a byte that was not UTF-8 in a file name.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    known = encoding or "ascii"
    return text.translate(_IN_ASCII).encode(known, "backslashreplace").decode(known)

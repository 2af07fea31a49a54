"""Where in a TOML string, as it is written, a character of its value stands.

Quotes, escapes and a line end behind three quotes take room in the file and none, or less, in the
value: an error inside a long text is placed by walking over what was written.
"""

import re
from typing import Final

_OPENING: Final = re.compile(r"""(?:\"{3}|'{3})(?:\r?\n)?|["']""")
"""What opens a string; the line end right behind three quotes is no part of the value."""

_NOTHING: Final = re.compile(r"\\[ \t]*\r?\n\s*")
"""A backslash at the end of a line: the value goes on with the next thing that is no space."""

_WRITTEN: Final = re.compile(r"\\u.{4}|\\U.{8}|\\.|\r\n|.", re.DOTALL)
"""What stands for one character between double quotes."""

_VERBATIM: Final = re.compile(r"\r\n|.", re.DOTALL)
"""The same between single quotes, where nothing is an escape."""


def offset_in(raw: str, offset: int) -> int:
    """Where in *raw*, a TOML string with its quotes, character *offset* of its value begins."""
    opening = _OPENING.match(raw)
    at = opening.end() if opening else 0
    escapes = raw.startswith('"')
    for _ in range(offset):
        at = _behind_nothing(raw, at) if escapes else at
        piece = (_WRITTEN if escapes else _VERBATIM).match(raw, at)
        if piece is None:
            break
        at = piece.end()
    return _behind_nothing(raw, at) if escapes else at


def _behind_nothing(raw: str, at: int) -> int:
    while found := _NOTHING.match(raw, at):
        at = found.end()
    return at

"""Reading JSON that somebody else wrote: exact numbers, bounded depth, no surprises.

Numbers with a fraction or exponent become ``Decimal``, never float. What cannot be read raises
``Unreadable`` and nothing else, whatever the bytes are.
"""

import re
from decimal import Decimal
from typing import Final

import msgspec

MAX_DEPTH: Final = 100
"""Levels of nesting; the API's replies have about ten (API.md §4)."""

_MAX_BRACKETS: Final = 1_000_000
"""Far more than any reply of 64 MiB needs, and few enough to count in a tenth of a second."""

# Closing brackets of both kinds and opening brackets of both kinds become one pair, the quotes
# that delimit strings stay, everything else goes.
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_ALL_ELSE: Final = bytes(set(range(256)) - set(b'[]{}"'))

_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

# Strings are gone over whole, and an unclosed one to its end, so that this takes one pass.
_NO_NUMBER: Final = re.compile(
    rb'"[^"\\]*(?:\\.[^"\\]*)*"?|(?P<none>-?\b(?:NaN|Infinity)\b)', re.DOTALL
)

_decoder: Final = msgspec.json.Decoder(float_hook=Decimal)


class Unreadable(ValueError):
    """Not JSON, or more of it than we take."""


def decode(data: bytes) -> object:
    """The value that *data* holds, as dict, list, str, int, ``Decimal``, bool or None.

    Raises:
        Unreadable: malformed, not UTF-8, nested deeper than ``MAX_DEPTH``, more than a million
            brackets, or a number that no ``Decimal`` can hold. NaN and Infinity are no JSON.
    """
    if is_too_deep(data):
        raise Unreadable(f"nested more than {MAX_DEPTH} levels deep")
    try:
        return _decoder.decode(data)
    except (ValueError, ArithmeticError) as error:
        raise Unreadable(f"not JSON that can be read ({type(error).__name__})") from None


def decode_mended(data: bytes) -> object:
    """As ``decode``, but what damaged text can be mended is: a byte order mark, broken UTF-8, half
    a surrogate pair, a number that is none. The byte order mark goes, the text becomes U+FFFD and
    the number null; an answer cut inside an emoji stays an answer, one of NaN tokens too.

    Raises:
        Unreadable: as ``decode``.
    """
    try:
        return decode(data)
    except Unreadable:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").encode()
        return decode(_NO_NUMBER.sub(_as_null, _ESCAPE.sub(_mend, text)))


def _mend(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape["lone"] else escape[0]


def _as_null(token: re.Match[bytes]) -> bytes:
    return b"null" if token["none"] else token[0]


def is_too_deep(data: bytes) -> bool:
    """Whether *data* nests deeper than ``MAX_DEPTH``, or has too many brackets to tell.

    Found without recursion. For text that is no JSON the answer holds for the part before the
    first mistake.
    """
    opening = data.count(b"[") + data.count(b"{")
    if opening <= MAX_DEPTH or opening > _MAX_BRACKETS:
        return opening > MAX_DEPTH
    # Escapes go first, pair by pair, so that each quote left over delimits a string.
    bare = data.replace(rb"\\", b"").replace(rb"\"", b"").translate(_BRACKETS, _ALL_ELSE)
    brackets = b"".join(bare.split(b'"')[::2])
    for _level in range(MAX_DEPTH):
        outer = brackets.replace(b"[]", b"")
        if len(outer) == len(brackets):
            break
        brackets = outer
    return bool(brackets)

"""One row of JSON: an object, and whatever can be wrong with its text, said with its place.

Integers keep every digit, other numbers are Python floats; NaN, infinities and numbers beyond a
float's range are refused, for no JSON can carry them on. So is an object that has a key twice: the
decoder would keep the last and not tell.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, NoReturn

import msgspec

from runner.inputs.encoding import printable
from runner.inputs.places import json_token, repeated_key

_BYTE: Final = re.compile(r" \(byte (\d+)\)$")
_LONE_SURROGATE: Final = re.compile(
    r"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F].."
)
_SHOWN: Final = 20
"""Characters of a row or a key in a message."""
_TOO_DEEP: Final = "the JSON is nested too deeply"
_ESCAPED_NUL: Final = b"\\u0000"
_BACKSLASH: Final = ord("\\")
_SPACED_COLON: Final = re.compile(rb'"[ \t\r\n]++:')
_STRING: Final = re.compile(rb'[^"]*+"(?:[^"\\]++|\\.)*+"(\s*+:)?', re.DOTALL)
"""A string of JSON, and the colon that makes it a key."""
_KINDS: Final = {
    "array": "a list",
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
}


class Fault(NamedTuple):
    """What is wrong with a row."""

    offset: int
    """Of the character to show, in the row's text."""
    message: str


def objection(raw: bytes, cells: Mapping[str, object]) -> Fault | None:
    """What speaks against *cells*, although the decoder could read them from *raw*."""
    # Asked of every row, so the cheapest questions come first.
    if _BACKSLASH in raw and _ESCAPED_NUL in raw and _holds_nul(cells):
        message = "a text holds the character NUL (\\u0000), which cannot be stored"
        return Fault(_characters(raw, raw.index(_ESCAPED_NUL)), message)
    # One colon for each key: no key was lost, and none stands in a text.
    if raw.count(b":") == len(cells):
        return None
    keys = len(cells) if raw.find(b"{", 1) < 0 else _count_keys(cells)
    # One colon right behind a quote for each key, and no colon further behind one.
    if raw.count(b'":') == keys and _SPACED_COLON.search(raw) is None:
        return None
    strings = _STRING.findall(raw)
    if len(strings) - strings.count(b"") == keys:
        return None
    found = repeated_key(raw.decode())
    if found is None:
        return None
    name = printable(found.name if len(found.name) <= _SHOWN else f"{found.name[:_SHOWN]}…")
    return Fault(found.offset, f'the key "{name}" stands twice in one object: which one counts?')


def explain(raw: bytes, error: ValueError | RecursionError, *, whole: str) -> Fault:
    """Why the row *raw* cannot be decoded. *whole* is what messages call all of it."""
    if isinstance(error, RecursionError):
        return Fault(0, _TOO_DEEP)
    try:
        text = raw.decode()
    except UnicodeDecodeError as bad:
        byte = raw[bad.start]
        return Fault(
            _characters(raw, bad.start),
            f"byte 0x{byte:02X} is not UTF-8; if the whole file is in another encoding, "
            "name it with --encoding",
        )
    if isinstance(error, msgspec.ValidationError):
        return _explain_value(text, str(error), whole)
    if "\0" in text:
        return Fault(text.index("\0"), f"there is a NUL character in the {whole}")
    return _explain_syntax(text.rstrip(), str(error), whole)


def _explain_value(text: str, message: str, whole: str) -> Fault:
    start = len(text) - len(text.lstrip())
    kind = re.fullmatch(r"Expected `object`, got `(\w+)`", message)
    if kind:
        what = _KINDS.get(kind[1], kind[1])
        return Fault(start, f"the {whole} holds {what}, but each row is an object")
    return Fault(start, f"a number in the {whole} is too large to be kept")


def _explain_syntax(text: str, error: str, whole: str) -> Fault:
    """As ``explain``, for a *text* that msgspec cannot parse."""
    # msgspec is quick, but the offsets in its messages are at times a byte or more behind.
    try:
        # Numbers stay text: Python makes none of very many digits.
        json.loads(text, parse_constant=_refuse_constant, parse_int=str, parse_float=str)
    except json.JSONDecodeError as bad:
        if bad.pos >= len(text):
            return Fault(len(text), f"not valid JSON: the {whole} ends before the object does")
        what = bad.msg[0].lower() + bad.msg[1:].removesuffix(" starting at").removesuffix(" at")
        near = printable(text[bad.pos : bad.pos + _SHOWN])
        return Fault(bad.pos, f"not valid JSON: {what}, at '{near}'")
    except _NoJson as constant:
        offset = json_token(text, str(constant))
        return Fault(offset, f"{constant} is no JSON: leave the key out, or use null")
    except RecursionError:
        return Fault(0, _TOO_DEEP)
    if lone := _LONE_SURROGATE.search(text):
        return Fault(lone.start(), f"{lone[0]} is half a character: its other half is missing")
    return Fault(0, f"not valid JSON: {_BYTE.sub('', error).removeprefix('JSON is malformed: ')}")


class _NoJson(Exception):
    """One of the words that Python's json module takes for numbers."""


def _refuse_constant(word: str) -> NoReturn:
    raise _NoJson(word)


def _characters(raw: bytes, size: int) -> int:
    """How many characters the first *size* bytes are."""
    return len(raw[:size].decode("utf-8", "replace"))


def _count_keys(cells: object) -> int:
    return sum(len(value) for value in _inside(cells) if isinstance(value, Mapping))


def _holds_nul(cells: object) -> bool:
    """Whether a NUL stands in any text of *cells*; an escaped backslash may only look like it."""
    for value in _inside(cells):
        if isinstance(value, Mapping):
            if any("\0" in key for key in value):
                return True
        elif isinstance(value, str) and "\0" in value:
            return True
    return False


def _inside(value: object) -> Iterator[object]:
    """*value* and all values within it. Not recursive: it may be nested as deep as Python goes."""
    left = [value]
    while left:
        value = left.pop()
        yield value
        if isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list):
            left += value

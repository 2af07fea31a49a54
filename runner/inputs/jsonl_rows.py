"""JSON Lines: one object on each line, in UTF-8.

A key that stands twice in one object counts once, with its last value: the decoder does not tell.
Integers keep every digit, other numbers are Python floats; NaN, infinities and numbers beyond a
float's range are refused, for no JSON can carry them on.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

import msgspec

from runner.errors import Problem, WrongInput
from runner.inputs.encoding import printable
from runner.inputs.lines import Overlong
from runner.inputs.places import json_offset, json_token
from runner.inputs.reader import Lines, Reread, reject_overlong
from runner.inputs.rows import Place, Reject, Row

_BYTE: Final = re.compile(r" \(byte (\d+)\)$")
_LONE_SURROGATE: Final = re.compile(
    r"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F].."
)
_SHOWN: Final = 20
"""Characters of a line in a message."""
_TOO_DEEP: Final = "the JSON is nested too deeply"
_ESCAPED_NUL: Final = b"\\u0000"
_KINDS: Final = {
    "array": "a list",
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
}


class JsonlReader:
    """Reads JSON Lines; every row brings its own names."""

    columns: None = None
    delimiter: None = None
    header: bytes = b""

    def __init__(self, display: str) -> None:
        self.display = display

    def place(self, line: int, raw: bytes, name: str | None) -> Place:
        text = raw.decode()
        return Place(line, json_offset(text, name or "") + 1)

    def read(self, lines: Lines, reread: Reread) -> Iterator[Row | Reject]:
        """See ``Reader.read``.

        Raises:
            WrongInput: this is JSON, but not one object a line.
        """
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        line = number = 0
        for piece in lines:
            if isinstance(piece, Overlong):
                line += 1
                number += 1
                yield reject_overlong(
                    piece, number=number, line=line, display=self.display, reread=reread
                )
                continue
            for raw in piece:
                line += 1
                try:
                    cells = decode(raw)
                except (ValueError, RecursionError) as error:
                    if not raw.strip():
                        continue
                    if not number:
                        self._refuse_other_json(raw, line)
                    number += 1
                    yield self._reject(number, line, raw, *_explain(raw, error))
                    continue
                number += 1
                if _ESCAPED_NUL in raw and _holds_nul(cells):
                    column = raw.index(_ESCAPED_NUL)
                    message = "a text holds the character NUL (\\u0000), which cannot be stored"
                    yield self._reject(number, line, raw, _column(raw, column), message)
                    continue
                yield Row(number, line, cells, raw, self)

    def _refuse_other_json(self, raw: bytes, line: int) -> None:
        if raw.strip() in (b"[", b"{"):
            raise WrongInput(
                f"{self.display} is JSON, but not JSON Lines: its values run over several lines",
                where=f"{self.display}:{line}",
                how=f"write one object on each line: jq -c '.[]' {self.display} > prompts.jsonl",
            )

    def _reject(self, number: int, line: int, raw: bytes, column: int, message: str) -> Reject:
        return Reject(number, line, (Problem(self.display, line, column, message),), raw)


def _explain(raw: bytes, error: ValueError | RecursionError) -> tuple[int, str]:
    """The column of the mistake in the line *raw*, from 1, and what it is."""
    if isinstance(error, RecursionError):
        return 1, _TOO_DEEP
    try:
        text = raw.decode()
    except UnicodeDecodeError as bad:
        byte = raw[bad.start]
        return _column(raw, bad.start), (
            f"byte 0x{byte:02X} is not UTF-8; if the whole file is in another encoding, "
            "name it with --encoding"
        )
    if isinstance(error, msgspec.ValidationError):
        return _explain_value(text, str(error))
    if "\0" in text:
        return text.index("\0") + 1, "there is a NUL character in the line"
    return _explain_syntax(text.rstrip(), str(error))


def _explain_value(text: str, message: str) -> tuple[int, str]:
    start = len(text) - len(text.lstrip()) + 1
    kind = re.fullmatch(r"Expected `object`, got `(\w+)`", message)
    if kind:
        return start, f"the line holds {_KINDS.get(kind[1], kind[1])}, but each row is an object"
    return start, "a number in the line is too large to be kept"


def _explain_syntax(line: str, error: str) -> tuple[int, str]:
    """As ``_explain``, for a *line* that msgspec cannot parse."""
    # msgspec is quick, but the offsets in its messages are at times a byte or more behind.
    try:
        json.loads(line, parse_constant=_refuse_constant)
    except json.JSONDecodeError as bad:
        if bad.pos >= len(line):
            return len(line) + 1, "not valid JSON: the line ends before the object does"
        what = bad.msg[0].lower() + bad.msg[1:].removesuffix(" starting at").removesuffix(" at")
        near = printable(line[bad.pos : bad.pos + _SHOWN])
        return bad.pos + 1, f"not valid JSON: {what}, at '{near}'"
    except _NoJson as constant:
        column = json_token(line, str(constant)) + 1
        return column, f"{constant} is no JSON: leave the key out, or use null"
    except RecursionError:
        return 1, _TOO_DEEP
    if lone := _LONE_SURROGATE.search(line):
        return lone.start() + 1, f"{lone[0]} is half a character: its other half is missing"
    return 1, f"not valid JSON: {_BYTE.sub('', error).removeprefix('JSON is malformed: ')}"


class _NoJson(Exception):
    """One of the words that Python's json module takes for numbers."""


def _refuse_constant(word: str) -> NoReturn:
    raise _NoJson(word)


def _column(raw: bytes, at: int) -> int:
    return len(raw[:at].decode("utf-8", "replace")) + 1


def _holds_nul(value: object) -> bool:
    """Whether a NUL stands in any text of *value*; an escaped backslash may only look like it."""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(_holds_nul(key) or _holds_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_holds_nul, value))

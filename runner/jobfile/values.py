"""The kinds of value that a job file holds, each with the words that say what is wrong with one.

Validators for `schema.py`. A message is the second half of a sentence whose first half is the
key (``targets[1].temperature: must be a number``); what was written instead is added to it,
except where the message is complete (`_said`).
"""

import codecs
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from pydantic_core import PydanticCustomError

from runner import money
from runner.errors import WrongInput
from runner.inputs.delimiter import known_delimiter
from runner.inputs.stdin import STDIN
from runner.jobfile.findings import nearest, shown

DATE_PLACEHOLDER: Final = "{{date}}"
SAID: Final = "said"
"""The type of an error whose message is complete as it stands."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_PLACEHOLDER: Final = re.compile(r"\{\{.*?\}\}|\{\{|\}\}")

Word = TypeVar("Word", bound=StrEnum)


def _wrong(message: str, kind: str = "wrong") -> PydanticCustomError:
    # Braces are pydantic's own placeholders: the text goes in as a value, never as a template.
    return PydanticCustomError(kind, "{message}", {"message": message})


def _said(message: str) -> PydanticCustomError:
    return _wrong(message, SAID)


def is_name(text: str) -> bool:
    """Whether *text* may be part of a file name anywhere: at most 64 of A-Z a-z 0-9 . _ -"""
    return _NAME.fullmatch(text) is not None


def name(value: str) -> str:
    """A name that goes into file names and on command lines."""
    if not is_name(value):
        raise _wrong(
            "must be 1 to 64 letters, digits, '.', '_' or '-', and start with none of '.-'"
        )
    return value


def run_key(value: str) -> str:
    """A run's key: a name, in which ``{{date}}`` stands for the day; empty for none."""
    for placeholder in _PLACEHOLDER.findall(value):
        if placeholder != DATE_PLACEHOLDER:
            raise _said(f"{placeholder} is no placeholder here; only {DATE_PLACEHOLDER} is")
    if value:
        name(value.replace(DATE_PLACEHOLDER, "2026-01-01"))
    return value


def text(value: str) -> str:
    """Any text but none at all."""
    if not value.strip():
        raise _wrong("must not be empty")
    return value


def label(value: str) -> str:
    """A target's name: one printable line."""
    if len(text(value)) > 200 or not value.isprintable():
        raise _wrong("must be one line of at most 200 printable characters")
    return value


def encoding(value: str) -> str:
    """The name of a text encoding that Python knows."""
    try:
        codecs.lookup(value)
    except (LookupError, ValueError) as error:
        raise _wrong("must be a known encoding such as utf-8 or cp1252") from error
    return value


def delimiter(value: str) -> str:
    """What stands between the cells of a CSV line: a character, or the word for one."""
    try:
        known_delimiter(value)
    except WrongInput as error:
        raise _wrong("must be one character, or comma, semicolon, tab or pipe") from error
    return value


def names(value: object) -> tuple[str, ...]:
    """One column name or a list of them, none twice."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed:
        raise _wrong("must be a column name or a list of them")
    for number, column in enumerate(listed):
        if not isinstance(column, str) or not column:
            raise _wrong("must be a column name or a list of them")
        if column in listed[:number]:
            raise _said(f"names {shown(column)} twice")
    return tuple(listed)


def files(value: object) -> str | tuple[str, ...]:
    """The name of a file or a pattern for several, or a list of these, none twice."""
    listed = [value] if isinstance(value, str) else value
    wrong = _wrong("must be the name of a file, a pattern such as data/*.csv, or a list of these")
    if not isinstance(listed, list) or not listed:
        raise wrong
    for number, file in enumerate(listed):
        if not isinstance(file, str) or not file.strip():
            raise wrong
        if file in listed[:number]:
            raise _said(f"names {shown(file)} twice")
    if STDIN in listed and len(listed) > 1:
        raise _said(f'"{STDIN}" is standard input, which cannot be read together with files')
    return value if isinstance(value, str) else tuple(listed)


def where(value: object) -> dict[str, tuple[str, ...]]:
    """Columns and what their cells may be, each as the text that a CSV would have."""
    if not isinstance(value, dict) or not value:
        raise _wrong('must be columns and their values, such as { market = ["DE", "AT"] }')
    return {str(column): _wanted(str(column), cells) for column, cells in value.items()}


def _wanted(column: str, cells: object) -> tuple[str, ...]:
    listed = cells if isinstance(cells, list) else [cells]
    texts = []
    for cell in listed:
        match cell:
            case bool():
                texts.append("true" if cell else "false")
            case str() | int() | Decimal():
                texts.append(str(cell))
            case _:
                raise _said(f"{shown(column)} must be text, a number or a list of them")
    if not texts:
        raise _said(f"{shown(column)} lists nothing, so no row would be asked")
    return tuple(texts)


def number(value: object) -> int | float:
    """A whole number or a decimal fraction."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _wrong("must be a number")
    if isinstance(value, int):
        return value
    if not value.is_finite():
        raise _wrong("must be a finite number")
    return float(value)


def amount(value: object) -> Decimal:
    """US dollars, more than 0."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _wrong("must be an amount in US dollars such as 12.50")
    try:
        positive = money.nanos(Decimal(value)) > 0
    except ValueError as error:
        raise _wrong("must be an amount below 9,000,000,000 US dollars") from error
    if not positive:
        raise _wrong("must be more than 0")
    return Decimal(value)


def choice(allowed: Iterable[Word]) -> Callable[[object], Word]:
    """A validator for one of the words *allowed*."""
    by_name = {str(word): word for word in allowed}

    def choose(value: object) -> Word:
        if isinstance(value, str) and value in by_name:
            return by_name[value]
        hint = nearest(value, by_name) if isinstance(value, str) else ""
        raise _said(f"must be {_either(by_name)}, got {shown(value)}{hint}")

    return choose


def _either(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last

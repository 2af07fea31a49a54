"""One value against one row of the table: type, range, length, closed list.

How the API counts the 500 characters of a text is not known (API.md §2). Counted here are code
points, as Python counts them; a text over 500 of those is refused. UTF-16 units, as JavaScript and
Java count, can only be more: a text of at most 500 code points that has over 500 units may still
be refused by the API, which costs nothing, so it is let through with a caution. Bytes are not
counted: no reader calls those characters, and most text that is not English would be suspect.
"""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from runner.parameters.table import ROLES, TEXT_LIMIT, Field, Kind


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason why the API would refuse a request, found before it is sent."""

    field: str
    """The field as the API names it, ``message_chain[2].message`` inside a chain, or ``provider``
    or ``method`` where the endpoint itself is wrong."""
    message: str
    """What is wrong and what is allowed instead, to follow the field's name."""
    allowed: str
    """What is allowed, by itself."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class Caution:
    """Something that the API may refuse or ignore; the sources do not settle it."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


_SHOWN: Final = 40
"""Characters of a wrong value that an error repeats."""

_OTHER_WORDS: Final = {"assistant": "ai", "model": "ai", "bot": "ai", "human": "user"}
"""What other APIs call the two roles."""


def shown(value: object) -> str:
    """*value* as an error may print it: short, on one line, nothing that a terminal obeys."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 100:  # str() of a huge one may raise
            return "a number of over 30 digits"
        case int() | float():
            return str(value)
        case str():
            cut = value[:_SHOWN]
            plain = (c if c.isprintable() and c not in '"\\' else _escaped(c) for c in cut)
            return f'"{"".join(plain)}{"…" if len(value) > _SHOWN else ""}"'
        case Mapping():
            return f"an object of {len(value)}"
        case list() | tuple():
            return f"a list of {len(value)}"
        case _:
            return f"a value of type {type(value).__name__}"


def _escaped(character: str) -> str:
    return f"\\{character}" if character in '"\\' else character.encode("unicode_escape").decode()


def did_you_mean(word: str, known: tuple[str, ...]) -> str:
    """``; did you mean ...?`` for a misspelt *word*; empty if nothing in *known* is near."""
    folded = word.strip().lower().replace("-", "_")
    near = get_close_matches(folded, known, n=1, cutoff=0.6)
    if not near and len(folded) >= 4:
        near = [name for name in known if folded in name.split("_")][:1]
    return f"; did you mean {near[0]}?" if near else ""


def check_value(field: Field, value: object) -> list[Fault]:
    """Everything wrong with *value* by itself; empty if nothing is."""
    match field.kind:
        case Kind.FLAG:
            return [] if isinstance(value, bool) else [_not_allowed(field, value)]
        case Kind.INTEGER | Kind.NUMBER:
            return [] if _in_range(field, value) else [_not_allowed(field, value)]
        case Kind.CHAIN:
            return _check_chain(field, value)
        case _ if not isinstance(value, str):
            return [_not_allowed(field, value)]
        case Kind.COUNTRY:
            return _check_country(field, value)
        case Kind.NAME if not _one_line(value):
            return [_not_allowed(field, value)]
        case _:
            return _check_text(field.name, value, field.max_length or TEXT_LIMIT, field.allowed)


def _not_allowed(field: Field, value: object) -> Fault:
    hint = "; to send no value, leave the field out" if value is None else ""
    message = f"must be {field.allowed}, got {shown(value)}{hint}"
    return Fault(field.name, message, field.allowed)


def _in_range(field: Field, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(value, float) and (field.kind is Kind.INTEGER or not math.isfinite(value)):
        return False
    over = field.maximum is not None and value > field.maximum
    under = field.minimum is not None and value < field.minimum
    return not (over or under)


def _check_country(field: Field, code: str) -> list[Fault]:
    known = code in field.choices if field.choices else _two_capitals(code)
    if known:
        return []
    upper = code.strip().upper()
    better = upper in field.choices if field.choices else _two_capitals(upper)
    hint = f"; did you mean {upper}?" if better else ""
    message = f"must be {field.allowed}, got {shown(code)}{hint}"
    return [Fault(field.name, message, field.allowed)]


def _two_capitals(code: str) -> bool:
    return len(code) == 2 and code.isascii() and code.isalpha() and code.isupper()


def _one_line(name: str) -> bool:
    return name == name.strip() and not any(unicodedata.category(c) == "Cc" for c in name)


def blank(text: str) -> bool:
    """Whether *text* shows nothing: only spaces, line ends, controls or invisible marks."""
    return all(c.isspace() or unicodedata.category(c) in ("Cc", "Cf") for c in text)


def _check_text(name: str, text: str, limit: int, allowed: str) -> list[Fault]:
    if blank(text):
        return [Fault(name, f"is empty; it must be {allowed}", allowed)]
    if len(text) > limit:
        message = f"is {len(text):,} characters long; at most {limit} are allowed"
        return [Fault(name, message, allowed)]
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = (
            f"has half of a character (a lone surrogate) at character {error.start + 1}, "
            f"which cannot be sent; it must be {allowed}"
        )
        return [Fault(name, message, allowed)]
    return []


def _check_chain(field: Field, value: object) -> list[Fault]:
    if not isinstance(value, list | tuple):
        return [_not_allowed(field, value)]
    limit = field.max_length or 0
    if not value:
        message = f"is empty; leave the field out, or give {field.allowed}"
        return [Fault(field.name, message, field.allowed)]
    faults = []
    if len(value) > limit:
        message = f"has {len(value):,} objects; at most {limit} are allowed"
        faults.append(Fault(field.name, message, field.allowed))
    # Past the limit the list is wrong as a whole: naming each of a million objects helps nobody.
    for index, item in enumerate(value[:limit]):
        faults += _check_message(f"{field.name}[{index}]", item)
    return faults


def _check_message(name: str, item: object) -> list[Fault]:
    allowed = 'an object with exactly "role" and "message"'
    if not isinstance(item, Mapping):
        return [Fault(name, f"must be {allowed}, got {shown(item)}", allowed)]
    faults = [
        Fault(name, f"has an unknown key {shown(key)}; it must be {allowed}", allowed)
        for key in item
        if key not in ("role", "message")
    ]
    faults += [
        Fault(name, f"has no {key}; it must be {allowed}", allowed)
        for key in ("role", "message")
        if key not in item
    ]
    if "role" in item and item["role"] not in ROLES:
        faults.append(_wrong_role(f"{name}.role", item["role"]))
    if "message" in item:
        faults += _check_said(f"{name}.message", item["message"])
    return faults


def _wrong_role(name: str, role: object) -> Fault:
    allowed = " or ".join(f'"{known}"' for known in ROLES)
    meant = _OTHER_WORDS.get(role.strip().lower()) if isinstance(role, str) else None
    hint = f'; did you mean "{meant}"?' if meant else ""
    return Fault(name, f"must be {allowed}, got {shown(role)}{hint}", allowed)


def _check_said(name: str, message: object) -> list[Fault]:
    allowed = f"a text of 1 to {TEXT_LIMIT} characters"
    if not isinstance(message, str):
        return [Fault(name, f"must be {allowed}, got {shown(message)}", allowed)]
    return _check_text(name, message, TEXT_LIMIT, allowed)


def utf16_units(text: str) -> int:
    """The length of *text* as JavaScript, Java and C# count it."""
    return len(text) + sum(c > "\uffff" for c in text)


def long_in_utf16(name: str, text: object, limit: int) -> list[Caution]:
    """A caution for a text within *limit* code points but over it in UTF-16 units."""
    if not isinstance(text, str) or text.isascii() or len(text) > limit:
        return []
    units = utf16_units(text)
    if units <= limit:
        return []
    return [
        Caution(
            name,
            f"is {len(text)} characters long but {units} as JavaScript counts; the limit is "
            f"{limit}, how the API counts is not known, and it may refuse this one",
        )
    ]

"""Single fields of JSON that somebody else wrote: what is missing or of a wrong type reads as None.

So one odd field never costs an answer.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

from runner.money import NANOS_PER_DOLLAR, nanos
from runner.task import RemoteId

_MAX_ID: Final = 200
_MAX_WORDS: Final = 500
_MAX_COUNT: Final = 2**63 - 1
# Two thousand times the dearest answer on record (API.md §5). A run adds its prices up in 64 bits:
# a few absurd ones would overflow the sum, and no answer could be booked any more.
_MAX_PRICE: Final = 1_000 * NANOS_PER_DOLLAR


def list_of(value: object) -> list[object]:
    """*value*, or an empty list."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str | None:
    """*value* if it is text."""
    return value if isinstance(value, str) else None


def flag_of(value: object) -> bool | None:
    """*value* if it is true or false."""
    return value if isinstance(value, bool) else None


def count_of(value: object) -> int | None:
    """A whole number from 0 that fits 64 bits; ``12.0`` is one, True is none."""
    if isinstance(value, Decimal) and 0 <= value < _MAX_COUNT and value == int(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT:
        return value
    return None


def money_of(value: object, *, negative: bool = False) -> int | None:
    """Nano-dollars; None for what is no number, too large for any price, or negative."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    try:
        amount = nanos(Decimal(value)) if value else 0
    except (ValueError, ArithmeticError):
        return None
    if negative:
        return amount
    return amount if 0 <= amount <= _MAX_PRICE else None


def id_of(value: object) -> RemoteId | None:
    """An id that can stand in a path and in a log line; any other is as good as none."""
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_ID:
        return None
    if not value.isprintable() or " " in value or "\ufffd" in value or not value.strip("."):
        return None
    return RemoteId(value)


def words_of(value: object) -> str:
    """The API's message, fit for a terminal: one line without control characters."""
    text = value[:_MAX_WORDS] if isinstance(value, str) else ""
    fit = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    return fit.strip()


def plain(value: object) -> object:
    """*value* without ``Decimal``: for fields we have no name for, near enough is enough."""
    if isinstance(value, Decimal):
        return float(value) if abs(value.adjusted()) < 300 else str(value)
    if isinstance(value, list):
        return [plain(element) for element in value]
    if isinstance(value, dict):
        return {name: plain(element) for name, element in value.items()}
    return value


_MOMENT: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2})[:-]([0-9]{2})[:-]([0-9]{2})"
    r"(?: ?(?:Z|([+-])([0-9]{2}):?([0-9]{2})))?"
)


_PLAIN: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?: ?(?:Z|\+00:00))?"
)


def moment_of(value: object) -> datetime | None:
    """``2025-07-24 19:39:46 +00:00``; the documentation's text has dashes in the time as well."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        # Nearly all are of this form, and read so in a third of the time.
        try:
            return datetime.fromisoformat(f"{value[:19]}+00:00")
        except ValueError:
            return None
    match = _MOMENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, sign, hours, minutes = match.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC
        )
        if sign is None or (hours == "00" and minutes == "00"):
            return moment
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        zone = timezone(-offset if sign == "-" else offset)
        return moment.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None

"""A request told again by what the API shows of it later."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from runner.parameters.table import TABLE
from runner.task import short_digest

_ASKED: Final = frozenset(
    field.name for fields in TABLE.values() for field in fields if not field.reserved
)
"""What a job can say. A tag and callbacks are ours, and the API may add fields of its own."""


def request_digest(request: Mapping[str, object]) -> str:
    """The same for two requests exactly if they ask the same, in 26 base32 characters."""
    asked = {k: _plain(v) for k, v in request.items() if k in _ASKED and v is not None}
    return short_digest(json.dumps(asked, sort_keys=True, default=str).encode(), 26)


def _plain(value: object) -> object:
    """1, 1.0 and a ``Decimal`` of either are one number."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return ["number", str(Decimal(str(value)).normalize())]
    return value

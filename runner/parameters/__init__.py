"""What each provider and method allows in a request; checked before anything is sent or paid.

    table ── what each field may be ──▶ values ── one value against its row
      └─────────────────────────────▶ rules  ── fields against each other ──▶ check_request

Unknown fields are an error at the API (40506, API.md §0.9), so what is not in the table is refused
here. Pure: nothing is read, nothing is asked.
"""

from runner.parameters.check import (
    check_endpoint,
    check_request,
    expensive,
    fields,
    supports,
    warnings,
)
from runner.parameters.requests import request_digest
from runner.parameters.table import CLAUDE_COUNTRIES, TABLE, TEXT_LIMIT, Field, Kind, default_method
from runner.parameters.values import Caution, Fault, shown, utf16_units

__all__ = [
    "CLAUDE_COUNTRIES",
    "TABLE",
    "TEXT_LIMIT",
    "Caution",
    "Fault",
    "Field",
    "Kind",
    "check_endpoint",
    "check_request",
    "default_method",
    "expensive",
    "fields",
    "request_digest",
    "shown",
    "supports",
    "utf16_units",
    "warnings",
]

"""One line of a run as a program reads it: the words of an export, the types of Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from runner.lifecycle import Reason, State
from runner.reports import columns
from runner.store.values import ExportLine, Run
from runner.task import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One input row × target × sample × turn, answered or not.

    Each field is called as its column in an export is.
    """

    run: str
    task_id: int
    position: int
    """Of the row in the latest load's input, from 1."""
    input: Mapping[str, object]
    """The row's cells by column: texts from a table, any JSON value from JSON."""
    duplicate_of: int | None
    """The position of the equal row that was asked in this one's place."""
    target: str
    provider: Provider
    model: str
    sample: int
    turn: int
    prompt: str
    state: State
    reason: Reason | None
    """How the task came to be failed, quarantined or cancelled."""
    error_code: int | None
    error_message: str | None
    attempts: int
    answer: str | None
    """None until the task is completed."""
    reasoning: str | None
    citation_urls: tuple[str, ...]
    """In the order of the answer; empty if it cites nothing."""
    fan_out_queries: tuple[str, ...]
    web_search: bool | None
    """Whether a search was made; asking for one does not guarantee it."""
    model_name: str | None
    """The dated version that answered."""
    input_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Decimal | None
    """What all attempts cost, exact; 0 for a duplicate, None while nothing is booked."""
    cost_evidence: str | None
    """``reported`` by the API, or at least in part ``computed``; None where no cost is told."""
    posted_at: datetime | None
    answered_at: datetime | None
    received_at: datetime | None


_NEVER_NONE: Final = ("citation_urls", "fan_out_queries")


def result_of(line: ExportLine, run: Run) -> Result:
    """*line* of *run*, typed."""
    values: dict[str, object] = dict(
        zip(columns.COLUMNS, columns.values(line, run), strict=True),
        input=msgspec.json.decode(line.cells),
    )
    values |= {name: values[name] or () for name in _NEVER_NONE}
    return msgspec.convert(values, Result)

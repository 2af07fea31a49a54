"""What is made for every row of an input, and for every time it is sent.

Apart from ``task``, so that the help, which needs a provider's name or two, imports no msgspec.
"""

from dataclasses import dataclass
from datetime import datetime

from msgspec import Struct

from runner.task import Endpoint, TaskId


# Structs and no dataclasses: some are made for every row of an input, and they are made in C.
class Ask(Struct, frozen=True, kw_only=True, gc=False):
    """One request that a row of the input stands for."""

    target: str
    """The target's name."""
    sample: int
    """From 1: the same question asked again on purpose."""
    turn: int
    """From 1: the place in a conversation."""
    body: bytes
    """The request as a JSON object with sorted keys, without a tag."""


class InputRow(Struct, frozen=True, kw_only=True, gc=False):
    """One valid row of the input, ready to be queued."""

    position: int
    """The row's number in the whole input, from 1; what `--limit` counts."""
    line: int
    """The physical line it starts on, from 1."""
    key: bytes
    """16 bytes that name the row for ever: a digest of its key columns."""
    cells: bytes
    """The whole row as a JSON object, columns in the input's order."""
    asks: tuple[Ask, ...]


class Attempt(Struct, frozen=True, kw_only=True, gc=False):
    """One task of a batch: what is sent for it and under which tag."""

    task: TaskId
    number: int
    """From 1 for each task; also the fencing token."""
    tag: str
    body: bytes
    """The request as a JSON object, without the tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Up to 100 attempts of one endpoint, whose intent to be posted is durable."""

    id: int
    endpoint: Endpoint
    attempts: tuple[Attempt, ...]
    intended_at: datetime
    deadline: datetime
    """When the reply must have come, UTC; a batch still open past it is in doubt."""
    reserve: int
    """Set aside for each attempt, in nano-dollars."""

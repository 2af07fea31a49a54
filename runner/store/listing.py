"""Which tasks are meant, and what can be seen of them one by one.

A ``Selection`` is what ``--state``, ``--provider``, ``--where`` and their like come to. Listing,
counting, exporting and whatever changes many tasks at once read it the same way, so that what was
listed is what is changed.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from runner.lifecycle import State
from runner.money import Evidence
from runner.store.amounts import Money
from runner.task import Endpoint, TaskId

if TYPE_CHECKING:
    # Selections are of the command line, whose help imports nothing that takes time.
    from runner.answer import Citation


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Tasks that fulfil everything said here; by default all of the store."""

    runs: frozenset[int] | None = None
    states: frozenset[State] | None = None
    providers: frozenset[str] | None = None
    models: frozenset[str] | None = None
    """As asked for, not the dated version that answered."""
    codes: frozenset[int] | None = None
    """The API's code of the latest attempt."""
    since: datetime | None = None
    """The latest thing happened to the task then or later (``TaskLine.moved_at``)."""
    until: datetime | None = None
    """It happened before."""
    where: tuple[tuple[str, str], ...] = ()
    """Cells of the input row and the text that each must be; a column may be a dotted path."""
    tasks: frozenset[int] | None = None
    gone: bool = False
    """Only pending tasks that the input of their run does not ask any more."""
    limit: int | None = None
    """At most so many, those with the lowest ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLine:
    """One task as a list shows it."""

    id: TaskId
    run: int
    target: str
    endpoint: Endpoint
    model: str
    sample: int
    turn: int
    state: State
    reason: str
    """Empty where the state says all; ``pruned`` where prompt and answer are deleted."""
    changed: bool
    """Its request in the input differs from the one queued."""
    attempts: int
    polls: int
    """How often the latest attempt was asked for."""
    code: int | None
    """The API's code of the latest attempt."""
    message: str | None
    remote_id: str | None
    posted_at: datetime | None
    moved_at: datetime
    """The latest thing that happened to it: its attempt ended, was accepted or was intended; for
    a task never tried, when its row was last loaded."""
    charged: int
    """What all its attempts cost, nano-dollars."""
    cells: str
    """Its row of the input as a JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDetail:
    """The answer that an attempt brought."""

    received_at: datetime
    answered_at: datetime | None
    """The API's word."""
    model_name: str | None
    input_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    web_search: bool | None
    money_spent: int
    """Nano-dollars."""
    answer: str
    reasoning: str | None
    fan_out_queries: tuple[str, ...] | None
    parse_error: str | None
    """Why the reply could not be read; its bytes are kept."""
    citations: tuple["Citation", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDetail:
    """One possible charge for a task, with everything that is known of it."""

    number: int
    batch: int
    state: str
    model: str
    tag: str
    remote_id: str | None
    code: int | None
    message: str | None
    intended_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None
    money: Money
    evidence: Evidence | None
    """Whose figure the charge is."""
    result: ResultDetail | None
    reply_bytes: int | None
    """Size of the raw reply as stored; None if none is."""
    account: str | None = None
    """What the account is called that it was asked with; None for the only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDetail:
    """Everything about one task."""

    line: TaskLine
    body: str | None
    """The request as it is asked, a JSON object; None once it was pruned."""
    edited_body: str | None
    """What the input has now, where that differs and nobody has decided yet."""
    parameters: str
    """The target's own, a JSON object."""
    source: str | None
    """The input file of the row."""
    source_line: int | None
    due_at: datetime | None
    """When it next wants attention."""
    tries: int
    """Failures that the API reported."""
    allowed_tries: int
    attempts: tuple[AttemptDetail, ...]


class Listing(Protocol):
    """What a store can tell of single tasks; nothing here changes any."""

    def tasks(self, which: Selection) -> AsyncIterator[list[TaskLine]]:
        """The tasks that *which* means by ascending id, some hundred at a time.

        Each is told once, as it is when its page is read.
        """

    async def count_tasks(self, which: Selection) -> int:
        """How many *which* means."""

    async def task(self, id: int) -> TaskDetail | None:
        """Everything about one task; None if there is none of that id."""

    async def reply(self, task: int, attempt: int) -> bytes | None:
        """The API's reply to an attempt, zlib-compressed; None if none is stored."""

    async def unknown_tasks(self, ids: Sequence[int]) -> list[int]:
        """Those of *ids* that no task has, in their order."""

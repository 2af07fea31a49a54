"""What a person decides about tasks that nobody else can: the verbs behind ``runner resolve``.

    quarantined ── adopt ──────▶ posted                the person gives the API's id
                ├─ ask_absent ─▶ pending               it is not at the API: ask it anew
                └─ write_off ──▶ failed(written_off)   nobody will ever know

Each may be called by any process while an engine works on the same store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runner.lifecycle import State
from runner.store.amounts import Money
from runner.store.listing import Selection
from runner.task import Endpoint, RemoteId, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A quarantined task, with what it takes to decide about it."""

    task: TaskId
    attempt: int
    tag: str
    """What to look for at the API."""
    run: int
    endpoint: Endpoint
    at_risk: int
    """Nano-dollars that it may have cost."""
    account: str | None = None
    """What the account is called that it was posted with; None for the only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """How much there is in a store: what ``verify`` went through."""

    runs: int
    rows: int
    states: Mapping[State, int]
    """Tasks in each state."""
    attempts: int
    answers: int
    incidents: int
    """Those that are open."""
    money: Money


class Resolving(Protocol):
    """The verbs of ``runner resolve`` and ``runner verify``.

    All that change tasks touch only those that are still quarantined at the attempt named.
    """

    async def held(self, which: Selection) -> list[Held]:
        """The quarantined tasks that *which* means, by ascending id."""

    async def adopt(self, task: int, attempt: int, remote_id: RemoteId, *, now: datetime) -> bool:
        """The task is the API's *remote_id*: posted from now on; False if it is not held any more.

        Raises:
            WrongInput: another attempt has that id, or an incident is about it.
        """

    async def ask_absent(self, attempts: Sequence[tuple[int, int]], *, now: datetime) -> int:
        """These (task, attempt) are not at the API: pending again; returns how many.

        What was at risk for them no longer is.
        """

    async def write_off(self, attempts: Sequence[tuple[int, int]], *, now: datetime) -> int:
        """These (task, attempt) are given up; returns how many. Their money stays at risk."""

    async def contents(self) -> Contents:
        """How much there is; reads the whole store."""

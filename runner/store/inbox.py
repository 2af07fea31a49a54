"""What the API delivered by itself, between its arrival and its booking."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from runner.lifecycle import State
from runner.store.endings import Posted
from runner.task import Provider, RemoteId, TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One postback as it came; its signature was checked, nothing else."""

    remote_id: RemoteId
    tag: str
    body: bytes = field(repr=False)
    """Mostly gzip; empty for a mere word that the task is done."""


class Standing(StrEnum):
    """How a delivery stands to what we know of its tag."""

    OPEN = "open"
    """The attempt waits at the API under this very id: its answer is booked."""
    UNDER_WAY = "under_way"
    """The attempt is just being posted: the reply will bring its id."""
    HINT = "hint"
    """An id that we do not have for the attempt: to be looked at under that id."""
    OVER = "over"
    """The attempt has ended: nothing is left to do."""
    FOREIGN = "foreign"
    """No attempt of this store's that an answer could be delivered for: Live ones have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A delivery that waits to be booked."""

    id: int
    delivery: Delivery
    """Without its body, unless it is to be booked."""
    standing: Standing
    posted: Posted | None = None
    """The task, as fetchers see it; None without an attempt or before its id is known."""
    provider: Provider | None = None
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """A finished task whose postback never came."""

    task: TaskId
    attempt: int
    remote_id: RemoteId


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """What a monitor wants to know of the store."""

    states: Mapping[State, int]
    charged: int
    """Nano-dollars, as the next two."""
    reserved: int
    at_risk: int
    posts: int
    """Posts and Live calls ever intended."""
    inbox: int
    """Deliveries that wait to be booked."""
    oldest_delivery_at: datetime | None
    oldest_posted_at: datetime | None


class Inbox(Protocol):
    """The receiver's verbs, which any process may use, and the engine's."""

    async def deliver(self, deliveries: Sequence[Delivery], *, now: datetime) -> int:
        """Keep *deliveries*, in one transaction; returns how many were not there already.

        Durable when it returns.
        """

    async def letters(
        self, *, after: int, limit: int, most_bytes: int, account: int | None = None
    ) -> list[Letter]:
        """The next deliveries behind the one numbered *after*, oldest first.

        As many as their bodies fit into *most_bytes*, but at least one, and at most *limit*.
        *account*: only what is about attempts that it was asked with, or about none.
        """

    async def drop_letters(self, letters: Sequence[int]) -> None:
        """Forget these; nothing is to be booked of them."""

    async def undelivered(
        self, limit: int, *, now: datetime, account: int | None = None
    ) -> list[Undelivered]:
        """Tasks posted with a postback, or those of *account*, that the ready list has shown for a
        while: each once, for they count as asked to be sent again from here on."""

    async def gauges(self) -> Gauges:
        """Counts and sums; costs the same however many tasks there are."""

    async def prove_writable(self, *, now: datetime) -> None:
        """Write something and sync it.

        Raises:
            StoreUnwritable: that failed.
        """

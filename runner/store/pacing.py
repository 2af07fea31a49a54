"""What the store does for the pace of calls, in addition to ``protocol.TaskStore``.

kinds with a limit of a few calls a minute ... a log of their moments: ``take_slot``
all calls of an account ...................... PostgreSQL only, where many hosts share it: a row
                                               that gives out slices (`postgres.rating`)
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from runner.pacing import Ask, Kind, Slice


@dataclass(frozen=True, slots=True)
class Rate:
    """What the hosts of a store may together use of an account."""

    account: int
    per_minute: int
    """Calls a minute, after all that the replies have taught, when last asked for."""
    granted: int
    """Calls ever given out."""


class Pacing(Protocol):
    """Verbs about when calls may leave."""

    async def take_slot(self, account: int, kind: Kind, *, now: datetime) -> int:
        """Note that a call of *kind* leaves now and return 0, if its limit allows one more.

        Else note nothing, and return the milliseconds until it may. Whoever else takes one at the
        same time: both never get the last one. Calls older than two minutes are forgotten. Where
        the log's clock was set back, its calls count as newer than they are, for a minute at most.
        """


@runtime_checkable
class SharedPacing(Protocol):
    """What a store does beside that many hosts use at once."""

    async def take_slice(self, account: int, ask: Ask) -> Slice:
        """Calls of *account* for the coming second (``runner.pacing.shared``).

        Raises:
            StoreUnwritable: the store is away, or too slow for it to be of use.
        """

    async def account_rates(self) -> list[Rate]:
        """What the hosts together may use of each account that was called."""

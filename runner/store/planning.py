"""What the planner of the collecting asks of a store."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from runner.curve import Curve


class Kind(NamedTuple):
    """What tasks have in common whose answers take about as long."""

    endpoint: str
    """As ``Endpoint`` writes itself."""
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A curve as it is kept."""

    curve: Curve
    first_ask: timedelta | None
    """The age at which a task is first asked for by its id while no list is trusted; None: the
    curve does not say."""


class Planning(Protocol):
    """The verbs of planned asking."""

    async def curves(self) -> Mapping[Kind, Curve]:
        """The curves that earlier starts have learned."""

    async def keep_curves(self, curves: Mapping[Kind, Kept], *, now: datetime) -> None:
        """Keep *curves*; others stay as they are."""

    async def hasten(
        self,
        limit: int,
        *,
        older: Mapping[Kind, datetime],
        now: datetime,
        again: bool = False,
        account: int | None = None,
    ) -> int:
        """Make up to *limit* posted tasks due that wait for a list or an age; returns how many.

        Of each kind those posted at or before the moment in *older*, the oldest first. Only those
        never asked for, or with *again* only the others, and none that the API delivers by itself.
        *account*: only those that were posted with it.
        """

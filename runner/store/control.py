"""What a person may do to runs: hold them, drop what still waits, thin out what is over.

Every verb may be called by any process while an engine works on the same store: it is one short
transaction, or many one after the other, and the engine sees it at its next step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from runner.store.listing import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A person's word that nothing is to be posted; what is at the API is collected all the same.

    It is for one run, for a job and all its runs, later ones too, or for the whole store.
    """

    job: str | None = None
    run: int | None = None
    since: datetime
    until: datetime | None = None
    """When it ends by itself; None if only `resume` ends it."""
    reason: str = ""

    @property
    def scope(self) -> str:
        """What `pause` and `resume` call it: a job's name, ``r42``, or nothing."""
        return f"r{self.run}" if self.run is not None else self.job or ""

    def __str__(self) -> str:
        """``paused until 2026-11-22 06:00 UTC: maintenance``."""
        words = "paused" if self.until is None else f"paused until {self.until:%Y-%m-%d %H:%M} UTC"
        return f"{words}: {self.reason}" if self.reason else words


class Keep(StrEnum):
    """What of a finished run outlives a prune. Money, counts and states always do."""

    COSTS = "costs"
    """Those alone: prompts, input cells, answers and raw replies go."""
    ANSWERS = "answers"
    """All that exports and lists show: only the API's raw replies go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What a prune deletes, or would."""

    answers: int = 0
    replies: int = 0
    """Raw replies of the API."""
    bytes: int = 0
    """Of texts and compressed replies. The file keeps its size and fills the room again."""

    def __add__(self, other: "Pruned") -> "Pruned":
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Pruned(**sums)


class Control(Protocol):
    """The verbs of a person who is not the engine."""

    async def pause(
        self,
        *,
        job: str | None = None,
        run: int | None = None,
        until: datetime | None = None,
        reason: str = "",
        now: datetime,
    ) -> Pause:
        """Post nothing more of *job*, of *run*, or, with neither, of the whole store.

        Whoever pauses the same again says how long and why anew. One whose end is over holds
        nothing.

        Raises:
            WrongInput: there is no such job.
        """

    async def resume(
        self, *, job: str | None = None, run: int | None = None, now: datetime
    ) -> Pause | None:
        """End the pause of exactly that; None if there was none. Others go on."""

    async def pauses(self, *, now: datetime) -> list[Pause]:
        """Those that hold *now*, oldest first."""

    async def cancel(self, which: Selection) -> int:
        """Drop the pending tasks that *which* means; returns how many.

        In chunks: a task that was posted meanwhile is left alone. Edits that waited for a decision
        go with their tasks. What is out, or quarantined, is collected as ever, and is cancelled
        instead of being posted anew, until a person asks it again; not so with a limit or states.
        """

    async def prunable(self, runs: Sequence[int], *, before: datetime) -> list[int]:
        """Those of *runs* in which nothing waits and nothing has happened since *before*."""

    async def prune_size(self, run: int, *, keep: Keep) -> Pruned:
        """What `prune` would delete of *run*."""

    async def prune(self, run: int, *, keep: Keep, now: datetime) -> Pruned:
        """Delete what *keep* does not keep of the run's tasks that have ended, chunk by chunk.

        Tasks that wait, are quarantined, or have an edit to be decided are left whole. With
        ``Keep.COSTS`` the run is marked (``Run.pruned_at``): its exports hold no answers any more.
        """

"""What a store knows of money from before: what answers have cost, and what may be spent now."""

from dataclasses import dataclass
from typing import Protocol

from runner.task import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHistory:
    """A target of a run: what is left to post of it, and what its like has cost."""

    name: str
    endpoint: Endpoint
    model: str
    tasks: int
    to_post: int
    """Pending tasks that may be posted, follow-ups that wait for a first answer included."""
    reserve: int
    """What is set aside for one attempt now, nano-dollars."""
    answers: int
    """How many answers of its endpoint, model, search and reasoning there were."""
    charges: tuple[int, ...]
    """What the last of them cost, at most a thousand, nano-dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRequest:
    """A request as it would be sent."""

    line: int
    """Of the input, where its row stands."""
    target: str
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What this store's tasks have cost so far, nano-dollars, and up to where that was counted."""

    charged: int
    held: int
    """Reserved or at risk: may still be charged, or come back."""
    newest_batch: int
    """0: there is none."""
    beside: int
    """Advances of tasks that the API took twice and has not answered yet."""


class History(Protocol):
    """A store's memory of money."""

    async def target_history(self, run: int) -> list[TargetHistory]:
        """The run's targets in their order, with what their like has cost."""

    async def first_requests(self, run: int, limit: int) -> list[FirstRequest]:
        """The first requests that would be posted, each of another row."""

    async def spent(self, *, account: int | None = None) -> Spent:
        """Of the whole store, or of *account* alone."""

    async def spent_on(self, job: str, day: int) -> int:
        """What attempts of *job* begun on *day* (days since 1970, UTC) cost or may cost."""

    async def remember_limits(self, run: int, budget: int | None, hold: int | None) -> None:
        """What the latest start was given on its command line; None: nothing."""

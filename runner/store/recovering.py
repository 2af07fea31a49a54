"""What the store knows of its own past: copied, claimed, put back, killed again and again."""

import json
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from runner.parameters import request_digest
from runner.store.reconciling import Sighting
from runner.task import Endpoint, Method


class Doubted(StrEnum):
    """Why a store may not know all that was posted in its name."""

    BEHIND = "behind"
    """Its side file names a newer batch than it has: an older copy was put back."""
    CLAIMED = "claimed"
    """It was copied to this host, and the other copy may have gone on."""
    NO_MARK = "no_mark"
    """It has runs and no side file: it was moved, or copied."""
    COPIED = "copied"
    """It is a backup that was put in a store's place."""
    REPLACED = "replaced"
    """Its side file is another store's that has posted: deleted since, or of before this copy had a
    name. What it has paid for may be what this one would ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlisted:
    """The account has to be listed before anything is posted."""

    why: Doubted
    newest: datetime | None
    """The newest intent, or where there is none the time when the store was made; None where
    another store has posted, nobody knows when."""
    by_api: bool
    """Whether *newest* is of the API's time; else of our clock."""
    accepted: datetime | None = None
    """The newest intent of this account's of which the API took tasks that the store knows: a
    listing from then on has to show one. None if there is none."""
    accepted_by_api: bool = False
    """The same of *accepted*."""
    since_api: datetime | None = None
    """The API's time when a listing was first asked for."""
    clean_api: datetime | None = None
    """The API's time of the first listing that counts and has brought nothing new since, so that
    the wait goes on across starts."""
    strangers: bool = False
    """A listing has shown something of the store's that it did not know."""

    @property
    def owes(self) -> bool:
        """Whether something was certainly sent that the store does not know."""
        return self.why in {Doubted.BEHIND, Doubted.REPLACED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the account's listing came to."""

    at: datetime | None
    """The API's time; None if it is not known."""
    counts: bool | None
    """Whether it can be relied on; None if it could not be read."""
    news: bool = False
    """It brought something that no look before it had: it lags, and may bring more."""
    strangers: bool = False
    """As in ``Unlisted``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """What would be paid twice if all that waits had been posted before."""

    tasks: int
    reserve: int
    """Nano-dollars that posting them sets aside."""


def asks_the_same(body: str | None, endpoint: str, sighting: Sighting) -> bool:
    """Whether what is seen at the API is word for word the request *body*, and can be fetched.

    Within a store a tag tells that. Another store may have asked another question, or another
    model, for the same row of the same job.
    """
    live = sighting.live or Endpoint.parse(endpoint).method is Method.LIVE
    if body is None or sighting.request is None or live:
        return False
    return request_digest(json.loads(body)) == sighting.request


class Recovering(Protocol):
    """The verbs of a start that cannot take the store at its word."""

    async def unlisted(self, *, account: int | None = None) -> Unlisted | None:
        """Why and from when to list before the first post; None if there is no reason to, or none
        to list *account*, which was listed."""

    async def note_look(self, look: Look, *, account: int | None = None) -> None:
        """Remember how far the waits have come."""

    async def pending_prompts(self, prompts: Collection[str]) -> Mapping[Endpoint, Set[str]]:
        """Where tasks wait to be posted, and those of *prompts* that are among theirs."""

    async def at_stake(self) -> Stake:
        """What is paid twice in the worst case where the store is wrongly taken at its word."""

    async def adopt_orphans(self, *, now: datetime) -> int:
        """Tasks that were loaded since an orphan of theirs was found are posted under its id, and
        its incident is closed; returns how many."""

    async def listed(self, *, account: int | None = None, among: Collection[int] = ()) -> None:
        """All that was posted in this store's name, or with *account*, is known: once that holds
        for all *among* which it is, posting may begin."""

"""What the store knows of its own past: copied, claimed, put back, killed again and again."""

import json
from collections.abc import Collection
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
    clean_api: datetime | None
    """The API's time of the first listing since, so that the wait goes on across starts."""


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

    async def note_listing(self, *, at: datetime, account: int | None = None) -> None:
        """Remember the API's time of the first listing, unless an earlier one is known."""

    async def adopt_orphans(self, *, now: datetime) -> int:
        """Tasks that were loaded since an orphan of theirs was found are posted under its id, and
        its incident is closed; returns how many."""

    async def listed(self, *, account: int | None = None, among: Collection[int] = ()) -> None:
        """All that was posted in this store's name, or with *account*, is known: once that holds
        for all *among* which it is, posting may begin."""

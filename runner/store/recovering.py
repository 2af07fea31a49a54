"""What the store knows of its own past: copied, claimed, put back, killed again and again."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Doubted(StrEnum):
    """Why a store may not know all that was posted in its name."""

    BEHIND = "behind"
    """Its side file names a newer batch than it has: an older copy was put back."""
    CLAIMED = "claimed"
    """It was copied to this host, and the other copy may have gone on."""
    NO_MARK = "no_mark"
    """It has batches and no side file: it was moved, or copied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlisted:
    """The account has to be listed before anything is posted."""

    why: Doubted
    newest: datetime | None
    """The newest intent, or where there is none the oldest run; None for a store with neither."""
    by_api: bool
    """Whether *newest* is of the API's time; else of our clock."""
    clean_api: datetime | None
    """The API's time of the first listing since, so that the wait goes on across starts."""


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

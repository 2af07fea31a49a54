"""Reads the account's listing of a time window whole, although its pages move under the reader.

The rows are sorted by execution time, so a task that ends moves others from page to page
(RECONCILING.md C2). A listing of several pages therefore counts only when two passes in a row
showed the same tasks; one that fits a single page cannot tear.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from runner.api.client import MOST_LISTED
from runner.api.errors import ApiError, CredentialsBlocked, RateLimited, Unreachable
from runner.api.wire import Listed
from runner.pacing import Priority
from runner.pipeline.account import heard, heed
from runner.pipeline.engine import Engine
from runner.store.reconciling import Sighting
from runner.task import Tag

log = structlog.get_logger()

PASSES: Final = 6
"""After so many that differ, the listing is begun anew later."""


@dataclass(slots=True)
class Listing:
    """A complete listing of the tasks posted from *start* to *end*, in the API's time."""

    start: datetime
    end: datetime
    ids: set[str] = field(default_factory=set)
    ours: list[Sighting] = field(default_factory=list)
    """Rows with a tag of our form."""
    others: list[Listed] = field(default_factory=list)
    """Rows that have no tag at all."""
    described: bool = True
    """Every row carries the parameters of its post."""
    pages: int = 0

    def add(self, rows: list[Listed]) -> None:
        """Take in one page."""
        self.pages += 1
        for row in rows:
            if row.id in self.ids:
                continue
            self.ids.add(row.id)
            self.described &= row.described
            if row.tag is None:
                self.others.append(row)
            elif Tag.parse(row.tag) is not None:
                self.ours.append(
                    Sighting(
                        tag=row.tag,
                        remote_id=row.id,
                        cost=row.cost_nanousd,
                        posted_at=row.posted_at,
                        request=row.request,
                        live=row.live,
                    )
                )


async def read_listing(engine: Engine, start: datetime, end: datetime) -> Listing | None:
    """All rows of the window; None if they cannot be had now, which is logged."""
    before: set[str] | None = None
    for _ in range(PASSES):
        listing = await _one_pass(engine, start, end)
        if listing is None or listing.pages == 1 or listing.ids == before:
            return listing
        before = listing.ids
    log.warning("reconciler.listing_unsteady", passes=PASSES)
    return None


async def _one_pass(engine: Engine, start: datetime, end: datetime) -> Listing | None:
    listing = Listing(start, end)
    offset = 0
    while True:
        try:
            rows = await engine.api.id_list(
                start, end, offset=offset, limit=MOST_LISTED, priority=Priority.RECONCILE
            )
        except ApiError as error:
            take_note(engine, error)
            return None
        heard(engine)
        listing.add(rows)
        offset += len(rows)
        if len(rows) < MOST_LISTED:
            return listing


def take_note(engine: Engine, error: ApiError) -> None:
    """A listing could not be had: a warning, and what it says of the account is heeded."""
    # What the API says about this call need not hold for the others: whether the listing exists
    # for this API at all is documented but never seen (API.md §7).
    if isinstance(error, CredentialsBlocked | RateLimited | Unreachable):
        heed(engine, error)
    log.warning("reconciler.no_listing", why=error.what, code=error.code)

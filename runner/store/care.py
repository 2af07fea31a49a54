"""Care of the store itself: how it fares, and whether it went on elsewhere."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from runner.store.inbox import Inbox

MOST_DEAD: Final = 50_000
"""Dead rows of a table that nobody need be told of, however few are alive."""

MOST_DEAD_SHARE: Final = 0.5
"""Dead rows by living ones: above both, vacuum does not keep up."""

LONGEST_TRANSACTION: Final = timedelta(minutes=10)
"""No transaction of ours takes as long, and none that does lets vacuum remove a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableHealth:
    """One table that is rewritten all the time; both counts are the server's own estimates."""

    name: str
    live: int
    dead: int
    """Versions of rows that nobody needs any more, and that vacuum has not removed yet."""
    vacuumed_at: datetime | None
    """When vacuum last ended, by itself or called; None if it never did."""

    @property
    def neglected(self) -> bool:
        """Whether vacuum does not keep up."""
        return self.dead > MOST_DEAD and self.dead > self.live * MOST_DEAD_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the store fares. A file has a size, and nothing else that could go wrong unseen."""

    bytes: int
    tables: tuple[TableHealth, ...] = ()
    oldest_transaction: timedelta | None = None
    """For how long it has been open; None if there is none that we may see."""

    def warnings(self) -> Iterator[str]:
        """What a person should look at, a sentence each."""
        for each in self.tables:
            if each.neglected:
                last = f"{each.vacuumed_at:%Y-%m-%d %H:%M} UTC" if each.vacuumed_at else "never"
                yield (
                    f"table {each.name} has {each.dead:,} dead rows to {each.live:,} living ones,"
                    f" last vacuumed: {last}; claims slow down: look for what holds autovacuum back"
                )
        if self.oldest_transaction is not None and self.oldest_transaction > LONGEST_TRANSACTION:
            minutes = self.oldest_transaction // timedelta(minutes=1)
            yield (
                f"a transaction has been open for {minutes:,} minutes: while it is, no dead row is"
                " removed; find it in pg_stat_activity by xact_start and end it"
            )


class Care(Protocol):
    """What is asked of a store as a place, whatever is queued in it."""

    async def health(self) -> Health:
        """How the store fares now; costs the same however many tasks there are."""

    async def moved_to(self) -> str | None:
        """Where this store went on; None while it is the one that counts."""

    async def mark_moved(self, place: str | None) -> None:
        """Write down that the store goes on at *place*; None: it goes on here."""


class Watched(Inbox, Care, Protocol):
    """What a receiver needs of a store: a place for deliveries, and what there is to tell of it."""

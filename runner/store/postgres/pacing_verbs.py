"""The PostgreSQL store's share in the pace of calls: ``runner.store.pacing.Pacing``, and slices."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from runner.clock import to_ms
from runner.pacing import LIMITS_PER_KIND, Ask, Kind, Slice, next_slot
from runner.store.pacing import Rate
from runner.store.postgres import rating
from runner.store.postgres.connection import Connection, Db

_SLOTS: Final = 0x72756E73
"""Class of the advisory locks that keep two hosts from taking the same slot."""


class PacingVerbs:
    """Each is one transaction on a connection of its own: a call does not wait for a long write."""

    _pacing: Connection
    _reader: Connection

    async def take_slot(self, account: int, kind: Kind, *, now: datetime) -> int:
        return await self._pacing.once(_take_slot, account, kind)

    async def take_slice(self, account: int, ask: Ask) -> Slice:
        """Calls of *account* for the coming second (``runner.pacing.shared``), and what it costs
        nothing to tell on the way.

        Raises:
            StoreUnwritable: the server is away or too slow for it to be of use.
        """
        return await self._pacing.once(rating.take_slice, account, ask)

    async def account_rates(self) -> list[Rate]:
        """What the hosts together may use of each account."""
        return await self._reader.read(rating.account_rates)


def _take_slot(db: Db, time_of: Callable[[Db], datetime], account: int, kind: Kind) -> int:
    db.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_SLOTS, f"{account} {kind}"))
    # Only now: it may have taken a while to get the lock.
    now = time_of(db)
    log = {
        "account": account,
        "kind": str(kind),
        "now": to_ms(now),
        "old": to_ms(now - timedelta(minutes=2)),
    }
    rows = db.execute(
        "SELECT at FROM calls WHERE account_id = %(account)s AND kind = %(kind)s", log
    )
    wait_ms = next_slot([at for (at,) in rows], to_ms(now), LIMITS_PER_KIND[kind])
    if wait_ms == 0:
        db.execute(
            "DELETE FROM calls WHERE account_id = %(account)s AND kind = %(kind)s AND at < %(old)s",
            log,
        )
        db.execute(
            "INSERT INTO calls (account_id, kind, at) VALUES (%(account)s, %(kind)s, %(now)s)", log
        )
    return wait_ms

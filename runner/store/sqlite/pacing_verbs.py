"""The SQLite store's share in the pace of calls: ``runner.store.pacing.Pacing``."""

import sqlite3
from datetime import datetime, timedelta

from runner.clock import to_ms
from runner.pacing import LIMITS_PER_KIND, Kind, next_slot
from runner.store.sqlite.connection import Connection


class PacingVerbs:
    """One transaction."""

    _writer: Connection

    async def take_slot(self, account: int, kind: Kind, *, now: datetime) -> int:
        return await self._writer.write(_take_slot, account, kind, now=now)


def _take_slot(db: sqlite3.Connection, account: int, kind: Kind, *, now: datetime) -> int:
    log = {"account": account, "kind": str(kind), "now": to_ms(now)}
    rows = db.execute("SELECT at FROM calls WHERE account_id = :account AND kind = :kind", log)
    wait_ms = next_slot([at for (at,) in rows], to_ms(now), LIMITS_PER_KIND[kind])
    if wait_ms == 0:
        db.execute(
            "DELETE FROM calls WHERE account_id = :account AND kind = :kind AND at < :old",
            log | {"old": to_ms(now - timedelta(minutes=2))},
        )
        db.execute("INSERT INTO calls (account_id, kind, at) VALUES (:account, :kind, :now)", log)
    return wait_ms

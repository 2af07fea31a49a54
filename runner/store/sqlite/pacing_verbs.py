"""The SQLite store's share in the pace of calls: ``runner.store.pacing.Pacing``."""

import sqlite3
from datetime import datetime, timedelta
from typing import Final

from runner.clock import Clock, to_ms
from runner.pacing import LIMITS_PER_KIND, Kind, next_slot, set_back_ms
from runner.store.sqlite.connection import Connection
from runner.store.workers import this_boot

_CLOCK: Final = "calls_clock"
"""Under this name: which start of the machine the log is of, and what its clock said at the zero of
its monotonic time."""

_SET_MS: Final = 1_000
"""A clock that differs from monotonic time by more was set; one that is merely slewed does not."""


class PacingVerbs:
    """One transaction."""

    _writer: Connection
    _clock: Clock

    async def take_slot(self, account: int, kind: Kind, *, now: datetime) -> int:
        monotonic_ms = int(self._clock.monotonic() * 1000)
        return await self._writer.write(_take_slot, account, kind, monotonic_ms, now=now)


def _take_slot(
    db: sqlite3.Connection, account: int, kind: Kind, monotonic_ms: int, *, now: datetime
) -> int:
    log = {"account": account, "kind": str(kind), "now": to_ms(now)}
    _follow_clock(db, to_ms(now) - monotonic_ms)
    rows = db.execute("SELECT at FROM calls WHERE account_id = :account AND kind = :kind", log)
    times = [at for (at,) in rows]
    if back_ms := set_back_ms(times, to_ms(now)):
        times = [at - back_ms for at in times]
        db.execute(
            "UPDATE calls SET at = at - :back WHERE account_id = :account AND kind = :kind",
            log | {"back": back_ms},
        )
    wait_ms = next_slot(times, to_ms(now), LIMITS_PER_KIND[kind])
    if wait_ms == 0:
        db.execute(
            "DELETE FROM calls WHERE account_id = :account AND kind = :kind AND at < :old",
            log | {"old": to_ms(now - timedelta(minutes=2))},
        )
        db.execute("INSERT INTO calls (account_id, kind, at) VALUES (:account, :kind, :now)", log)
    return wait_ms


def _follow_clock(db: sqlite3.Connection, zero_ms: int) -> None:
    """Date the log anew if the clock was set since its last call, ahead or back.

    Monotonic time tells by how much, in whichever process of one start of the machine. *zero_ms* is
    what the clock of now would have said at the zero of that time.
    """
    # The machine's; of containers on it each has its processes, and all have its time.
    boot, _, _ = this_boot().partition(":")
    row = db.execute("SELECT value FROM install WHERE name = ?", (_CLOCK,)).fetchone()
    noted, _, before_ms = row[0].rpartition(" ") if row else ("", "", "0")
    step_ms = zero_ms - int(before_ms) if boot and noted == boot else 0
    if not boot or (noted == boot and abs(step_ms) < _SET_MS):
        return
    if step_ms:
        db.execute("UPDATE calls SET at = at + ?", (step_ms,))
    db.execute(
        "INSERT OR REPLACE INTO install (name, value) VALUES (?, ?)", (_CLOCK, f"{boot} {zero_ms}")
    )

"""The PostgreSQL store's share in the pace of calls: ``runner.store.pacing.Pacing``, and slices."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from runner.clock import Clock, to_ms
from runner.pacing import LIMITS_PER_KIND, Ask, Kind, Slice, next_slot, set_back_ms
from runner.store.pacing import Rate
from runner.store.postgres import rating
from runner.store.postgres.connection import Connection, Db

_SLOTS: Final = 0x72756E73
"""Class of the advisory locks that keep two hosts from taking the same slot."""

_SET_AHEAD_MS: Final = 1_000
"""A smaller step ahead of the server's clock is within the jitter that a log allows for."""


class PacingVerbs:
    """Each is one transaction on a connection of its own: a call does not wait for a long write."""

    _pacing: Connection
    _reader: Connection
    _clock: Clock
    _zeros_ms: dict[tuple[int, Kind], int]
    """What the server's clock would have said at the zero of our monotonic time, when a slot was
    last asked for."""

    async def take_slot(self, account: int, kind: Kind, *, now: datetime) -> int:
        before_ms = self._zeros_ms.get((account, kind))
        wait_ms, zero_ms = await self._pacing.once(
            _take_slot, account, kind, self._clock.monotonic, before_ms
        )
        self._zeros_ms[account, kind] = zero_ms
        return wait_ms

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


def _take_slot(
    db: Db,
    time_of: Callable[[Db], datetime],
    account: int,
    kind: Kind,
    monotonic: Callable[[], float],
    before_ms: int | None,
) -> tuple[int, int]:
    """The wait, and what the server's clock would have said at the zero of *monotonic* time.

    *before_ms* is the same of the last look, if there was one.
    """
    db.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_SLOTS, f"{account} {kind}"))
    # Only now: it may have taken a while to get the lock.
    now = time_of(db)
    zero_ms = to_ms(now) - int(monotonic() * 1000)
    log = {
        "account": account,
        "kind": str(kind),
        "now": to_ms(now),
        "old": to_ms(now - timedelta(minutes=2)),
    }
    if before_ms is not None and (ahead_ms := zero_ms - before_ms) > _SET_AHEAD_MS:
        # The clock was set, or another server's is read. What another host has dated anew already
        # is younger than that.
        db.execute(
            """
            UPDATE calls SET at = at + %(ahead)s
             WHERE account_id = %(account)s AND kind = %(kind)s AND at <= %(now)s - %(ahead)s
            """,
            log | {"ahead": ahead_ms},
        )
    rows = db.execute(
        "SELECT at FROM calls WHERE account_id = %(account)s AND kind = %(kind)s", log
    )
    times = [at for (at,) in rows]
    if back_ms := set_back_ms(times, to_ms(now)):
        times = [at - back_ms for at in times]
        db.execute(
            "UPDATE calls SET at = at - %(back)s"
            " WHERE account_id = %(account)s AND kind = %(kind)s",
            log | {"back": back_ms},
        )
    wait_ms = next_slot(times, to_ms(now), LIMITS_PER_KIND[kind])
    if wait_ms == 0:
        db.execute(
            "DELETE FROM calls WHERE account_id = %(account)s AND kind = %(kind)s AND at < %(old)s",
            log,
        )
        db.execute(
            "INSERT INTO calls (account_id, kind, at) VALUES (%(account)s, %(kind)s, %(now)s)", log
        )
    return wait_ms, zero_ms

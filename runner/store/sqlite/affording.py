"""How many more attempts the limits leave room for; asked in the transaction of the intent."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from runner.clock import to_ms
from runner.store.sqlite.history import out
from runner.store.values import Ceiling, Idle
from runner.task import Gateway

_DAY_MS: Final = 86_400_000


def affordable(
    db: sqlite3.Connection,
    run: int,
    endpoint: str,
    reserve: int,
    limit: int,
    ceiling: Ceiling,
    *,
    account: int,
    now: datetime,
) -> int | Idle:
    """At most *limit* attempts that each may cost *reserve*, or which limit leaves no room."""
    for room, idle in _rooms(db, run, endpoint, account, ceiling, now):
        limit = min(limit, room // reserve)
        if limit <= 0:
            return idle
    return limit


def _rooms(
    db: sqlite3.Connection, run: int, endpoint: str, account: int, ceiling: Ceiling, now: datetime
) -> Iterator[tuple[int, Idle]]:
    """What each limit leaves, nano-dollars."""
    charged, held = db.execute(
        """
        SELECT charged_nanousd, reserved_nanousd + at_risk_nanousd FROM run_money WHERE run_id = ?
        """,
        (run,),
    ).fetchone()
    if ceiling.budget is not None:
        yield ceiling.budget - charged - held, Idle.BUDGET
    if ceiling.day is not None:
        yield ceiling.day - _spent_today(db, run, now), Idle.DAY
    if ceiling.hold is not None:
        yield ceiling.hold - held, Idle.HOLD
    # Only DataForSEO tells a balance.
    if ceiling.floor is not None and endpoint.startswith(f"{Gateway.DATAFORSEO}/"):
        yield _above_floor(db, account, ceiling), Idle.BALANCE


def _spent_today(db: sqlite3.Connection, run: int, now: datetime) -> int:
    row = db.execute(
        """
        SELECT d.spent_nanousd FROM day_money d JOIN runs r ON r.job_id = d.job_id
         WHERE r.id = ? AND d.day = ?
        """,
        (run, to_ms(now) // _DAY_MS),
    ).fetchone()
    return int(row[0]) if row else 0


def _above_floor(db: sqlite3.Connection, account: int, ceiling: Ceiling) -> int:
    """What is left of the account's balance once all that is out has cost what was reserved for it;
    rather too little than too much, until the balance is asked for again.

    The stated balance is without the advances that were out then. Those that still are stand in the
    reserves of now, too, so they are added back first. What was answered since had perhaps ended
    before: its cost is taken off, whether or not it had gone by then.
    """
    balance, floor = ceiling.balance, ceiling.floor or 0
    if balance is None or balance.stated is None:
        return 0
    charged, held = db.execute(
        """
        SELECT coalesce(sum(charged_nanousd), 0), coalesce(sum(held_nanousd), 0)
          FROM account_money WHERE account_id = ?
        """,
        (account,),
    ).fetchone()
    # A charge that was taken back since may have been refunded before, or not yet.
    cost = max(charged - balance.charged, 0)
    return int(balance.stated + out(db, account, balance) - cost - held - floor)

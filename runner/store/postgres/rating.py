"""The row that all hosts share the limit of an account by; the rule is ``runner.pacing.shared``.

    lock the row ─▶ read the clock ─▶ grant(row, ask, now) ─▶ write the row ─▶ commit

A host that is stopped in between loses its connection after two seconds, and with it the lock.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from runner.pacing import Ask, SharedRate, Slice, grant
from runner.pacing.learning import Lessons
from runner.pacing.shared import Seen
from runner.store.pacing import Rate
from runner.store.postgres.connection import Db

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def take_slice(db: Db, time_of: Callable[[Db], datetime], account: int, ask: Ask) -> Slice:
    before = _locked(db, account)
    while True:
        # Only now: it may have taken a while to get the lock.
        now_us = (time_of(db) - _EPOCH) // _MICROSECOND
        after, given = grant(before, ask, now_us)
        if _written(db, account, after, new=before is None):
            return given
        # Of two hosts that meet a new account at once, the first makes the row.
        before = _locked(db, account)


def account_rates(db: Db) -> list[Rate]:
    rows = db.execute(
        "SELECT account_id, per_minute, granted FROM account_rates ORDER BY account_id"
    )
    return [Rate(*row) for row in rows]


def _locked(db: Db, account: int) -> SharedRate | None:
    row = db.execute(
        """
        SELECT since_us, at_us, per_minute, ceiling, credit, credit_at_us, stated, share,
               share_at_us, foreign_calls, foreign_at_us, held_until_us, slowed_at_us, granted,
               calls_from, calls, hosts
          FROM account_rates WHERE account_id = %s FOR UPDATE
        """,
        (account,),
    ).fetchone()
    return None if row is None else _read(row)


def _read(row: Any) -> SharedRate:
    (since, at, per_minute, ceiling, credit, credit_at, stated, share, share_at) = row[:9]
    (foreign, foreign_at, held_until, slowed_at, granted, calls_from, calls, hosts) = row[9:]
    return SharedRate(
        since_us=since,
        at_us=at,
        per_minute=per_minute,
        ceiling=ceiling,
        credit=credit,
        credit_at_us=credit_at,
        lessons=Lessons(
            stated=stated,
            share=share,
            share_at_us=share_at,
            foreign=foreign,
            foreign_at_us=foreign_at,
        ),
        held_until_us=held_until,
        slowed_at_us=slowed_at,
        granted=granted,
        calls=tuple((calls_from + n, number) for n, number in enumerate(calls) if number),
        hosts={host: Seen(**seen) for host, seen in hosts.items()},
    )


def _written(db: Db, account: int, row: SharedRate, *, new: bool) -> bool:
    """Whether the row was there to be changed, or not there to be made."""
    if new:
        # Its other columns follow in the statement that every later ask makes, too.
        made = db.execute(
            "INSERT INTO account_rates (account_id, since_us) VALUES (%s, %s)"
            " ON CONFLICT DO NOTHING",
            (account, row.since_us),
        )
        if made.rowcount == 0:
            return False
    calls = dict(row.calls)
    seconds = range(min(calls), max(calls) + 1) if calls else range(0)
    db.execute(
        """
        UPDATE account_rates
           SET since_us = %(since)s, at_us = %(at)s, per_minute = %(per_minute)s,
               ceiling = %(ceiling)s, credit = %(credit)s, credit_at_us = %(credit_at)s,
               stated = %(stated)s, share = %(share)s, share_at_us = %(share_at)s,
               foreign_calls = %(foreign)s, foreign_at_us = %(foreign_at)s,
               held_until_us = %(held_until)s, slowed_at_us = %(slowed_at)s,
               granted = %(granted)s, calls_from = %(first)s, calls = %(calls)s::integer[],
               hosts = %(hosts)s::jsonb
         WHERE account_id = %(account)s
        """,
        {
            "account": account,
            "since": row.since_us,
            "at": row.at_us,
            "per_minute": row.per_minute,
            "ceiling": row.ceiling,
            "credit": row.credit,
            "credit_at": row.credit_at_us,
            "stated": row.lessons.stated,
            "share": row.lessons.share,
            "share_at": row.lessons.share_at_us,
            "foreign": row.lessons.foreign,
            "foreign_at": row.lessons.foreign_at_us,
            "held_until": row.held_until_us,
            "slowed_at": row.slowed_at_us,
            "granted": row.granted,
            "first": seconds.start,
            "calls": [calls.get(second, 0) for second in seconds],
            "hosts": json.dumps({host: asdict(seen) for host, seen in row.hosts.items()}),
        },
    )
    return True

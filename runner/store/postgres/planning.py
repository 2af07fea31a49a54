"""Completion curves, and asking sooner for what is probably finished."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from runner.clock import to_ms
from runner.curve import Curve
from runner.store.planning import Kept, Kind
from runner.store.postgres.connection import Connection, Db

_MS: Final = timedelta(milliseconds=1)


def curves(db: Db) -> dict[Kind, Curve]:
    rows = db.execute("SELECT endpoint, model, weights FROM completion_curves")
    return {
        Kind(endpoint, model): Curve.of(json.loads(weights)) for endpoint, model, weights in rows
    }


def keep_curves(db: Db, kept: Mapping[Kind, Kept], *, now: datetime) -> None:
    db.executemany(
        """
        INSERT INTO completion_curves (endpoint, model, weights, first_ask_ms, kept_at)
        VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (endpoint, model)
            DO UPDATE SET weights = excluded.weights, first_ask_ms = excluded.first_ask_ms,
                          kept_at = excluded.kept_at
        """,
        (
            (
                *kind,
                json.dumps(each.curve.weights),
                None if each.first_ask is None else each.first_ask // _MS,
                to_ms(now),
            )
            for kind, each in kept.items()
        ),
    )


def hasten(
    db: Db,
    limit: int,
    *,
    older: Mapping[Kind, datetime],
    told: datetime,
    now: datetime,
    again: bool = False,
    account: int | None = None,
) -> int:
    ahead = now - told
    hastened = 0
    for kind, posted_by in older.items():
        targets = db.execute(
            """
            SELECT g.id, c.id FROM targets g, accounts c
             WHERE g.endpoint = %(endpoint)s AND g.model = %(model)s
               AND (%(account)s::bigint IS NULL OR c.id = %(account)s)
               AND EXISTS (SELECT 1 FROM tasks t
                            WHERE t.target_id = g.id AND t.account_id = c.id
                              AND t.state = 'posted')
             ORDER BY g.id, c.id
            """,
            {"endpoint": kind.endpoint, "model": kind.model, "account": account},
        ).fetchall()
        for target, each in targets:
            hastened += db.execute(
                """
                WITH chosen AS MATERIALIZED (
                    SELECT id FROM tasks
                     WHERE state = 'posted' AND target_id = %(target)s AND account_id = %(each)s
                       AND posted_at <= %(posted_by)s
                       AND ready = 0 AND (polls = 0) <> %(again)s AND postback = 0
                       AND leased_by IS NULL AND due_at > %(now)s
                     ORDER BY posted_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
                UPDATE tasks SET due_at = %(now)s WHERE id IN (SELECT id FROM chosen)
                """,
                {
                    "now": to_ms(now),
                    "target": target,
                    "each": each,
                    "posted_by": to_ms(posted_by + ahead),
                    "again": again,
                    "limit": limit - hastened,
                },
            ).rowcount
    return hastened


class PlanningVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection

    async def curves(self) -> Mapping[Kind, Curve]:
        return await self._reader.read(curves)

    async def keep_curves(self, curves: Mapping[Kind, Kept], *, now: datetime) -> None:
        await self._writer.write(keep_curves, curves, now=now)

    async def hasten(
        self,
        limit: int,
        *,
        older: Mapping[Kind, datetime],
        now: datetime,
        again: bool = False,
        account: int | None = None,
    ) -> int:
        return await self._writer.write(
            hasten, limit, older=older, told=now, now=now, again=again, account=account
        )

"""Deliveries: kept as they came, and what the engine finds when it opens them."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from runner.clock import from_ms, to_ms
from runner.lifecycle import State
from runner.store.endings import Posted
from runner.store.inbox import Delivery, Gauges, Letter, Standing, Undelivered
from runner.store.postgres.connection import Cursor, Db
from runner.store.postgres.extras import is_extra
from runner.store.postgres.ready_list import GRACE
from runner.task import Endpoint, Method, RemoteId, Tag, TaskId

LISTED_FOR: Final = timedelta(seconds=10)
"""On the ready list for so long, a postback is not just on its way."""


def deliver(db: Db, deliveries: Sequence[Delivery], *, now: datetime) -> int:
    return sum(
        db.execute(
            """
            INSERT INTO inbox (remote_id, tag, body_sha256, body, received_at)
            VALUES (%s, %s, %s, %s, %s)
                ON CONFLICT DO NOTHING
            """,
            (each.remote_id, each.tag, hashlib.sha256(each.body).digest(), each.body, to_ms(now)),
        ).rowcount
        for each in deliveries
    )


def letters(
    db: Db,
    *,
    after: int,
    limit: int,
    most_bytes: int,
    account: int | None = None,
    told: datetime,
    now: datetime,
) -> list[Letter]:
    while True:
        waiting = db.execute(
            "SELECT id, remote_id, tag, received_at FROM inbox WHERE id > %s ORDER BY id LIMIT %s",
            (after, limit),
        ).fetchall()
        found = _letters(db, waiting, most_bytes, account, now - told)
        if found or not waiting:
            return found
        # All of these are for another account.
        after = waiting[-1][0]


def _letters(
    db: Db,
    waiting: Sequence[tuple[int, str, str, int]],
    most_bytes: int,
    account: int | None,
    ahead: timedelta,
) -> list[Letter]:
    seen = [
        (id, parsed.task, parsed.attempt, text)
        for id, _, text, _ in waiting
        if (parsed := Tag.parse(text)) is not None
    ]
    known = {row[0]: row[1:] for row in _attempts(db, seen)} if seen else {}
    found: list[Letter] = []
    held = 0
    for id, remote_id, tag, received_at in waiting:
        asked_with, *row = known.get(id) or (None,)
        if account is not None and asked_with not in (None, account):
            continue
        standing, posted, endpoint = _judge(db, RemoteId(remote_id), tag, tuple(row))
        body = b""
        if standing is Standing.OPEN:
            (body,) = db.execute("SELECT body FROM inbox WHERE id = %s", (id,)).fetchone()
            held += len(body)
            if held > most_bytes and found:
                break
        found.append(
            Letter(
                id=id,
                delivery=Delivery(remote_id=RemoteId(remote_id), tag=tag, body=body),
                standing=standing,
                posted=posted and replace(posted, posted_at=posted.posted_at - ahead),
                provider=endpoint.provider if endpoint else None,
                received_at=from_ms(received_at) - ahead,
            )
        )
    return found


def _attempts(db: Db, seen: list[tuple[int, TaskId, int, str]]) -> Cursor:
    return db.execute(
        """
        SELECT e.letter, b.account_id, t.id, a.number, a.state, a.remote_id, t.state,
               t.attempt, g.endpoint, t.posted_at, t.polls, t.tries, r.tries, t.ready,
               b.intended_api_at
          FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[])
                 AS e(letter, task, number, tag)
          JOIN attempts a ON a.task_id = e.task AND a.number = e.number AND a.tag = e.tag
          JOIN tasks t ON t.id = a.task_id
          JOIN batches b ON b.id = a.batch_id
          JOIN targets g ON g.id = t.target_id
          JOIN runs r ON r.id = t.run_id
        """,
        tuple(map(list, zip(*seen, strict=True))),
    )


def _judge(
    db: Db, remote_id: RemoteId, tag: str, row: tuple[object, ...]
) -> tuple[Standing, Posted | None, Endpoint | None]:
    if not row:
        return Standing.FOREIGN, None, None
    task, number, attempt, known, state, newest, endpoint, *asked = row
    where = Endpoint.parse(str(endpoint))
    # A Live call brings its answer itself, and is posted with no address.
    if where.method is Method.LIVE:
        return Standing.FOREIGN, None, None
    if known == remote_id:
        if (state, newest) != (State.POSTED, number):
            return Standing.OVER, None, where
        return Standing.OPEN, _posted(task, number, tag, remote_id, where, asked), where
    if is_extra(db, remote_id):
        return Standing.OVER, None, where
    if known is None and attempt == "posting":
        return Standing.UNDER_WAY, None, where
    return Standing.HINT, None, where


def _posted(
    task: object,
    number: object,
    tag: str,
    remote_id: RemoteId,
    endpoint: Endpoint,
    asked: Sequence[object],
) -> Posted:
    posted_at, polls, tries, allowed, ready, api = (
        None if value is None else int(str(value)) for value in asked
    )
    return Posted(
        task=TaskId(int(str(task))),
        attempt=int(str(number)),
        tag=tag,
        remote_id=remote_id,
        endpoint=endpoint,
        posted_at=from_ms(posted_at or 0),
        polls=polls or 0,
        tries=tries or 0,
        allowed_tries=allowed or 0,
        ready=bool(ready),
        posted_api=None if api is None else from_ms(api),
        postback=True,
    )


def drop_letters(db: Db, letters: Sequence[int]) -> None:
    db.execute(
        "DELETE FROM inbox WHERE id = ANY(%s::bigint[])",
        (list(letters),),
    )


def undelivered(
    db: Db, limit: int, *, now: datetime, account: int | None = None
) -> list[Undelivered]:
    # Word for word the condition of the index tasks_undelivered. What is due is asked for now.
    rows = db.execute(
        """
        SELECT t.id, t.attempt, a.remote_id
          FROM tasks t
          JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
         WHERE t.state = 'posted' AND t.ready = 1 AND t.postback = 1
           AND t.due_at > %(now)s AND t.due_at <= %(latest)s AND t.leased_by IS NULL
           AND (%(account)s::bigint IS NULL OR t.account_id = %(account)s)
         ORDER BY t.due_at LIMIT %(limit)s
           FOR UPDATE OF t SKIP LOCKED
        """,
        {
            "now": to_ms(now),
            "latest": to_ms(now + GRACE - LISTED_FOR),
            "account": account,
            "limit": limit,
        },
    ).fetchall()
    db.execute(
        "UPDATE tasks SET postback = 2 WHERE id = ANY(%s::bigint[])",
        ([task for task, _, _ in rows],),
    )
    return [
        Undelivered(task=TaskId(task), attempt=attempt, remote_id=RemoteId(remote_id))
        for task, attempt, remote_id in rows
    ]


def gauges(db: Db) -> Gauges:
    states = dict.fromkeys(State, 0)
    for state, count in db.execute("SELECT state, sum(n) FROM run_states GROUP BY state"):
        states[State(state)] = count
    charged, reserved, at_risk = db.execute(
        """
        SELECT coalesce(sum(charged_nanousd), 0), coalesce(sum(reserved_nanousd), 0),
               coalesce(sum(at_risk_nanousd), 0) FROM run_money
        """
    ).fetchone()
    (posts,) = db.execute("SELECT coalesce(max(id), 0) FROM batches").fetchone()
    waiting, oldest = db.execute("SELECT count(*), min(received_at) FROM inbox").fetchone()
    moments = [
        at
        for place in db.execute("SELECT g.id, c.id FROM targets g, accounts c").fetchall()
        for (at,) in db.execute(
            """
            SELECT min(posted_at) FROM tasks
             WHERE state = 'posted' AND target_id = %s AND account_id = %s
            """,
            place,
        )
        if at is not None
    ]
    return Gauges(
        states=states,
        charged=charged,
        reserved=reserved,
        at_risk=at_risk,
        posts=posts,
        inbox=waiting,
        oldest_delivery_at=None if oldest is None else from_ms(oldest),
        oldest_posted_at=from_ms(min(moments)) if moments else None,
    )


def prove_writable(db: Db, *, now: datetime) -> None:
    db.execute(
        """
        INSERT INTO install (name, value) VALUES ('receiver_seen_at', %s)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value
        """,
        (str(to_ms(now)),),
    )

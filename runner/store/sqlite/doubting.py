"""What is known of the posts in doubt, and of those before and after them."""

import sqlite3
from collections import defaultdict
from datetime import datetime
from typing import Final

from runner.clock import from_ms, to_ms
from runner.store.reconciling import LATER, NEAR, Doubt, DoubtfulAttempt, over_by
from runner.task import Endpoint, TaskId

_NEIGHBOURS: Final = 100
"""So many batches before one are looked at for one that is near in time, however many there are."""


def doubts(db: sqlite3.Connection, *, account: int | None = None) -> list[Doubt]:
    # Word for word the condition of the index tasks_in_doubt, or all tasks would be read through.
    rows = db.execute(
        """
        SELECT a.batch_id, a.task_id, a.number, a.tag, json_extract(p.body, '$.user_prompt'),
               json_extract(p.body, '$.model_name')
          FROM tasks t INDEXED BY tasks_in_doubt
          JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
          LEFT JOIN payloads p ON p.task_id = t.id
         WHERE t.state IN ('posting', 'unknown') AND t.state = 'unknown' AND a.state = 'unknown'
           AND (:account IS NULL OR t.account_id = :account)
         ORDER BY a.batch_id, a.task_id
        """,
        {"account": account},
    )
    attempts: dict[int, list[DoubtfulAttempt]] = defaultdict(list)
    for batch, task, number, tag, prompt, model in rows:
        attempts[batch].append(
            DoubtfulAttempt(task=TaskId(task), number=number, tag=tag, prompt=prompt, model=model)
        )
    return [_doubt(db, batch, tuple(found)) for batch, found in attempts.items()]


def _doubt(db: sqlite3.Connection, batch: int, attempts: tuple[DoubtfulAttempt, ...]) -> Doubt:
    endpoint, worker, alive, account, *moments = db.execute(
        """
        SELECT endpoint, worker_id,
               (SELECT w.ended_at IS NULL FROM workers w WHERE w.id = worker_id),
               account_id, intended_at, deadline,
               intended_api_at, doubt_api_at, seen_api_at, clean_api_at
          FROM batches WHERE id = ?
        """,
        (batch,),
    ).fetchone()
    intended, deadline = (from_ms(at) for at in moments[:2])
    intended_api, began, seen, clean = (None if at is None else from_ms(at) for at in moments[2:])
    over = over_by(intended_api, began, deadline - intended)
    accepted = _accepted(db, account, batch, (intended, deadline), (intended_api, over))
    return Doubt(
        batch=batch,
        endpoint=Endpoint.parse(endpoint),
        worker=worker,
        alive=bool(alive),
        intended_at=intended,
        deadline=deadline,
        intended_api=intended_api,
        began_api=began,
        seen_api=seen,
        clean_api=clean,
        over_api=over,
        attempts=attempts,
        accepted_near=accepted[0],
        accepted_after=accepted[1],
        accepted_later=accepted[2],
    )


def _accepted(
    db: sqlite3.Connection,
    account: int,
    batch: int,
    ours: tuple[datetime, datetime],
    api: tuple[datetime | None, datetime | None],
) -> tuple[bool, bool, bool]:
    """Whether tasks near *batch*, after it, and later than its deadline were accepted.

    *ours* and *api*: its intent and its end by our clock, and by the API's. What was intended
    before it and what after, the numbers say; how long, the API's time, or where that is not known
    our clock, which may have been set since.
    """
    # By their numbers: the index of accepted batches is by a date of ours, of all that ever were.
    near, after, later = db.execute(
        """
        SELECT EXISTS (
                   SELECT 1
                     FROM (SELECT intended_at, intended_api_at FROM batches NOT INDEXED
                            WHERE id <= :batch AND account_id = :account AND accepted > 0
                            ORDER BY id DESC LIMIT :few) AS before
                    WHERE coalesce(intended_api_at BETWEEN :near_api AND :over_api,
                                   intended_at BETWEEN :near AND :deadline)),
               EXISTS (
                   SELECT 1 FROM batches NOT INDEXED
                    WHERE id > :batch AND account_id = :account AND accepted > 0
                      AND coalesce(intended_api_at <= :last_api, intended_at <= :last)),
               EXISTS (
                   SELECT 1 FROM batches NOT INDEXED
                    WHERE id > :batch AND account_id = :account AND accepted > 0
                      AND intended_api_at > :over_api AND intended_api_at <= :last_api)
        """,
        {
            "batch": batch,
            "account": account,
            "few": _NEIGHBOURS,
            "near": to_ms(ours[0] - NEAR),
            "deadline": to_ms(ours[1]),
            "last": to_ms(ours[1] + LATER),
            "near_api": None if api[0] is None else to_ms(api[0] - NEAR),
            "over_api": None if api[1] is None else to_ms(api[1]),
            "last_api": None if api[1] is None else to_ms(api[1] + LATER),
        },
    ).fetchone()
    return bool(near), bool(after), bool(later)

"""Unsuccessful tasks that a person wants to be asked again: a new attempt, a new charge."""

from dataclasses import replace
from datetime import datetime

from runner.clock import to_ms
from runner.failpoints import Point, hit
from runner.lifecycle import Event, State, after
from runner.store.postgres.changes import take_edits
from runner.store.postgres.connection import Db
from runner.store.postgres.listing import LARGEST
from runner.store.postgres.selecting import condition
from runner.store.values import RetryFilter


def retry(db: Db, run: int, which: RetryFilter, *, now: datetime) -> int:
    chosen, values = _chosen(run, which)
    scope = values | {"now": to_ms(now)}
    db.execute("CREATE TEMP TABLE IF NOT EXISTS chosen (id bigint PRIMARY KEY) ON COMMIT DROP")
    db.execute("DELETE FROM chosen")
    db.execute(f"INSERT INTO chosen {chosen}", values)
    if which.codes is not None or which.pay_again:
        # Naming the error or paying again is also the word to ask the edited request.
        take_edits(db, "SELECT id FROM chosen", {})
        db.execute(
            "UPDATE tasks SET changed = 0 WHERE changed <> 0 AND id IN (SELECT id FROM chosen)"
        )
    retried = sum(
        db.execute(
            """
            UPDATE tasks SET state = %(to)s, reason = '', tries = 0, due_at = %(now)s
             WHERE state = %(state)s AND id IN (SELECT id FROM chosen)
            """,
            scope | {"state": state, "to": after(state, Event.ASKED_AGAIN)},
        ).rowcount
        for state in (State.FAILED, State.EXPIRED)
    )
    hit(Point.RETRY_INSIDE)
    return retried


def retriable(db: Db, run: int, which: RetryFilter) -> dict[str, int]:
    chosen, values = _chosen(run, which)
    rows = db.execute(
        f"""
        SELECT g.name, count(*) FROM ({chosen}) AS c
          JOIN tasks t ON t.id = c.id JOIN targets g ON g.id = t.target_id
         GROUP BY g.name
        """,
        values,
    )
    return dict(rows.fetchall())


def _chosen(run: int, which: RetryFilter) -> tuple[str, dict[str, object]]:
    """The ids of the tasks that *which* means, as a query and its values."""
    among, values = condition(replace(which.among, runs=None, states=None, codes=None))
    # Word for word the condition of the index tasks_unsuccessful. A quarantined task may still be
    # at the API: only `resolve` may give it another attempt. One whose prompt was pruned cannot be
    # asked any more.
    chosen = f"""
        SELECT t.id FROM tasks t
          LEFT JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
         WHERE t.run_id = %(run)s AND t.state IN ('failed', 'expired', 'quarantined')
           AND t.state <> 'quarantined' AND ({_retry_condition(which)}) AND {among}
           AND EXISTS (SELECT 1 FROM payloads p WHERE p.task_id = t.id)
         ORDER BY t.id LIMIT %(limit)s
    """
    limit = which.among.limit
    scope = {
        "run": run,
        "codes": sorted(which.codes or ()),
        "limit": None if limit is None else min(limit, LARGEST),
    }
    return chosen, scope | values


def _retry_condition(which: RetryFilter) -> str:
    """Paid and lost is only asked again with the word to pay again; refused, only by its code."""
    reasons = ["remote", "timed_out"]
    if which.codes is not None:
        reasons.append("refused")
    sql = f"t.reason IN ({', '.join(repr(reason) for reason in reasons)})"
    if which.pay_again:
        sql += " OR t.state = 'expired' OR t.reason IN ('answer_lost', 'written_off')"
    if which.codes is not None:
        sql = f"a.code = ANY(%(codes)s::bigint[]) AND ({sql})"
    return sql

"""A person's word to a run: hold it, let it go on, drop what still waits."""

import json
import sqlite3
from dataclasses import replace
from datetime import datetime
from typing import Final

from runner.clock import from_ms, to_ms
from runner.errors import WrongInput
from runner.failpoints import Point, hit
from runner.lifecycle import DROPPABLE, Event, State, after
from runner.store.control import Pause
from runner.store.listing import Selection
from runner.store.sqlite.selecting import condition

CANCELLED_AT_ONCE: Final = 2_000
"""Tasks of one transaction: some hundredths of a second, so that an engine hardly waits for it."""

_PAUSES: Final = """
    SELECT j.name, p.run_id, p.paused_at, p.until, p.reason
      FROM pauses p LEFT JOIN jobs j ON j.id = p.job_id
"""


def pause(
    db: sqlite3.Connection,
    *,
    job: str | None,
    run: int | None,
    until: datetime | None,
    reason: str,
    now: datetime,
) -> Pause:
    db.execute("DELETE FROM pauses WHERE until <= ?", (to_ms(now),))
    saved = db.execute(
        """
        INSERT INTO pauses (job_id, run_id, paused_at, until, reason)
        VALUES (:job, :run, :now, :until, :reason)
        ON CONFLICT (coalesce(job_id, 0), coalesce(run_id, 0))
        DO UPDATE SET until = excluded.until, reason = excluded.reason
        RETURNING paused_at
        """,
        {
            "job": None if job is None else _id_of(db, job),
            "run": run,
            "now": to_ms(now),
            "until": None if until is None else to_ms(until),
            "reason": reason,
        },
    ).fetchall()
    ((since,),) = saved
    hit(Point.PAUSE_INSIDE)
    return Pause(job=job, run=run, since=from_ms(since), until=until, reason=reason)


def _id_of(db: sqlite3.Connection, job: str) -> int:
    row = db.execute("SELECT id FROM jobs WHERE name = ?", (job,)).fetchone()
    if row is None:
        raise WrongInput(f"there is no job {job} in this store", how="runner runs")
    (found,) = row
    return int(found)


def resume(
    db: sqlite3.Connection, *, job: str | None, run: int | None, now: datetime
) -> Pause | None:
    ended = [each for each in pauses(db, now=now) if (each.job, each.run) == (job, run)]
    db.execute(
        """
        DELETE FROM pauses
         WHERE (job_id = (SELECT id FROM jobs WHERE name = :job) OR job_id IS NULL AND :job IS NULL)
           AND run_id IS :run
        """,
        {"job": job, "run": run},
    )
    hit(Point.RESUME_INSIDE)
    return ended[0] if ended else None


def pauses(db: sqlite3.Connection, *, now: datetime) -> list[Pause]:
    rows = db.execute(
        f"{_PAUSES} WHERE p.until IS NULL OR p.until > ? ORDER BY p.id", (to_ms(now),)
    )
    return [_pause(row) for row in rows]


def pause_of(db: sqlite3.Connection, run: int, *, now: datetime) -> Pause | None:
    """What holds *run*; of several the one that ends last."""
    row = db.execute(
        f"""
        {_PAUSES} JOIN runs r ON r.id = :run
         WHERE coalesce(p.job_id, r.job_id) = r.job_id AND coalesce(p.run_id, r.id) = r.id
           AND (p.until IS NULL OR p.until > :now)
         ORDER BY p.until IS NULL DESC, p.until DESC, p.id LIMIT 1
        """,
        {"run": run, "now": to_ms(now)},
    ).fetchone()
    return _pause(row) if row else None


def _pause(row: tuple[str | None, int | None, int, int | None, str]) -> Pause:
    job, run, since, until, reason = row
    return Pause(
        job=job,
        run=run,
        since=from_ms(since),
        until=None if until is None else from_ms(until),
        reason=reason,
    )


def droppable_ids(db: sqlite3.Connection, which: Selection, after_id: int, limit: int) -> list[int]:
    """Up to *limit* tasks of *which* above an id, ascending, that can be dropped.

    Only pending ones if *which* names states or a number: those are of what is queued.
    """
    queued_only = which.states is not None or which.limit is not None
    states = frozenset({State.PENDING}) if queued_only else DROPPABLE
    sql, values = condition(replace(which, states=states))
    rows = db.execute(
        f"SELECT t.id FROM tasks t WHERE {sql} AND t.id > :after ORDER BY t.id LIMIT :limit",
        values | {"after": after_id, "limit": limit},
    )
    return [task for (task,) in rows]


def cancel(db: sqlite3.Connection, tasks: list[int]) -> int:
    """Drop *tasks*: those that are pending still, at once; returns how many.

    Those that are out stay so, and are marked: ``settle`` drops them should they come back.
    """
    db.execute(
        """
        INSERT OR IGNORE INTO dropped (task_id)
        SELECT t.id FROM json_each(:tasks) e CROSS JOIN tasks t ON t.id = e.value
         WHERE t.state IN ('posting', 'unknown', 'posted', 'quarantined')
        """,
        {"tasks": json.dumps(tasks)},
    )
    cancelled = _drop(db, tasks)
    hit(Point.CANCEL_INSIDE)
    return cancelled


def settle(db: sqlite3.Connection) -> None:
    """Drop what a person had dropped while it was out, and this transaction would have posted anew.

    One look into an empty index where there is nothing.
    """
    stirred = db.execute("SELECT task_id FROM dropped WHERE stirred = 1").fetchall()
    if stirred:
        _drop(db, [task for (task,) in stirred])
        db.execute("DELETE FROM dropped WHERE stirred = 1")


def _drop(db: sqlite3.Connection, tasks: list[int]) -> int:
    scope = {"tasks": json.dumps(tasks), "cancelled": after(State.PENDING, Event.CANCELLED)}
    pending = """
        SELECT t.id FROM json_each(:tasks) e CROSS JOIN tasks t ON t.id = e.value
         WHERE t.state = 'pending'
    """
    # Who drops a task has decided about its edit: the same edit is none when it is loaded again.
    db.execute(
        f"""
        UPDATE payloads
           SET kept_hash = (SELECT c.hash FROM changes c WHERE c.task_id = payloads.task_id)
         WHERE task_id IN (SELECT c.task_id FROM ({pending}) CROSS JOIN changes c ON c.task_id = id)
        """,
        scope,
    )
    db.execute(f"DELETE FROM changes WHERE task_id IN ({pending})", scope)
    return db.execute(
        f"""
        UPDATE tasks SET state = :cancelled, due_at = NULL, changed = 0
         WHERE state = 'pending' AND id IN ({pending})
        """,
        scope,
    ).rowcount

"""Tasks at which the process dies again and again: set apart, then held (DESIGN.md §4).

    3 deaths in a row while it was being posted ....... posted alone, nothing else under way
    3 more ............................................ quarantined(poison)
    3 deaths in a row while it was being asked for .... asked later and later

A death counts against a batch only if nothing at all was saved since its intent: a process that
was killed from outside in the middle of its work has mostly saved something. Against a task that is
posted alone it counts only if that was really alone. Against what was being asked for it counts
only if that worker never booked anything: while others' answers come in, the night goes on.
Whatever is saved about a task, that its reply was lost too, ends its row: the process outlived it.
What the API may have refused a whole batch for is posted alone as well, should it be posted again.
"""

import json
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from runner.clock import to_ms

APART: Final = 3
"""Deaths after which a task is posted alone."""

POISON: Final = 6
"""Deaths after which it is not posted any more."""

_FIRST_WAIT_MS: Final = 5_000
_LONGEST_WAIT_MS: Final = 3_600_000


def count_deaths(db: sqlite3.Connection) -> None:
    """Count what the dead worker left open, before anything of it is moved."""
    # Word for word the condition of the index tasks_in_doubt, or all tasks would be read through.
    posting = [
        task
        for (task,) in db.execute(
            """
            SELECT t.id
              FROM tasks t INDEXED BY tasks_in_doubt
              JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
              JOIN batches b ON b.id = a.batch_id
             WHERE t.state IN ('posting', 'unknown') AND t.state = 'posting' AND b.outcome IS NULL
               AND NOT EXISTS (SELECT 1 FROM batches o
                                WHERE o.id > b.id - 1000 AND o.worker_id = b.worker_id
                                  AND o.outcome IS NOT NULL
                                  AND (o.settled_at > b.intended_at
                                       OR o.id > b.id AND o.settled_at = b.intended_at))
            """
        )
    ]
    db.executemany(
        f"""
        INSERT INTO deaths (task_id, posting) VALUES (:task, 1)
            ON CONFLICT (task_id) DO UPDATE SET posting = posting + 1
         WHERE posting < {APART} OR :alone
        """,
        ({"task": task, "alone": len(posting) == 1} for task in posting),
    )
    db.execute(
        """
        INSERT INTO deaths (task_id, asking)
        SELECT t.id, 1 FROM tasks t JOIN workers w ON w.id = t.leased_by
         WHERE t.state = 'posted' AND w.booked_at IS NULL
            ON CONFLICT (task_id) DO UPDATE SET asking = asking + 1
        """
    )


def ask_later(db: sqlite3.Connection, *, now: datetime) -> None:
    """Let what killed the process while it was asked for wait, each for another while."""
    often = db.execute(
        """
        SELECT d.task_id, d.asking FROM deaths d CROSS JOIN tasks t ON t.id = d.task_id
         WHERE d.asking >= ? AND t.state = 'posted'
        """,
        (APART,),
    ).fetchall()
    # Spread, so that those that only stood beside it are asked for without it.
    db.executemany(
        "UPDATE tasks SET due_at = ?, ready = 0 WHERE id = ?",
        (
            (to_ms(now) + _wait_ms(asking) * (100 + task * 37 % 100) // 100, task)
            for task, asking in often
        ),
    )


def _wait_ms(deaths: int) -> int:
    return min(_FIRST_WAIT_MS << min(deaths - APART, 20), _LONGEST_WAIT_MS)


def outlived(db: sqlite3.Connection, tasks: Iterable[int]) -> None:
    """Something was saved about *tasks*: what they died of is not among them."""
    if db.execute("SELECT 1 FROM deaths LIMIT 1").fetchone():
        db.execute(
            "DELETE FROM deaths WHERE task_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(tasks)),),
        )


def post_alone(db: sqlite3.Connection, tasks: Iterable[int]) -> None:
    """Have *tasks* posted one by one from now on, each until something is saved about it."""
    db.executemany(
        f"INSERT OR REPLACE INTO deaths (task_id, posting) VALUES (?, {APART})",
        ((task,) for task in tasks),
    )


def note_booking(db: sqlite3.Connection, *, now: datetime) -> None:
    """The worker has booked what asking came to."""
    db.execute(
        """
        UPDATE workers SET booked_at = ?
         WHERE id = (SELECT max(id) FROM workers) AND booked_at IS NULL
        """,
        (to_ms(now),),
    )


def set_apart(
    db: sqlite3.Connection,
    run: int,
    target: int,
    limit: int,
    *,
    now: datetime,
    retries: bool = False,
) -> tuple[bool | None, int]:
    """Which due tasks of *target* may go into the next batch, and how many.

    None: any; False: those not set apart; True: one that is. A limit of 0: none for now.
    """
    apart = f"(SELECT task_id FROM deaths WHERE posting >= {APART})"
    if not db.execute(f"SELECT 1 FROM {apart}").fetchone():
        return None, limit
    if db.execute(f"SELECT 1 FROM tasks WHERE id IN {apart} AND state = 'posting'").fetchone():
        return False, 0
    others = db.execute(
        f"""
        SELECT 1 FROM tasks
         WHERE run_id = ? AND target_id = ? AND state = 'pending' AND changed = 0 AND due_at <= ?
           AND id NOT IN {apart} {"AND tries > 0" if retries else ""} LIMIT 1
        """,
        (run, target, to_ms(now)),
    ).fetchone()
    if others:
        return False, limit
    if db.execute("SELECT 1 FROM batches WHERE outcome IS NULL").fetchone():
        return True, 0
    return True, min(limit, 1)

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

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from runner.clock import to_ms
from runner.store.postgres.connection import Db

APART: Final = 3
"""Deaths after which a task is posted alone."""

POISON: Final = 6
"""Deaths after which it is not posted any more."""

_FIRST_WAIT_MS: Final = 5_000
_LONGEST_WAIT_MS: Final = 3_600_000


def count_deaths(db: Db, dead: Sequence[int]) -> None:
    """Count what the *dead* workers left open, before anything of it is moved."""
    # Word for word the condition of the index tasks_in_doubt, or all tasks would be read through.
    posting = db.execute(
        """
        SELECT t.id, b.worker_id
          FROM tasks t
          JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
          JOIN batches b ON b.id = a.batch_id
         WHERE t.state IN ('posting', 'unknown') AND t.state = 'posting' AND b.outcome IS NULL
           AND b.worker_id = ANY(%s::bigint[])
           AND NOT EXISTS (SELECT 1 FROM batches o
                            WHERE o.id > b.id - 1000 AND o.worker_id = b.worker_id
                              AND o.outcome IS NOT NULL
                              AND (o.settled_at > b.intended_at
                                   OR o.id > b.id AND o.settled_at = b.intended_at))
        """,
        (list(dead),),
    ).fetchall()
    at_once = Counter(worker for _, worker in posting)
    db.executemany(
        f"""
        INSERT INTO deaths (task_id, posting) VALUES (%(task)s, 1)
            ON CONFLICT (task_id) DO UPDATE SET posting = deaths.posting + 1
         WHERE deaths.posting < {APART} OR %(alone)s
        """,
        ({"task": task, "alone": at_once[worker] == 1} for task, worker in posting),
    )
    db.execute(
        """
        INSERT INTO deaths (task_id, asking)
        SELECT t.id, 1 FROM tasks t JOIN workers w ON w.id = t.leased_by
         WHERE t.state = 'posted' AND w.booked_at IS NULL AND w.id = ANY(%s::bigint[])
            ON CONFLICT (task_id) DO UPDATE SET asking = deaths.asking + 1
        """,
        (list(dead),),
    )


def ask_later(db: Db, *, now: datetime) -> None:
    """Let what killed the process while it was asked for wait, each for another while."""
    often = db.execute(
        """
        SELECT d.task_id, d.asking FROM deaths d JOIN tasks t ON t.id = d.task_id
         WHERE d.asking >= %s AND t.state = 'posted'
        """,
        (APART,),
    ).fetchall()
    # Spread, so that those that only stood beside it are asked for without it.
    db.executemany(
        "UPDATE tasks SET due_at = %s, ready = 0 WHERE id = %s",
        (
            (to_ms(now) + _wait_ms(asking) * (100 + task * 37 % 100) // 100, task)
            for task, asking in often
        ),
    )


def _wait_ms(deaths: int) -> int:
    return min(_FIRST_WAIT_MS << min(deaths - APART, 20), _LONGEST_WAIT_MS)


def outlived(db: Db, tasks: Iterable[int]) -> None:
    """Something was saved about *tasks*: what they died of is not among them."""
    if db.execute("SELECT 1 FROM deaths LIMIT 1").fetchone():
        db.execute(
            "DELETE FROM deaths WHERE task_id = ANY(%s::bigint[])",
            (list(tasks),),
        )


def post_alone(db: Db, tasks: Iterable[int]) -> None:
    """Have *tasks* posted one by one from now on, each until something is saved about it."""
    db.execute(
        f"""
        INSERT INTO deaths (task_id, posting) SELECT unnest(%s::bigint[]), {APART}
            ON CONFLICT (task_id) DO UPDATE SET posting = {APART}
        """,
        (list(tasks),),
    )


def note_booking(db: Db, tasks: Sequence[int], *, now: datetime) -> None:
    """Who asked for *tasks* has booked what that came to."""
    db.execute(
        """
        UPDATE workers SET booked_at = %s
         WHERE booked_at IS NULL
           AND id IN (SELECT leased_by FROM tasks WHERE id = ANY(%s::bigint[]))
        """,
        (to_ms(now), list(tasks)),
    )


def set_apart(
    db: Db, run: int, target: int, limit: int, *, worker: int, now: datetime, retries: bool = False
) -> tuple[bool | None, int]:
    """Which due tasks of *target* may go into the next batch of *worker*, and how many.

    None: any; False: those not set apart; True: one that is. A limit of 0: none for now.
    """
    apart = f"(SELECT task_id FROM deaths WHERE posting >= {APART})"
    if not db.execute(f"SELECT 1 FROM {apart} AS those").fetchone():
        return None, limit
    # Alone in its process: the others go on, and would never all be idle at once.
    posting = db.execute(
        f"""
        SELECT 1 FROM tasks t
          JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
          JOIN batches b ON b.id = a.batch_id
         WHERE t.id IN {apart} AND t.state = 'posting' AND b.worker_id = %s
        """,
        (worker,),
    ).fetchone()
    if posting:
        return False, 0
    others = db.execute(
        f"""
        SELECT 1 FROM tasks
         WHERE run_id = %s AND target_id = %s AND state = 'pending' AND changed = 0 AND due_at <= %s
           AND id NOT IN {apart} {"AND tries > 0" if retries else ""} LIMIT 1
        """,
        (run, target, to_ms(now)),
    ).fetchone()
    if others:
        return False, limit
    under_way = "SELECT 1 FROM batches WHERE outcome IS NULL AND worker_id = %s"
    if db.execute(under_way, (worker,)).fetchone():
        return True, 0
    return True, min(limit, 1)

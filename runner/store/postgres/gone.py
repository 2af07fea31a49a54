"""Pending tasks that the input does not ask any more: left alone until it does, or dropped.

tasks.changed = 0 .. asked as it is
                1 .. edited, undecided (see changes)
                2 .. gone: its row, its target or its sample is not in the latest load

A row that is there is compared while its part of the input is added, and comes back the same way;
those that are not are marked when the load ends. Nothing of a run is posted between the two.
"""

from typing import Final

from runner.store.postgres.connection import Db
from runner.store.postgres.runs import hold_run

MARKED_AT_ONCE: Final = 20_000
"""Tasks looked at in one transaction: some hundredths of a second."""


def withhold_unasked(db: Db, scope: dict[str, object]) -> None:
    """Mark the pending tasks of the staged rows that nothing staged asks.

    Not of a row with another line in this load, in an earlier part: that one may ask them.
    """
    if _is_first(db, scope):
        return
    db.execute(
        """
        UPDATE tasks SET changed = 2
         WHERE id IN (
            SELECT t.id
              FROM staged_rows r
              JOIN tasks t ON t.row_id = r.row_id
             WHERE t.state = 'pending' AND t.changed <> 2 AND t.id <= %(last_task)s
               AND NOT EXISTS (SELECT 1 FROM input_rows i
                                WHERE i.row_id = r.row_id AND i.load_id = %(load)s
                                  AND i.position NOT BETWEEN %(first)s AND %(last)s)
            EXCEPT
            SELECT t.id
              FROM staged_asks a
              JOIN staged_rows r ON r.position = a.position
              JOIN tasks t ON t.row_id = r.row_id AND t.target_id = a.target_id
                          AND t.sample = a.sample AND t.turn = a.turn)
        """,
        scope,
    )


def _is_first(db: Db, scope: dict[str, object]) -> bool:
    """Whether nothing was loaded into the run before, so that nothing can be gone."""
    before = "SELECT EXISTS (SELECT 1 FROM loads WHERE run_id = %(run)s AND id < %(load)s)"
    return not db.execute(before, scope).fetchone()[0]


def pending_before(db: Db, load: int) -> tuple[int, int] | None:
    """The lowest and the highest pending task that *load* may have left out; None after a run's
    first load, which left out none."""
    (run,) = db.execute("SELECT run_id FROM loads WHERE id = %(load)s", {"load": load}).fetchone()
    if _is_first(db, {"run": run, "load": load}):
        return None
    low, high = db.execute(
        """
        SELECT min(low), max(high) FROM (
            SELECT min(id) AS low, max(id) AS high FROM tasks
             WHERE run_id = %(run)s AND state = 'pending' AND changed = 0
            UNION ALL
            SELECT min(id), max(id) FROM tasks
             WHERE run_id = %(run)s AND state = 'pending' AND changed = 1) AS ends
        """,
        {"run": run},
    ).fetchone()
    return None if low is None else (low, high)


def withhold_gone(db: Db, load: int, first: int, last: int) -> None:
    """Mark the run's pending tasks from *first* to *last* whose rows are not in *load*."""
    (run,) = db.execute("SELECT run_id FROM loads WHERE id = %(load)s", {"load": load}).fetchone()
    hold_run(db, run)
    db.execute(
        """
        UPDATE tasks SET changed = 2
         WHERE id BETWEEN %(first)s AND %(last)s
           AND run_id = %(run)s AND state = 'pending' AND changed <> 2
           AND NOT EXISTS (SELECT 1 FROM input_rows i
                            WHERE i.row_id = tasks.row_id AND i.load_id = %(load)s)
        """,
        {"run": run, "load": load, "first": first, "last": last},
    )

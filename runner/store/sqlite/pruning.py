"""Deletes what a finished run no longer needs: texts go, money and counts stay.

One chunk of tasks is one short transaction, so that an engine on the same store hardly waits, and a
prune that is killed has deleted whole chunks and goes on at its next start.
"""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from runner.clock import to_ms
from runner.lifecycle import WAITING, State
from runner.store.control import Keep, Pruned
from runner.store.sqlite import follow_ups

PRUNED_AT_ONCE: Final = 250
"""Tasks of one transaction: with answers of usual length some hundredths of a second."""

Place = tuple[bytes, int]
"""Row key and task id after which to go on."""

BEGINNING: Final[Place] = (b"", 0)

_OVER: Final = frozenset({State.COMPLETED, State.FAILED, State.EXPIRED, State.CANCELLED})
"""Neither waiting nor for a person to decide about."""

# A task with an edit to be decided may be asked again, and needs its texts for that.
# What an open incident is about stays whole until a person has closed it.
_ENDED: Final = f"""
    t.state IN ({", ".join(repr(str(s)) for s in sorted(_OVER))}) AND t.changed <> 1
    AND NOT EXISTS (SELECT 1 FROM incidents x WHERE x.task_id = t.id AND x.closed_at IS NULL)
    AND NOT EXISTS (SELECT 1 FROM extra_charges x WHERE x.task_id = t.id AND x.state = 'posted')
"""


def _bytes(*columns: str) -> str:
    return " + ".join(f"coalesce(length(CAST({column} AS BLOB)), 0)" for column in columns)


_TEXTS: Final = {
    "replies": "length(x.raw)",
    "payloads": _bytes("x.body"),
    "results": _bytes("x.answer", "x.reasoning", "x.fan_out_queries"),
    "citations": _bytes("x.url", "x.title", "x.text", "x.extra"),
    "extra_replies": "length(x.raw)",
}
"""Tables with a task's texts, and how much a row holds."""

_GOING: Final = {Keep.ANSWERS: ("replies",), Keep.COSTS: tuple(_TEXTS)}


def prunable(db: sqlite3.Connection, runs: Sequence[int], *, before: datetime) -> list[int]:
    found = db.execute(
        """
        SELECT r.id FROM runs r
         WHERE r.id IN (SELECT value FROM json_each(:runs)) AND r.created_at < :before
           AND NOT EXISTS (SELECT 1 FROM run_states s
                            WHERE s.run_id = r.id AND s.n > 0
                              AND s.state IN (SELECT value FROM json_each(:waiting)))
           AND NOT EXISTS (SELECT 1 FROM loads l
                            WHERE l.run_id = r.id
                              AND coalesce(l.finished_at, l.started_at) >= :before)
           AND NOT EXISTS (SELECT 1 FROM rows w
                            CROSS JOIN tasks t ON t.row_id = w.id
                            CROSS JOIN attempts a ON a.task_id = t.id
                            WHERE w.run_id = r.id
                              AND coalesce(a.ended_at, a.accepted_at) >= :before)
         ORDER BY r.id
        """,
        {
            "runs": json.dumps(list(runs)),
            "waiting": json.dumps(sorted(WAITING)),
            "before": to_ms(before),
        },
    )
    return [run for (run,) in found]


def prune_size(db: sqlite3.Connection, run: int, *, keep: Keep) -> Pruned:
    chosen = f"""
        SELECT t.id FROM rows w CROSS JOIN tasks t ON t.row_id = w.id
         WHERE w.run_id = :run AND {_ENDED}
    """
    size = _weigh(db, chosen, {"run": run}, keep)
    if keep is Keep.ANSWERS:
        return size
    (cells,) = db.execute(
        f"""
        SELECT coalesce(sum({_bytes("i.cells")}), 0)
          FROM rows w CROSS JOIN input_rows i ON i.row_id = w.id
         WHERE w.run_id = ? AND i.cells <> '{{}}'
           AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.row_id = w.id AND NOT ({_ENDED}))
        """,
        (run,),
    ).fetchone()
    return size + Pruned(bytes=cells)


def prune(
    db: sqlite3.Connection, run: int, place: Place, *, keep: Keep, now: datetime
) -> tuple[Pruned, Place | None]:
    """Prune the run's next tasks after *place*; returns what went, and where to go on."""
    key, last = place
    tasks = db.execute(
        f"""
        SELECT w.key, t.id, t.row_id FROM rows w CROSS JOIN tasks t ON t.row_id = w.id
         WHERE w.run_id = :run AND w.key >= :key AND (w.key > :key OR t.id > :last) AND {_ENDED}
         ORDER BY w.key, t.id LIMIT :limit
        """,
        {"run": run, "key": key, "last": last, "limit": PRUNED_AT_ONCE},
    ).fetchall()
    if not tasks:
        return Pruned(), None
    scope: dict[str, object] = {
        "tasks": json.dumps([task for _, task, _ in tasks]),
        "rows": json.dumps(sorted({row for _, _, row in tasks})),
    }
    went = _weigh(db, "SELECT value AS id FROM json_each(:tasks)", scope, keep)
    for table in _GOING[keep]:
        db.execute(
            f"DELETE FROM {table} WHERE task_id IN (SELECT value FROM json_each(:tasks))", scope
        )
    if keep is Keep.COSTS:
        follow_ups.forget(db, [task for _, task, _ in tasks])
        went += _empty_cells(db, scope)
        if went != Pruned():
            db.execute("UPDATE runs SET pruned_at = ? WHERE id = ?", (to_ms(now), run))
    key, last, _ = tasks[-1]
    return went, (key, last)


def _empty_cells(db: sqlite3.Connection, scope: dict[str, object]) -> Pruned:
    """Empty the input cells of the rows of which no task is left whole."""
    done = """
         WHERE i.row_id IN (SELECT value FROM json_each(:rows)) AND i.cells <> '{}'
           AND NOT EXISTS (SELECT 1 FROM tasks t CROSS JOIN payloads p ON p.task_id = t.id
                            WHERE t.row_id = i.row_id)
    """
    (size,) = db.execute(
        f"SELECT coalesce(sum({_bytes('i.cells')}), 0) FROM input_rows i {done}", scope
    ).fetchone()
    db.execute(f"UPDATE input_rows AS i SET cells = '{{}}' {done}", scope)
    return Pruned(bytes=size)


def _weigh(db: sqlite3.Connection, chosen: str, scope: dict[str, object], keep: Keep) -> Pruned:
    """How much there is to delete of the *chosen* tasks (id), their input cells aside."""
    rows, sizes = dict.fromkeys(_TEXTS, 0), 0
    for table in _GOING[keep]:
        rows[table], size = db.execute(
            f"""
            SELECT count(*), coalesce(sum({_TEXTS[table]}), 0)
              FROM ({chosen}) c CROSS JOIN {table} x ON x.task_id = c.id
            """,
            scope,
        ).fetchone()
        sizes += size
    return Pruned(answers=rows["results"], replies=rows["replies"], bytes=sizes)

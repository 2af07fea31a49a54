"""What people look at: counts, causes, costs, and every line of a run."""

import json
import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Final

from runner.clock import from_ms
from runner.lifecycle import State
from runner.store.protocol import CostLine, ExportLine, FailureGroup, Money, RunStatus
from runner.store.sqlite.loading import runs
from runner.task import Endpoint, TaskId

_MONEY: Final = ("reserved", "at_risk", "advanced", "charged", "refunded", "over_reserve")


def status(db: sqlite3.Connection, run: int) -> RunStatus:
    counted = db.execute(
        "SELECT state, reason, n FROM run_states WHERE run_id = ? AND n > 0", (run,)
    ).fetchall()
    states = dict.fromkeys(State, 0)
    for state, _reason, n in counted:
        states[State(state)] += n
    load = db.execute(
        """
        SELECT row_count, duplicates, rejected FROM loads
         WHERE run_id = ? AND finished_at IS NOT NULL ORDER BY id DESC LIMIT 1
        """,
        (run,),
    ).fetchone()
    sums = db.execute(
        f"SELECT {', '.join(f'{name}_nanousd' for name in _MONEY)} FROM run_money WHERE run_id = ?",
        (run,),
    ).fetchone()
    (changed, held) = db.execute(
        """
        SELECT count(*), coalesce(sum(state = 'pending'), 0)
          FROM tasks WHERE run_id = ? AND changed = 1
        """,
        (run,),
    ).fetchone()
    return RunStatus(
        run=next(found for found in runs(db) if found.id == run),
        rows=load[0] if load else 0,
        duplicates=load[1] if load else 0,
        rejected=load[2] if load else 0,
        states=states,
        reasons={(State(state), reason): n for state, reason, n in counted},
        changed=changed,
        held=held,
        money=Money(**dict(zip(_MONEY, sums, strict=True))),
        oldest_posted_at=_moment(
            db, "SELECT min(posted_at) FROM tasks WHERE run_id = ? AND state = 'posted'", run
        ),
        next_due_at=_next_due(db, run),
    )


def _moment(db: sqlite3.Connection, query: str, *values: object) -> datetime | None:
    (found,) = db.execute(query, values).fetchone()
    return None if found is None else from_ms(found)


def _next_due(db: sqlite3.Connection, run: int) -> datetime | None:
    return _moment(
        db,
        """
        SELECT min(due) FROM (
            SELECT (SELECT min(due_at) FROM tasks t
                     WHERE t.run_id = g.run_id AND t.target_id = g.id
                       AND t.state = 'pending' AND t.changed = 0) AS due
              FROM targets g WHERE g.run_id = ?)
        """,
        run,
    )


def oldest_uncollected(db: sqlite3.Connection) -> datetime | None:
    return _moment(
        db,
        """
        SELECT min(oldest) FROM (
            SELECT (SELECT min(posted_at) FROM tasks t
                     WHERE t.run_id = r.id AND t.state = 'posted') AS oldest
              FROM runs r)
        """,
    )


def failures(db: sqlite3.Connection, run: int) -> list[FailureGroup]:
    rows = db.execute(
        """
        SELECT t.state, t.reason, g.endpoint, g.model, a.code, min(a.message), count(*), min(t.id)
          FROM tasks t
          JOIN targets g ON g.id = t.target_id
          LEFT JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
         WHERE t.run_id = ? AND t.state IN ('failed', 'expired', 'quarantined')
         GROUP BY t.state, t.reason, g.endpoint, g.model, a.code
         ORDER BY count(*) DESC, min(t.id)
        """,
        (run,),
    )
    return [
        FailureGroup(
            state=State(state),
            reason=reason,
            provider=Endpoint.parse(endpoint).provider,
            model=model,
            code=code,
            message=message or "",
            count=count,
            sample_task=TaskId(sample),
        )
        for state, reason, endpoint, model, code, message, count, sample in rows
    ]


_GROUPS: Final = {
    "run": "r.id",
    "job": "j.name",
    "provider": "substr(g.endpoint, instr(g.endpoint, '/') + 1)",
    "model": "g.model",
    "day": "strftime('%Y-%m-%d', b.intended_at / 1000, 'unixepoch')",
}
"""What `cost --by` groups by. A day is the UTC day on which an attempt was intended."""


def cost(
    db: sqlite3.Connection, *, by: str | None, run: int | None = None
) -> tuple[CostLine, list[CostLine]]:
    lines = [_cost_line(row) for row in _cost_rows(db, _GROUPS[by] if by else "''", run)]
    if by == "provider":
        lines = _merged(lines, lambda key: key.split("/")[0])
    if by == "run":
        names = {str(found.id): found.name for found in runs(db)}
        lines = _merged(lines, lambda key: names[key])
    total = _merged(lines, lambda _: "total")
    empty = CostLine(key="total", money=Money(), tasks=0, completed=0)
    return (total[0] if total else empty), (lines if by else [])


def _cost_rows(db: sqlite3.Connection, group: str, run: int | None) -> sqlite3.Cursor:
    return db.execute(
        f"""
        SELECT {group}, {", ".join(f"coalesce(sum(a.{name}_nanousd), 0)" for name in _MONEY)},
               count(DISTINCT a.task_id), sum(a.state = 'completed')
          FROM attempts a
          JOIN batches b ON b.id = a.batch_id
          JOIN tasks t ON t.id = a.task_id
          JOIN targets g ON g.id = t.target_id
          JOIN runs r ON r.id = a.run_id
          JOIN jobs j ON j.id = r.job_id
         WHERE :run IS NULL OR a.run_id = :run
         GROUP BY 1 ORDER BY 1
        """,
        {"run": run},
    )


def _cost_line(row: tuple[object, ...]) -> CostLine:
    key, *sums, tasks, completed = row
    numbers = [int(str(n)) for n in (*sums, tasks, completed)]
    money = Money(**dict(zip(_MONEY, numbers, strict=False)))
    return CostLine(key=str(key), money=money, tasks=numbers[-2], completed=numbers[-1])


def _merged(lines: list[CostLine], name: Callable[[str], str]) -> list[CostLine]:
    merged: dict[str, CostLine] = {}
    for line in lines:
        key = name(line.key)
        before = merged.get(key)
        merged[key] = CostLine(
            key=key,
            money=line.money if before is None else before.money + line.money,
            tasks=line.tasks + (before.tasks if before else 0),
            completed=line.completed + (before.completed if before else 0),
        )
    return list(merged.values())


def input_columns(db: sqlite3.Connection, run: int) -> list[str]:
    """Columns of the latest load first, then those that only earlier loads had."""
    columns: dict[str, None] = {}
    for (text,) in db.execute(
        "SELECT columns FROM loads WHERE run_id = ? ORDER BY id DESC", (run,)
    ):
        columns |= dict.fromkeys(json.loads(text))
    return list(columns)


EXPORTED: Final = tuple(
    """
    run_id task_id target provider model sample turn state reason error_code error_message attempts
    prompt answer reasoning model_name input_tokens output_tokens reasoning_tokens web_search
    fan_out_queries citation_urls money_spent_nanousd cost_nanousd remote_id tag
    posted_at answered_at received_at
    """.split()
)
"""The columns of ``results_v1`` that an export carries."""


def loads_of(db: sqlite3.Connection, run: int) -> list[int]:
    """The run's loads that still hold input lines, latest first."""
    rows = db.execute(
        """
        SELECT id FROM loads l WHERE run_id = ?
           AND EXISTS (SELECT 1 FROM input_rows i WHERE i.load_id = l.id)
         ORDER BY id DESC
        """,
        (run,),
    )
    return [load for (load,) in rows]


def export_page(
    db: sqlite3.Connection, load: int, after_position: int, size: int
) -> tuple[list[ExportLine], int | None]:
    """Up to *size* input lines of *load* after a position, with all their tasks.

    Returns the lines and the position to go on from, None after the last.
    """
    inputs = db.execute(
        """
        SELECT position, row_id, duplicate_of, cells FROM input_rows
         WHERE load_id = ? AND position > ? ORDER BY position LIMIT ?
        """,
        (load, after_position, size),
    ).fetchall()
    if not inputs:
        return [], None
    tasks = _tasks_of(db, [row for _, row, _, _ in inputs])
    lines = [
        ExportLine(position=position, cells=cells, duplicate_of=duplicate_of, values=values)
        for position, row, duplicate_of, cells in inputs
        for values in tasks.get(row, [])
    ]
    return lines, inputs[-1][0]


def _tasks_of(db: sqlite3.Connection, rows: list[int]) -> dict[int, list[dict[str, object]]]:
    columns = ", ".join(f"v.{name}" for name in EXPORTED)
    marks = ", ".join("?" * len(rows))
    found: dict[int, list[dict[str, object]]] = {}
    for row, *values in db.execute(
        f"""
        SELECT t.row_id, {columns}
          FROM tasks t JOIN results_v1 v ON v.task_id = t.id
         WHERE t.row_id IN ({marks}) ORDER BY t.row_id, t.target_id, t.sample, t.turn
        """,
        rows,
    ):
        found.setdefault(row, []).append(dict(zip(EXPORTED, values, strict=True)))
    return found

"""What people look at: counts, causes, costs, and every line of a run."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from runner.clock import from_ms
from runner.lifecycle import State
from runner.money import Evidence
from runner.store.amounts import Money
from runner.store.control import Pause
from runner.store.listing import Selection
from runner.store.sqlite.controlling import pause_of
from runner.store.sqlite.follow_ups import stuck
from runner.store.sqlite.loading import being_loaded
from runner.store.sqlite.runs import runs
from runner.store.sqlite.selecting import condition
from runner.store.values import CostLine, ExportLine, FailureGroup, RunStatus
from runner.task import Endpoint, TaskId

_MONEY: Final = ("reserved", "at_risk", "advanced", "charged", "refunded", "over_reserve")


def status(db: sqlite3.Connection, run: int, *, now: datetime) -> RunStatus:
    counted = db.execute(
        "SELECT state, reason, changed, n FROM run_states WHERE run_id = ? AND n > 0", (run,)
    ).fetchall()
    states = dict.fromkeys(State, 0)
    reasons: Counter[tuple[State, str]] = Counter()
    for state, reason, _changed, n in counted:
        states[State(state)] += n
        reasons[State(state), reason] += n
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
    paused = pause_of(db, run, now=now)
    loading = being_loaded(db, run)
    none_sent = paused is not None or loading
    undecided = stuck(db, run) + sum(
        n for state, _, changed, n in counted if changed and state == State.PENDING
    )
    return RunStatus(
        run=runs(db, id=run)[0],
        rows=load[0] if load else 0,
        duplicates=load[1] if load else 0,
        rejected=load[2] if load else 0,
        states=states,
        reasons=reasons,
        changed=sum(n for _, _, changed, n in counted if changed == 1),
        gone=sum(n for state, _, changed, n in counted if changed == 2 and state == State.PENDING),
        undecided=undecided,
        held=states[State.PENDING] if none_sent else undecided,
        money=Money(**dict(zip(_MONEY, sums, strict=True))),
        oldest_posted_at=oldest_uncollected(db, run=run),
        next_due_at=None if loading else _next_due(db, run, paused),
        paused=paused,
        loading=loading,
    )


def counts(db: sqlite3.Connection) -> dict[State, int]:
    rows = db.execute("SELECT state, sum(n) FROM run_states GROUP BY state")
    return dict.fromkeys(State, 0) | {State(state): n for state, n in rows}


def _moment(db: sqlite3.Connection, query: str, *values: object) -> datetime | None:
    (found,) = db.execute(query, values).fetchone()
    return None if found is None else from_ms(found)


def _next_due(db: sqlite3.Connection, run: int, paused: Pause | None) -> datetime | None:
    due = _moment(
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
    if due is None or paused is None:
        return due
    return None if paused.until is None else max(due, paused.until)


def oldest_uncollected(db: sqlite3.Connection, *, run: int | None = None) -> datetime | None:
    return _moment(
        db,
        """
        SELECT min(oldest) FROM (
            SELECT (SELECT min(posted_at) FROM tasks t
                     WHERE t.target_id = g.id AND t.account_id = c.id
                       AND t.state = 'posted') AS oldest
              FROM targets g, accounts c WHERE ? IS NULL OR g.run_id = ?)
        """,
        run,
        run,
    )


def failures(db: sqlite3.Connection, run: int, which: Selection) -> list[FailureGroup]:
    sql, values = condition(which)
    rows = db.execute(
        f"""
        SELECT t.state, t.reason, g.endpoint, coalesce(a.model, g.model), a.code,
               min(a.message), count(*), min(t.id)
          FROM tasks t
          JOIN targets g ON g.id = t.target_id
          LEFT JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
         WHERE t.run_id = :run AND t.state IN ('failed', 'expired', 'quarantined') AND {sql}
         GROUP BY 1, 2, 3, 4, 5
         ORDER BY count(*) DESC, min(t.id)
        """,
        values | {"run": run},
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
    "run": "a.run_id",
    "job": "j.name",
    "provider": "g.endpoint",
    "model": "a.model",
    "account": "coalesce(c.name, c.gateway)",
    "day": "strftime('%Y-%m-%d', b.intended_at / 1000, 'unixepoch')",
}
"""What `cost --by` groups by. A day is the UTC day on which an attempt was intended."""

_JOINS: Final = """
          JOIN batches b ON b.id = a.batch_id
          JOIN accounts c ON c.id = b.account_id
          JOIN tasks t ON t.id = a.task_id
          JOIN targets g ON g.id = t.target_id
          JOIN runs r ON r.id = a.run_id
          JOIN jobs j ON j.id = r.job_id
"""


def cost(
    db: sqlite3.Connection, *, by: str | None, run: int | None = None
) -> tuple[CostLine, list[CostLine]]:
    (total,) = _cost_lines(db, "'total'", "", run) or [
        CostLine(key="total", money=Money(), tasks=0, completed=0)
    ]
    if by is None:
        return total, []
    lines = _cost_lines(db, _GROUPS[by], _JOINS, run)
    if by == "provider":
        return total, _merged(lines, lambda key: str(Endpoint.parse(key).provider))
    if by == "run":
        names = {str(found.id): found.name for found in runs(db)}
        return total, _merged(lines, lambda key: names[key])
    return total, lines


def _cost_lines(db: sqlite3.Connection, group: str, joins: str, run: int | None) -> list[CostLine]:
    rows = db.execute(
        f"""
        SELECT {group}, {", ".join(f"sum(a.{name}_nanousd)" for name in _MONEY)},
               coalesce(sum(a.charged_nanousd) FILTER (WHERE a.charge_evidence = :computed), 0),
               count(DISTINCT a.task_id),
               count(DISTINCT CASE a.state WHEN 'completed' THEN a.task_id END)
          FROM charges a {joins}
         WHERE :run IS NULL OR a.run_id = :run
         GROUP BY 1 ORDER BY 1
        """,
        {"run": run, "computed": Evidence.COMPUTED},
    )
    return [_cost_line(row) for row in rows]


def _cost_line(row: tuple[object, ...]) -> CostLine:
    key, *texts = row
    *sums, computed, tasks, completed = [int(str(n)) for n in texts]
    money = Money(**dict(zip(_MONEY, sums, strict=True)))
    return CostLine(key=str(key), money=money, tasks=tasks, completed=completed, computed=computed)


def _merged(lines: list[CostLine], name: Callable[[str], str]) -> list[CostLine]:
    merged: dict[str, CostLine] = {}
    for line in lines:
        named = replace(line, key=name(line.key))
        before = merged.get(named.key)
        merged[named.key] = named if before is None else before + named
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
    fan_out_queries citation_urls money_spent_nanousd cost_nanousd cost_evidence remote_id tag
    posted_at answered_at received_at
    """.split()
)
"""The columns of ``results_v1`` that an export carries."""


def hold_view(db: sqlite3.Connection) -> None:
    """Fix what this connection sees, until it is closed."""
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM runs").fetchone()


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
    db: sqlite3.Connection, load: int, after_position: int, size: int, which: Selection
) -> tuple[list[ExportLine], int | None]:
    """Up to *size* input lines of *load* after a position, with their tasks that *which* means.

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
    tasks = _tasks_of(db, [row for _, row, _, _ in inputs], which)
    lines = [
        ExportLine(
            position=position,
            cells=cells,
            duplicate_of=duplicate_of,
            changed=changed,
            values=values,
        )
        for position, row, duplicate_of, cells in inputs
        for changed, values in tasks.get(row, [])
    ]
    return lines, inputs[-1][0]


def _tasks_of(
    db: sqlite3.Connection, rows: list[int], which: Selection
) -> dict[int, list[tuple[bool, dict[str, object]]]]:
    sql, values = condition(which)
    columns = ", ".join(f"v.{name}" for name in EXPORTED)
    found: dict[int, list[tuple[bool, dict[str, object]]]] = {}
    for row, changed, *line in db.execute(
        f"""
        SELECT t.row_id, t.changed = 1, {columns}
          FROM json_each(:rows) e
         CROSS JOIN tasks t ON t.row_id = e.value
          JOIN results_v1 v ON v.task_id = t.id
         WHERE {sql}
         ORDER BY t.row_id, t.target_id, t.sample, t.turn
        """,
        values | {"rows": json.dumps(list(set(rows)))},
    ):
        found.setdefault(row, []).append((bool(changed), dict(zip(EXPORTED, line, strict=True))))
    return found

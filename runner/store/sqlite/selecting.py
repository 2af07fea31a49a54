"""A ``Selection`` as a condition on ``tasks t``: one for lists, counts, exports and changes alike.

    sql, values = condition(which)
    db.execute(f"SELECT … FROM tasks t WHERE {sql}", values)

It needs no join beside the table ``tasks`` under the name ``t``, so that it stands in an UPDATE as
in a SELECT. ``Selection.limit`` is not part of it: that needs an order.
"""

import json
from collections.abc import Iterable
from typing import Final

from runner.clock import to_ms
from runner.lifecycle import UNSUCCESSFUL
from runner.store.listing import Selection

MOVED: Final = """
    coalesce((SELECT coalesce(a.ended_at, a.accepted_at, b.intended_at)
                FROM attempts a JOIN batches b ON b.id = a.batch_id
               WHERE a.task_id = t.id AND a.number = t.attempt),
             (SELECT l.started_at FROM input_rows i JOIN loads l ON l.id = i.load_id
               WHERE i.row_id = t.row_id ORDER BY i.load_id DESC LIMIT 1),
             (SELECT r.created_at FROM runs r WHERE r.id = t.run_id))
"""
"""The latest thing that happened to ``t``."""

MODEL: Final = """
    coalesce((SELECT json_extract(p.body, '$.model_name') FROM payloads p WHERE p.task_id = t.id),
             (SELECT a.model FROM attempts a WHERE a.task_id = t.id AND a.number = t.attempt),
             (SELECT g.model FROM targets g WHERE g.id = t.target_id))
"""
"""The model that ``t`` asks, as in ``results_v1``: a row may override its target's."""

CELLS: Final = """
    coalesce((SELECT i.cells FROM input_rows i
               WHERE i.row_id = t.row_id ORDER BY i.load_id DESC, i.position LIMIT 1), '{}')
"""
"""The input row of ``t``, as last loaded; of duplicate lines the first."""

Condition = tuple[str, dict[str, object]]
"""SQL and the values of its parameters, whose names begin with ``sel_``."""


def condition(which: Selection) -> Condition:
    parts: list[str] = []
    values: dict[str, object] = {}
    # A unary plus keeps an index out of it that would have to be sorted for every page.
    if which.runs is not None:
        if len(which.runs) == 1:
            parts.append("t.run_id = :sel_run")
            (values["sel_run"],) = which.runs
        else:
            parts.append(f"+t.run_id IN ({_list('sel_runs')})")
            values["sel_runs"] = _json(which.runs)
    if which.states is not None:
        parts.append(_states(which))
    if which.gone:
        parts.append("t.state = 'pending' AND t.changed = 2")
    if which.providers is not None:
        parts.append(
            "t.target_id IN (SELECT g.id FROM targets g, json_each(:sel_providers) e"
            " WHERE instr(g.endpoint, '/' || e.value || '/') > 0)"
        )
        values["sel_providers"] = _json(which.providers)
    if which.models is not None:
        parts.append(f"{MODEL} IN ({_list('sel_models')})")
        values["sel_models"] = _json(which.models)
    if which.codes is not None:
        parts.append(
            "(SELECT a.code FROM attempts a WHERE a.task_id = t.id AND a.number = t.attempt)"
            f" IN ({_list('sel_codes')})"
        )
        values["sel_codes"] = _json(which.codes)
    if which.since is not None:
        parts.append(f"{MOVED} >= :sel_since")
        values["sel_since"] = to_ms(which.since)
    if which.until is not None:
        parts.append(f"{MOVED} < :sel_until")
        values["sel_until"] = to_ms(which.until)
    for number, (column, text) in enumerate(which.where):
        sql, more = _cell_is(column, text, number)
        parts.append(sql)
        values |= more
    if which.tasks is not None:
        parts.append(f"t.id IN ({_list('sel_tasks')})")
        values["sel_tasks"] = _json(which.tasks)
    return " AND ".join(parts) or "1", values


def _states(which: Selection) -> str:
    """Literals, by which SQLite knows that a partial index will do."""
    assert which.states is not None
    listed = ", ".join(f"'{state.value}'" for state in sorted(which.states))
    one_run = which.runs is not None and len(which.runs) == 1
    if one_run and len(which.states) == 1 and which.states <= UNSUCCESSFUL:
        return f"t.state = {listed}"
    return f"+t.state IN ({listed})"


def _cell_is(column: str, text: str, number: int) -> Condition:
    """The cell *column* is *text*: text as it is, a number as JSON has it, ``true``, ``false``."""
    name, value, path = (f"sel_{word}{number}" for word in ("column", "text", "path"))
    values: dict[str, object] = {name: column, value: text}
    sql = f"""EXISTS (SELECT 1 FROM json_each({CELLS}) c
                       WHERE c.key = :{name} AND {_as_text("c.type", "c.value")} = :{value})"""
    if nested := _path(column):
        values[path] = nested
        at = f"({CELLS}, :{path})"
        sql = f"({sql} OR {_as_text(f'json_type{at}', f'json_extract{at}')} = :{value})"
    return sql, values


def _as_text(kind: str, value: str) -> str:
    return (
        f"CASE {kind} WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'null' THEN ''"
        f" ELSE CAST({value} AS TEXT) END"
    )


def _path(column: str) -> str | None:
    """*column* as a path of SQLite's JSON functions; None if it is no dotted path."""
    parts = column.split(".")
    if len(parts) == 1 or '"' in column or not all(parts):
        return None
    steps = (f"[{p}]" if p.isascii() and p.isdecimal() else f'."{p}"' for p in parts)
    return "$" + "".join(steps)


def _list(name: str) -> str:
    return f"SELECT value FROM json_each(:{name})"


def _json(values: Iterable[int | str]) -> str:
    return json.dumps(sorted(values))

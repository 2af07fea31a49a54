"""A ``Selection`` as a condition on ``tasks t``: one for lists, counts, exports and changes alike.

    sql, values = condition(which)
    db.execute(f"SELECT … FROM tasks t WHERE {sql}", values)

It needs no join beside the table ``tasks`` under the name ``t``, so that it stands in an UPDATE as
in a SELECT. ``Selection.limit`` is not part of it: that needs an order.
"""

from typing import Final

from runner.clock import to_ms
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
    coalesce((SELECT json_text(p.body, 'model_name') FROM payloads p WHERE p.task_id = t.id),
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
    if which.runs is not None:
        if len(which.runs) == 1:
            parts.append("t.run_id = %(sel_run)s")
            (values["sel_run"],) = which.runs
        else:
            parts.append("t.run_id = ANY(%(sel_runs)s::bigint[])")
            values["sel_runs"] = sorted(which.runs)
    if which.states is not None:
        parts.append(_states(which))
    if which.gone:
        parts.append("t.state = 'pending' AND t.changed = 2")
    if which.providers is not None:
        parts.append(
            "t.target_id IN (SELECT g.id FROM targets g"
            " WHERE split_part(g.endpoint, '/', 2) = ANY(%(sel_providers)s::text[]))"
        )
        values["sel_providers"] = sorted(map(str, which.providers))
    if which.models is not None:
        parts.append(f"{MODEL} = ANY(%(sel_models)s::text[])")
        values["sel_models"] = sorted(which.models)
    if which.codes is not None:
        parts.append(
            "(SELECT a.code FROM attempts a WHERE a.task_id = t.id AND a.number = t.attempt)"
            " = ANY(%(sel_codes)s::bigint[])"
        )
        values["sel_codes"] = sorted(which.codes)
    if which.since is not None:
        parts.append(f"{MOVED} >= %(sel_since)s")
        values["sel_since"] = to_ms(which.since)
    if which.until is not None:
        parts.append(f"{MOVED} < %(sel_until)s")
        values["sel_until"] = to_ms(which.until)
    for number, (column, text) in enumerate(which.where):
        sql, more = _cell_is(column, text, number)
        parts.append(sql)
        values |= more
    if which.tasks is not None:
        parts.append("t.id = ANY(%(sel_tasks)s::numeric[])")
        values["sel_tasks"] = sorted(which.tasks)
    return " AND ".join(parts) or "true", values


def _states(which: Selection) -> str:
    """Literals, by which the server knows that a partial index will do."""
    assert which.states is not None
    listed = ", ".join(f"'{state.value}'" for state in sorted(which.states))
    return f"t.state IN ({listed})" if listed else "false"


def _cell_is(column: str, text: str, number: int) -> Condition:
    """The cell *column* is *text*: text as it is, a number as JSON has it, ``true``, ``false``."""
    name, value, path = (f"sel_{word}{number}" for word in ("column", "text", "path"))
    values: dict[str, object] = {name: column, value: text}
    sql = f"""EXISTS (SELECT 1 FROM json_each_text(json_clean({CELLS})) c
                       WHERE c.key = %({name})s AND coalesce(c.value, '') = %({value})s)"""
    if nested := _path(column):
        values[path] = nested
        at = f"(json_clean({CELLS}) #> %({path})s::text[])"
        sql = f"({sql} OR {at} IS NOT NULL AND coalesce({at} #>> '{{}}', '') = %({value})s)"
    return sql, values


def _path(column: str) -> list[str] | None:
    """*column* as a path into JSON; None if it is no dotted path."""
    parts = column.split(".")
    return None if len(parts) == 1 or '"' in column or not all(parts) else parts

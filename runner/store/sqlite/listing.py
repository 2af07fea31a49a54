"""Tasks one by one: pages of those that a selection means, and everything about one."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from runner.answer import Citation
from runner.clock import from_ms
from runner.lifecycle import State
from runner.money import Evidence
from runner.store.amounts import Money
from runner.store.listing import AttemptDetail, ResultDetail, Selection, TaskDetail, TaskLine
from runner.store.sqlite.follow_ups import with_history
from runner.store.sqlite.selecting import CELLS, MODEL, MOVED, condition
from runner.task import Endpoint, TaskId

Row = tuple[Any, ...]

LARGEST: Final = 2**63 - 1
"""What a column and a parameter of SQLite can hold."""

_LINE: Final = f"""
    SELECT t.id, t.run_id, g.name, g.endpoint, {MODEL}, t.sample, t.turn, t.state,
           coalesce(nullif(t.reason, ''), iif(p.task_id IS NULL, 'pruned', '')), t.changed,
           t.attempt, t.polls, a.code, a.message, a.remote_id, a.accepted_at, {MOVED},
           (SELECT coalesce(sum(e.charged_nanousd), 0) FROM attempts e WHERE e.task_id = t.id)
           + (SELECT coalesce(sum(x.charged_nanousd), 0) FROM extra_charges x
               WHERE x.task_id = t.id),
           {CELLS}
      FROM tasks t
      JOIN targets g ON g.id = t.target_id
      LEFT JOIN payloads p ON p.task_id = t.id
      LEFT JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
"""


def page(db: sqlite3.Connection, which: Selection, after: int, size: int) -> list[TaskLine]:
    """Up to *size* of the tasks that *which* means, with ids above *after*; its limit aside."""
    sql, values = condition(which)
    rows = db.execute(
        f"""
        {_LINE}
         WHERE t.id IN (SELECT t.id FROM tasks t
                         WHERE t.id > :after AND {sql} ORDER BY t.id LIMIT :size)
         ORDER BY t.id
        """,
        values | {"after": after, "size": size},
    )
    return [_line(row) for row in rows]


def count(db: sqlite3.Connection, which: Selection) -> int:
    sql, values = condition(which)
    (found,) = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM tasks t WHERE {sql} LIMIT :limit)",
        values | {"limit": -1 if which.limit is None else min(which.limit, LARGEST)},
    ).fetchone()
    return int(found)


def unknown(db: sqlite3.Connection, ids: Sequence[int]) -> list[int]:
    rows = db.execute(
        """
        SELECT e.value FROM json_each(?) e
         WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = e.value) ORDER BY e.id
        """,
        (json.dumps(ids),),
    )
    return [id for (id,) in rows]


def reply(db: sqlite3.Connection, task: int, attempt: int) -> bytes | None:
    row = db.execute(
        "SELECT raw FROM replies WHERE task_id = ? AND attempt = ?", (task, attempt)
    ).fetchone()
    return None if row is None else bytes(row[0])


def task(db: sqlite3.Connection, id: int) -> TaskDetail | None:
    if not 0 < id <= LARGEST:
        return None
    row = db.execute(f"{_LINE} WHERE t.id = ?", (id,)).fetchone()
    if row is None:
        return None
    body, edited, parameters, source, line, due_at, tries, allowed, history = db.execute(
        """
        SELECT p.body, c.body, g.parameters, l.source, i.line, t.due_at, t.tries, r.tries,
               f.history
          FROM tasks t
          JOIN targets g ON g.id = t.target_id
          JOIN runs r ON r.id = t.run_id
          LEFT JOIN payloads p ON p.task_id = t.id
          LEFT JOIN changes c ON c.task_id = t.id
          LEFT JOIN follow_ups f ON f.task_id = t.id
          LEFT JOIN input_rows i ON i.row_id = t.row_id
          LEFT JOIN loads l ON l.id = i.load_id
         WHERE t.id = ? ORDER BY i.load_id DESC, i.position LIMIT 1
        """,
        (id,),
    ).fetchone()
    return TaskDetail(
        line=_line(row),
        body=body and with_history(body, history),
        edited_body=edited and with_history(edited, history),
        parameters=parameters,
        source=source,
        source_line=line,
        due_at=_moment(due_at),
        tries=tries,
        allowed_tries=allowed,
        attempts=_attempts(db, id),
    )


def _line(row: Row) -> TaskLine:
    id, run, target, endpoint, model, sample, turn, state, reason, changed, attempts, polls = row[
        :12
    ]
    code, message, remote_id, accepted_at, moved_at, charged, cells = row[12:]
    return TaskLine(
        id=TaskId(id),
        run=run,
        target=target,
        endpoint=Endpoint.parse(endpoint),
        model=model,
        sample=sample,
        turn=turn,
        state=State(state),
        reason=reason,
        changed=changed == 1,
        attempts=attempts,
        polls=polls,
        code=code,
        message=message,
        remote_id=remote_id,
        posted_at=_moment(accepted_at),
        moved_at=from_ms(moved_at),
        charged=charged,
        cells=cells,
    )


def _attempts(db: sqlite3.Connection, id: int) -> tuple[AttemptDetail, ...]:
    rows = db.execute(
        """
        SELECT a.number, a.batch_id, a.state, a.model, a.tag, a.remote_id, a.code, a.message,
               b.intended_at, a.accepted_at,
               CASE WHEN a.state <> 'posted' THEN a.ended_at END, a.charge_evidence, length(p.raw),
               a.reserved_nanousd, a.at_risk_nanousd, a.advanced_nanousd, a.charged_nanousd,
               a.refunded_nanousd, a.over_reserve_nanousd, c.name
          FROM attempts a
          JOIN batches b ON b.id = a.batch_id
          JOIN accounts c ON c.id = b.account_id
          LEFT JOIN replies p ON p.task_id = a.task_id AND p.attempt = a.number
         WHERE a.task_id = ? ORDER BY a.number
        """,
        (id,),
    ).fetchall()
    results = _results(db, id)
    return tuple(_attempt(row, results.get(row[0])) for row in rows)


def _attempt(row: Row, result: ResultDetail | None) -> AttemptDetail:
    number, batch, state, model, tag, remote_id, code, message, intended, accepted, ended = row[:11]
    evidence, reply_bytes = row[11:13]
    reserved, at_risk, advanced, charged, refunded, over_reserve, account = row[13:]
    return AttemptDetail(
        number=number,
        batch=batch,
        state=state,
        model=model,
        tag=tag,
        remote_id=remote_id,
        code=code,
        message=message,
        intended_at=from_ms(intended),
        accepted_at=_moment(accepted),
        ended_at=_moment(ended),
        money=Money(
            reserved=reserved,
            at_risk=at_risk,
            advanced=advanced,
            charged=charged,
            refunded=refunded,
            over_reserve=over_reserve,
        ),
        evidence=None if evidence is None else Evidence(evidence),
        result=result,
        reply_bytes=reply_bytes,
        account=account,
    )


def _results(db: sqlite3.Connection, id: int) -> dict[int, ResultDetail]:
    """By attempt."""
    cited: dict[int, list[Citation]] = {}
    for attempt, *fields in db.execute(
        """
        SELECT attempt, url, title, text, start_index, end_index, extra FROM citations
         WHERE task_id = ? ORDER BY attempt, position
        """,
        (id,),
    ):
        cited.setdefault(attempt, []).append(_citation(fields))
    rows = db.execute(
        """
        SELECT attempt, received_at, answered_at, model_name, input_tokens, output_tokens,
               reasoning_tokens, web_search, money_spent_nanousd, answer, reasoning,
               fan_out_queries, parse_error
          FROM results WHERE task_id = ?
        """,
        (id,),
    )
    return {row[0]: _result(row[1:], cited.get(row[0], [])) for row in rows}


def _result(row: Row, citations: list[Citation]) -> ResultDetail:
    received, answered, model, tokens_in, tokens_out, reasoning_tokens, searched, spent = row[:8]
    answer, reasoning, queries, parse_error = row[8:]
    return ResultDetail(
        received_at=from_ms(received),
        answered_at=_moment(answered),
        model_name=model,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        reasoning_tokens=reasoning_tokens,
        web_search=None if searched is None else bool(searched),
        money_spent=spent,
        answer=answer,
        reasoning=reasoning,
        fan_out_queries=None if queries is None else tuple(json.loads(queries)),
        parse_error=parse_error,
        citations=tuple(citations),
    )


def _citation(fields: Sequence[Any]) -> Citation:
    url, title, text, start, end, extra = fields
    return Citation(
        url=url,
        title=title,
        text=text,
        start_index=start,
        end_index=end,
        extra=json.loads(extra) if extra else {},
    )


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)

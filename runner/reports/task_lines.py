"""Tasks one by one, as lists and ``--json`` tell them: one table of columns, one document each.

Names are those of exports and of the view ``results_v1``; ages are seconds, money is US dollars.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from runner.clock import to_text
from runner.inputs.paths import Miss, get_path
from runner.lifecycle import State
from runner.money import exact
from runner.store.listing import AttemptDetail, ResultDetail, TaskDetail, TaskLine
from runner.store.values import Run

TASKS: Final = "runner.tasks/1"
"""Of each line that `runner tasks --json` prints."""
COUNT: Final = "runner.tasks.count/1"
TASK: Final = "runner.task/1"
TASK_PART: Final = "runner.task.part/1"

INPUT: Final = "input."
"""Goes before an input column that is called like one of ours."""

Value = str | int | bool | None
Read = Callable[[TaskLine, Run, datetime], Value]
Cells = Mapping[str, object]

_CELLS: Final = msgspec.json.Decoder(dict[str, object])


def _cost(line: TaskLine, _run: Run, _now: datetime) -> Value:
    # A task that is not answered has 0 booked until something is known.
    return exact(line.charged) if line.charged or line.state == State.COMPLETED else None


def age_s(line: TaskLine, now: datetime) -> int:
    """Seconds since the latest thing happened to the task."""
    # A wall clock turned back must not show a negative age.
    return max(0, int((now - line.moved_at).total_seconds()))


COLUMNS: Final[dict[str, Read]] = {
    "task_id": lambda line, _run, _now: line.id,
    "run": lambda _line, run, _now: run.name,
    "run_id": lambda line, _run, _now: line.run,
    "job": lambda _line, run, _now: run.job,
    "target": lambda line, _run, _now: line.target,
    "provider": lambda line, _run, _now: line.endpoint.provider.value,
    "model": lambda line, _run, _now: line.model,
    "method": lambda line, _run, _now: line.endpoint.method.value,
    "gateway": lambda line, _run, _now: line.endpoint.gateway.value,
    "sample": lambda line, _run, _now: line.sample,
    "turn": lambda line, _run, _now: line.turn,
    "state": lambda line, _run, _now: line.state.value,
    "reason": lambda line, _run, _now: line.reason or None,
    "changed": lambda line, _run, _now: line.changed,
    "error_code": lambda line, _run, _now: line.code,
    "error_message": lambda line, _run, _now: line.message,
    "attempts": lambda line, _run, _now: line.attempts,
    "polls": lambda line, _run, _now: line.polls,
    "age_s": lambda line, _run, now: age_s(line, now),
    "moved_at": lambda line, _run, _now: to_text(line.moved_at),
    "posted_at": lambda line, _run, _now: _time(line.posted_at),
    "remote_id": lambda line, _run, _now: line.remote_id,
    "cost_usd": _cost,
}
"""Ours: name and reader of each, in the order in which ``--json`` has them."""


def cells_of(line: TaskLine) -> Cells:
    """The task's row of the input."""
    return _CELLS.decode(line.cells)


def cell(cells: Cells, column: str) -> object:
    """The cell at *column*, which may be a dotted path; None where there is none."""
    found = get_path(cells, column)
    return None if isinstance(found, Miss) else found


def tasks_document(
    line: TaskLine, run: Run, now: datetime, columns: Iterable[str] | None = None
) -> dict[str, object]:
    """One line of `runner tasks --json`; *columns* of the row, by default those that name it."""
    cells = cells_of(line)
    chosen = run.key_columns if columns is None else columns
    return {
        "schema": TASKS,
        **{name: read(line, run, now) for name, read in COLUMNS.items()},
        "row": {column: cell(cells, column) for column in chosen},
    }


def count_document(tasks: int) -> dict[str, object]:
    """`runner tasks --count --json`."""
    return {"schema": COUNT, "tasks": tasks}


def request_of(detail: TaskDetail) -> dict[str, Any] | None:
    """The request as it is asked; None once it was pruned."""
    return None if detail.body is None else msgspec.json.decode(detail.body, type=dict[str, Any])


def part_document(task: int, name: str, text: str) -> dict[str, object]:
    """The one part of a task that was asked for: ``prompt``, ``answer`` or ``raw``."""
    return {"schema": TASK_PART, "task_id": task, name: text}


def task_document(detail: TaskDetail, run: Run, now: datetime) -> dict[str, object]:
    """Everything about one task; the raw replies aside, which are bytes."""
    line = detail.line
    edited = detail.edited_body
    return {
        "schema": TASK,
        "at": to_text(now),
        **{name: read(line, run, now) for name, read in COLUMNS.items()},
        "row": {column: cell(cells_of(line), column) for column in run.key_columns},
        "input": cells_of(line),
        "input_file": detail.source,
        "input_line": detail.source_line,
        "request": request_of(detail),
        "edited_request": None if edited is None else msgspec.json.decode(edited),
        "target_parameters": msgspec.json.decode(detail.parameters),
        "due_at": _time(detail.due_at),
        "tries": detail.tries,
        "allowed_tries": detail.allowed_tries,
        "timeline": [_attempt(attempt) for attempt in detail.attempts],
    }


def _attempt(attempt: AttemptDetail) -> dict[str, object]:
    money = attempt.money
    return {
        "number": attempt.number,
        "state": attempt.state,
        "batch": attempt.batch,
        "model": attempt.model,
        "tag": attempt.tag,
        "remote_id": attempt.remote_id,
        "error_code": attempt.code,
        "error_message": attempt.message,
        "intended_at": to_text(attempt.intended_at),
        "posted_at": _time(attempt.accepted_at),
        "posted_after_s": _after(attempt.intended_at, attempt.accepted_at),
        "ended_at": _time(attempt.ended_at),
        "ended_after_s": _after(attempt.accepted_at or attempt.intended_at, attempt.ended_at),
        "advanced": exact(money.advanced),
        "charged": exact(money.charged),
        "charge_evidence": attempt.evidence.value if attempt.evidence else None,
        "refunded": exact(money.refunded),
        "reserved": exact(money.reserved),
        "at_risk": exact(money.at_risk),
        "over_reserve": exact(money.over_reserve),
        "reply_bytes": attempt.reply_bytes,
        "result": None if attempt.result is None else _result(attempt.result),
    }


def _result(result: ResultDetail) -> dict[str, object]:
    queries = result.fan_out_queries
    return {
        "answered_at": _time(result.answered_at),
        "received_at": to_text(result.received_at),
        "model_name": result.model_name,
        "answer": result.answer,
        "reasoning": result.reasoning,
        "citations": [
            {
                "url": citation.url,
                "title": citation.title,
                "text": citation.text,
                "start_index": citation.start_index,
                "end_index": citation.end_index,
                "extra": dict(citation.extra),
            }
            for citation in result.citations
        ],
        "fan_out_queries": None if queries is None else list(queries),
        "input_tokens": result.input_tokens,
        "output_tokens": result.output_tokens,
        "reasoning_tokens": result.reasoning_tokens,
        "web_search": result.web_search,
        "money_spent": exact(result.money_spent),
        "parse_error": result.parse_error,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else to_text(moment)


def _after(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else round((end - start).total_seconds(), 3)

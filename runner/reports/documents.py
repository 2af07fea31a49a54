"""What ``--json`` prints: one document for each command, with names that stay (DESIGN.md §11).

Money is text, US dollars with nine decimals; times are RFC 3339 in UTC; durations are seconds.
Pure: numbers in, values for ``json.dumps`` out.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from runner.clock import to_text
from runner.lifecycle import State
from runner.money import exact
from runner.reports.advice import advise
from runner.store.control import Pause
from runner.store.values import CostLine, FailureGroup, Run, RunStatus

STATUS: Final = "runner.status/1"
COST: Final = "runner.cost/1"
ERRORS: Final = "runner.errors/1"
RUNS: Final = "runner.runs/1"


def status_document(statuses: Iterable[RunStatus], now: datetime) -> dict[str, object]:
    """Where runs stand, in the order given; *now* is what ages are counted to."""
    return {
        "schema": STATUS,
        "at": to_text(now),
        "runs": [_status(status, now) for status in statuses],
    }


def runs_document(
    statuses: Iterable[RunStatus], now: datetime, state: Callable[[RunStatus], str]
) -> dict[str, object]:
    """A list of runs: for each what ``runner.status/1`` has, and *state*, the whole in a word."""
    return {
        "schema": RUNS,
        "at": to_text(now),
        "runs": [{**_status(status, now), "state": state(status)} for status in statuses],
    }


def cost_document(total: CostLine, lines: Iterable[CostLine], by: str | None) -> dict[str, object]:
    """Money of a run or of all; *by* is what *lines* are grouped by, such as ``provider``."""
    return {
        "schema": COST,
        "currency": "USD",
        "totals": _amounts(total),
        "grouped_by": by,
        "by": [{"key": line.key, **_amounts(line)} for line in lines],
    }


def errors_document(
    run: Run, groups: Sequence[FailureGroup], *, to_paste: Callable[[str], str] = str
) -> dict[str, object]:
    """A run's tasks without an answer, grouped by cause, each with what to do about it.

    *to_paste* completes the commands.
    """
    return {
        "schema": ERRORS,
        **_names(run),
        "count": sum(group.count for group in groups),
        "groups": [_group(group, run, groups, to_paste) for group in groups],
    }


def _names(run: Run) -> dict[str, object]:
    return {"run": run.name, "number": run.number, "job": run.job, "key": run.key, "api": run.api}


def _status(status: RunStatus, now: datetime) -> dict[str, object]:
    money = status.money
    oldest, due = status.oldest_posted_at, status.next_due_at
    return {
        **_names(status.run),
        "created_at": to_text(status.run.created_at),
        "rows": status.rows,
        "rejected": status.rejected,
        "duplicates": status.duplicates,
        "tasks": status.tasks,
        "states": {state.value: status.states.get(state, 0) for state in State},
        "changed": status.changed,
        "gone": status.gone,
        "paused": None if status.paused is None else pause_document(status.paused),
        "charged": exact(money.charged),
        "reserved": exact(money.reserved),
        "at_risk": exact(money.at_risk),
        "over_reserve": exact(money.over_reserve),
        # A wall clock turned back must not show a negative age.
        "oldest_waiting_s": None if oldest is None else max(0, int((now - oldest).total_seconds())),
        "next_due_at": None if due is None else to_text(due),
    }


def pause_document(pause: Pause) -> dict[str, object]:
    """A pause within another document; ``scope`` is None for the whole store."""
    return {
        "scope": pause.scope or None,
        "since": to_text(pause.since),
        "until": None if pause.until is None else to_text(pause.until),
        "reason": pause.reason or None,
    }


def _amounts(line: CostLine) -> dict[str, object]:
    money = line.money
    return {
        "advanced": exact(money.advanced),
        "charged": exact(money.charged),
        "refunded": exact(money.refunded),
        "reserved": exact(money.reserved),
        "at_risk": exact(money.at_risk),
        "over_reserve": exact(money.over_reserve),
        "charged_reported": exact(line.reported),
        "charged_computed": exact(line.computed),
        "tasks": line.tasks,
        "completed": line.completed,
    }


def _group(
    group: FailureGroup, run: Run, among: Sequence[FailureGroup], to_paste: Callable[[str], str]
) -> dict[str, object]:
    advice = advise(group, run.name, among=among)
    return {
        "state": group.state.value,
        "reason": group.reason or None,
        "provider": group.provider,
        "model": group.model,
        "code": group.code,
        "message": group.message,
        "count": group.count,
        "sample_task": group.sample_task,
        "retriable": advice.retriable,
        "meaning": advice.meaning,
        "advice": advice.advice,
        "command": advice.command and to_paste(advice.command),
    }

"""The documents of `--json`: other people's programs read them by name."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from runner.lifecycle import State
from runner.reports.documents import cost_document, errors_document, status_document
from runner.store.amounts import Money
from runner.store.endings import Ending, Posted
from runner.store.values import CostLine
from runner.task import Outcome
from tests.reports.filling import (
    accepted,
    answered,
    failed,
    filled,
    refused,
    running,
)
from tests.support.clock import START


def as_read(document: dict[str, object]) -> Any:
    """*document* as a program gets it."""
    return json.loads(json.dumps(document, allow_nan=False))


def post(number: int, tag: str) -> Outcome:
    return (refused if number == 0 else accepted)(number, tag)


def end(number: int, posted: Posted) -> Ending:
    return {1: failed(40103), 2: running}.get(number, answered("fine"))(number, posted)


async def test_the_status_document_has_the_promised_names(tmp_path: Path) -> None:
    """DESIGN.md §11 runner.status/1, read by monitors for years."""
    async with filled(
        tmp_path / "q.db", [{"q": str(n)} for n in range(6)], run_key="k", post=post, end=end
    ) as f:
        status = await f.store.status(f.run.id)
    document = as_read(status_document([status], START + timedelta(hours=2)))
    assert (document["schema"], document["at"]) == ("runner.status/1", "2026-11-21T04:15:00Z")
    (run,) = document["runs"]
    promised = {
        "run": "demo@k",
        "job": "demo",
        "key": "k",
        "api": "live",
        "rows": 6,
        "rejected": 0,
        "charged": "0.015600003",
        "reserved": "0.010200000",
        "at_risk": "0.000000000",
        "oldest_waiting_s": 7200,
    }
    assert {name: run[name] for name in promised} == promised
    assert run["states"] == {
        "pending": 0,
        "posting": 0,
        "unknown": 0,
        "posted": 1,
        "completed": 3,
        "failed": 2,
        "expired": 0,
        "quarantined": 0,
        "cancelled": 0,
    }
    assert list(run["states"]) == list(State)
    more = {"number": "r1", "tasks": 6, "duplicates": 0, "changed": 0, "next_due_at": None}
    assert {name: run[name] for name in more} == more
    assert run["created_at"] == "2026-11-21T02:15:00Z"


async def test_without_a_waiting_task_there_is_no_age(tmp_path: Path) -> None:
    """0 seconds would read as "just posted"."""
    async with filled(tmp_path / "q.db", [{"q": "x"}], post=None) as f:
        status = await f.store.status(f.run.id)
    (run,) = as_read(status_document([status], START))["runs"]
    assert run["oldest_waiting_s"] is None
    assert run["next_due_at"] == "2026-11-21T02:15:00Z"
    backwards = replace(status, oldest_posted_at=START + timedelta(hours=1))
    (run,) = as_read(status_document([backwards], START))["runs"]
    assert run["oldest_waiting_s"] == 0


def test_no_runs_are_an_empty_list() -> None:
    """A program loops over it; a missing name would stop it."""
    assert as_read(status_document([], START))["runs"] == []


async def test_the_cost_document_keeps_every_nano_dollar(tmp_path: Path) -> None:
    """DESIGN.md §11 runner.cost/1; it is compared with the invoice."""
    async with filled(
        tmp_path / "q.db", [{"q": str(n)} for n in range(6)], post=post, end=end
    ) as f:
        total, by = await f.store.cost(by="provider")
    document = as_read(cost_document(total, by, "provider"))
    amounts = {
        "advanced": "0.051000000",
        "charged": "0.015600003",
        "refunded": "0.025199997",
        "reserved": "0.010200000",
        "at_risk": "0.000000000",
        "over_reserve": "0.000000000",
        "charged_reported": "0.000000000",
        "charged_computed": "0.015600003",
        "tasks": 6,
        "completed": 3,
    }
    assert document == {
        "schema": "runner.cost/1",
        "currency": "USD",
        "totals": amounts,
        "grouped_by": "provider",
        "by": [{"key": "claude", **amounts}],
    }


def test_large_amounts_stay_exact() -> None:
    """A float has 15 digits; these have 19."""
    line = CostLine(
        key="total", money=Money(charged=8_999_999_999_999_999_999), tasks=0, completed=0
    )
    document = as_read(cost_document(line, [], None))
    assert document["totals"]["charged"] == "8999999999.999999999"
    assert (document["grouped_by"], document["by"]) == (None, [])


async def test_the_errors_document_says_what_to_do(tmp_path: Path) -> None:
    """A chat bot that posts it in the morning needs cause, number and command."""
    async with filled(
        tmp_path / "q.db", [{"q": str(n)} for n in range(6)], post=post, end=end
    ) as f:
        groups = await f.store.failures(f.run.id)
    document = as_read(errors_document(f.run, groups))
    assert {name: document[name] for name in ("schema", "run", "number", "job", "count")} == {
        "schema": "runner.errors/1",
        "run": "demo",
        "number": "r1",
        "job": "demo",
        "count": 2,
    }
    by_reason = {group["reason"]: group for group in document["groups"]}
    first = by_reason["refused"]
    assert "correct" in first.pop("advice")
    assert first == {
        "state": "failed",
        "reason": "refused",
        "provider": "claude",
        "model": "m",
        "code": 40501,
        "message": "Invalid Field: 'user_prompt'.",
        "count": 1,
        "sample_task": 1,
        "retriable": False,
        "meaning": "a field is invalid",
        "command": "runner retry demo --error 40501",
    }
    assert by_reason["remote"]["retriable"] is True
    assert by_reason["remote"]["command"] == "runner retry demo"


async def test_a_run_without_failures_has_an_empty_list_of_groups(tmp_path: Path) -> None:
    """Success is a document as well."""
    async with filled(tmp_path / "q.db", [{"q": "x"}]) as f:
        document = as_read(errors_document(f.run, await f.store.failures(f.run.id)))
    assert (document["count"], document["groups"]) == (0, [])

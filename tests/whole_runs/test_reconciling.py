"""Posts that nobody answered: every one is found, proven absent, or held for a person."""

import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.support.commands import Workspace, workspace

QUICK = {"RUNNER_SETTLE_SECONDS": "1", "RUNNER_POST_TIMEOUT_SECONDS": "2"}
"""So that what takes a quarter of an hour takes seconds."""

A_WHILE_S = 3600


def states(work: Workspace) -> dict[str, int]:
    found: dict[str, int] = work.json("status")["runs"][0]["states"]
    return {state: n for state, n in found.items() if n}


def arm(work: Workspace, fault: str, *, times: int = 1, call: str = "task_post") -> None:
    work.api.control(arm=[{"fault": fault, "call": call, "times": times}])


def until_scanned(work: Workspace, least: int = 1) -> None:
    """Wait until the reconciler has read *least* listings, or tried to."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        if work.api.ledger()["calls"]["id_list"] >= least:
            return
        time.sleep(0.1)
    raise AssertionError("nobody asked for a listing")


def rows(work: Workspace, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(work.folder / "runner.db")) as db:
        return db.execute(query).fetchall()


def let_time_pass(
    work: Workspace, process: subprocess.Popen[str], by_s: int, *, steps: int = 1
) -> tuple[int, str]:
    """Move the API's clock until *process* ends; its exit code and what it said."""
    for step in range(1, steps + 1):
        until_scanned(work, step)
        work.api.control(advance_s=by_s)
    out, err = process.communicate(timeout=90)
    return process.returncode, out + err


def test_a_reply_lost_after_acceptance_is_found_again_and_paid_once(tmp_path: Path) -> None:
    """The API took the tasks and nobody heard: their tags in the listing bring the ids."""
    with workspace(tmp_path) as work:
        arm(work, "drop_after")
        ended = work.runner("run", "brands.toml", **QUICK)
        assert ended.returncode == 0, ended.stderr
        assert states(work) == {"completed": 12}
        ledger = work.api.ledger()
        assert (ledger["created"], ledger["duplicate_tags"]) == (12, 0)
        assert rows(work, "SELECT max(attempt) FROM tasks") == [(1,)]


def test_a_post_lost_on_its_way_is_proven_absent_and_posted_once(tmp_path: Path) -> None:
    """Nothing was taken; after the waiting time two listings show it, and it is asked anew."""
    with workspace(tmp_path) as work:
        arm(work, "drop_before")
        ended = work.runner("run", "brands.toml", **QUICK)
        assert ended.returncode == 0, ended.stderr
        assert states(work) == {"completed": 12}
        ledger = work.api.ledger()
        assert (ledger["created"], ledger["duplicate_tags"]) == (12, 0)
        assert rows(work, "SELECT count(*) FROM attempts WHERE state = 'absent'") == [(6,)]
        assert rows(work, "SELECT at_risk_nanousd, reserved_nanousd FROM run_money") == [(0, 0)]


def test_without_a_listing_the_ready_list_brings_the_ids(tmp_path: Path) -> None:
    """It is the second source: finished tasks bear their tags there, too."""
    with workspace(tmp_path) as work:
        work.api.control(set={"listing": False})
        arm(work, "drop_after")
        ended = work.runner("run", "brands.toml", **QUICK)
        assert ended.returncode == 0, ended.stderr
        assert states(work) == {"completed": 12}
        assert (work.api.ledger()["created"], work.api.ledger()["duplicate_tags"]) == (12, 0)


def test_a_wait_for_a_listing_that_never_comes_ends_with_exit_1(tmp_path: Path) -> None:
    """Where the ready list does not show the tasks either, they are held with their money."""
    with workspace(tmp_path) as work:
        work.api.control(set={"listing": False})
        arm(work, "drop_before")
        process = work.start("run", "brands.toml", **QUICK)
        code, said = let_time_pass(work, process, 80 * 3600)
        assert code == 1, said
        assert "6 tasks are quarantined" in said
        assert states(work) == {"completed": 6, "quarantined": 6}
        assert work.api.ledger()["created"] == 6
        assert rows(work, "SELECT at_risk_nanousd > 0 FROM run_money") == [(1,)]


def test_what_is_undecided_when_the_time_is_up_goes_on_in_the_next_start(tmp_path: Path) -> None:
    """The wait is counted in the API's time: between two starts it goes on."""
    with workspace(tmp_path) as work:
        arm(work, "drop_before")
        patient = QUICK | {"RUNNER_SETTLE_SECONDS": "600"}
        first = work.runner("run", "brands.toml", "--wait", "10s", **patient)
        assert first.returncode == 3, first.stderr
        assert states(work) == {"completed": 6, "unknown": 6}
        work.api.control(advance_s=A_WHILE_S)
        process = work.start("run", "brands.toml", **patient)
        calls = work.api.ledger()["calls"]["id_list"]
        until_scanned(work, calls + 1)
        time.sleep(1)
        work.api.control(advance_s=A_WHILE_S)
        out, err = process.communicate(timeout=90)
        assert process.returncode == 0, out + err
        assert states(work) == {"completed": 12}
        assert work.api.ledger()["created"] == 12


def test_a_post_that_took_effect_twice_is_an_incident_with_its_amount(tmp_path: Path) -> None:
    """What was paid for without use is said, not swallowed."""
    with workspace(tmp_path) as work:
        arm(work, "accepted_twice")
        arm(work, "drop_after")
        ended = work.runner("run", "brands.toml", **QUICK)
        assert ended.returncode == 0, ended.stderr
        assert states(work) == {"completed": 12}
        assert work.api.ledger()["created"] == 18
        found = rows(work, "SELECT kind, amount_nanousd > 0, count(*) FROM incidents GROUP BY 1, 2")
        assert found == [("double_charge", 1, 6)]

"""The account's bill and ours are one number, whatever was paid twice on the way."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from runner.clock import SystemClock
from runner.store.reconciling import Sighting
from runner.store.sqlite.store import open_store
from runner.task import RemoteId
from tests.support.commands import Workspace, workspace

QUICK = {"RUNNER_SETTLE_SECONDS": "1", "RUNNER_POST_TIMEOUT_SECONDS": "2"}
DAY_S = 24 * 3600


def bill(work: Workspace) -> int:
    charged: int = work.api.ledger()["charged_nanousd"]
    return charged


def booked(work: Workspace) -> int:
    """What `runner cost` says, in nano-dollars."""
    whole, _, part = work.json("cost")["totals"]["charged"].partition(".")
    return int(whole + part)


def rows(work: Workspace, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(work.folder / "runner.db")) as db:
        return db.execute(query).fetchall()


def twice(work: Workspace) -> None:
    """The next post takes effect twice."""
    work.api.control(arm=[{"fault": "accepted_twice", "call": "task_post", "times": 1}])


def test_a_duplicated_post_is_on_the_bill_in_the_costs_and_in_incidents(tmp_path: Path) -> None:
    """The reply told of one task each: without the listing nobody would ever hear of the rest."""
    with workspace(tmp_path) as work:
        twice(work)
        ended = work.runner("run", "brands.toml", **QUICK)
        assert ended.returncode == 0, ended.stderr
        found = work.runner("cost", "--reconcile")
        assert work.runner("cost", "--reconcile").returncode == 0, "it is booked by now"
        ledger = work.api.ledger()
        assert (ledger["created"], ledger["duplicate_tags"]) == (18, 6)
        assert booked(work) == bill(work)
        costs = {task["id"]: task["charge_nanousd"] for task in work.api.tasks()}
        told = rows(work, "SELECT kind, remote_id, amount_nanousd FROM incidents")
        assert len(told) == 6, found.stdout
        assert all((kind, costs[id]) == ("double_charge", amount) for kind, id, amount in told)
        assert work.runner("verify").returncode == 0


def test_a_second_start_makes_the_audit_that_the_first_had_no_time_for(tmp_path: Path) -> None:
    """Two nights, one job: what the first night paid twice is on the second one's books."""
    with workspace(tmp_path) as work:
        twice(work)
        assert work.runner("run", "brands.toml", **QUICK).returncode == 0
        work.api.control(advance_s=DAY_S)
        work.write("brands.csv", (tmp_path / "brands.csv").read_text() + '9,"B","One more?",x\n')
        ended = work.runner("run", "brands.toml", **QUICK)
        assert ended.returncode == 0, ended.stderr
        assert booked(work) == bill(work)
        assert rows(work, "SELECT count(*) FROM incidents WHERE kind = 'double_charge'") == [(6,)]


def test_cost_reconcile_ends_with_1_where_the_listing_says_otherwise(tmp_path: Path) -> None:
    """For scripts: the books are not the vendor's."""
    with workspace(tmp_path) as work:
        assert work.runner("run", "brands.toml", **QUICK).returncode == 0
        fine = work.runner("cost", "--reconcile")
        assert fine.returncode == 0, fine.stderr
        assert "reconcile compared=12 " in fine.stdout
        with closing(sqlite3.connect(work.folder / "runner.db")) as db:
            db.execute("UPDATE attempts SET charged_nanousd = 2 * charged_nanousd")
            db.commit()
        ended = work.runner("cost", "--reconcile", "--json")
        assert ended.returncode == 1, ended.stderr
        assert '"differing": 12' in ended.stdout
        told = rows(work, "SELECT kind, count(*), sum(amount_nanousd) FROM incidents GROUP BY 1")
        assert told == [("cost_differs", 1, bill(work))]


def test_cost_reconcile_without_a_listing_says_to_try_later(tmp_path: Path) -> None:
    """Whether the listing exists for this API was never seen: no reason to fail anything."""
    with workspace(tmp_path) as work:
        work.api.control(set={"listing": False})
        assert work.runner("run", "brands.toml", **QUICK).returncode == 0
        ended = work.runner("cost", "--reconcile")
        assert ended.returncode == 75
        assert "listing cannot be had" in ended.stderr


async def test_a_start_with_nothing_else_to_do_asks_for_what_was_paid_twice(tmp_path: Path) -> None:
    """The second task was still running when the last start ended; its cost must not stay open."""
    with workspace(tmp_path) as work:
        work.api.control(set={"listing": False})
        twice(work)
        assert work.runner("run", "brands.toml", **QUICK).returncode == 0
        ids = {id for (id,) in rows(work, "SELECT remote_id FROM attempts")}
        async with open_store(work.folder / "runner.db", clock=SystemClock()) as store:
            seen = [
                Sighting(tag=task["tag"], remote_id=RemoteId(task["id"]))
                for task in work.api.tasks()
                if task["id"] not in ids
            ]
            assert (await store.found(seen, now=SystemClock().now())).incidents == 6
        assert booked(work) < bill(work)
        assert work.runner("run", "brands.toml", **QUICK).returncode == 0
        assert booked(work) == bill(work)

"""The same command on a PostgreSQL store, against a server that saves as a real one does."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from runner.clock import SystemClock
from runner.store.postgres.store import open_store
from runner.store.workers import Role
from tests.support.postgres import Server

PASSWORD = "pl4nted-s3cret"


@pytest.fixture(scope="module")
def durable(durable_postgres: Server) -> Iterator[str]:
    """The address of an empty database, password and all (the server trusts everybody)."""
    with durable_postgres.database(empty=True) as dsn:
        yield dsn.replace("runner@", f"runner:{PASSWORD}@")


def runner(folder: Path, dsn: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in *folder*, on the store at *dsn*."""
    return subprocess.run(
        [sys.executable, "-m", "runner", *words, "--api", "sim", "--store", dsn, "--json"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


async def test_a_run_on_a_server_is_a_run(tmp_path: Path, durable: str) -> None:
    """Whoever outgrows one machine changes a setting, and nothing else."""
    ran = runner(tmp_path, durable, "run", "demo", "--yes")
    assert ran.returncode == 0, ran.stderr
    again = runner(tmp_path, durable, "run", "demo", "--yes")
    assert again.returncode == 0, again.stderr
    verified = runner(tmp_path, durable, "verify")
    said = json.loads(verified.stdout.splitlines()[-1])
    assert (said["tasks"], said["attempts"], said["answers"], said["breaches"]) == (66, 66, 66, [])
    shown = runner(tmp_path, durable, "config", "show")
    assert PASSWORD not in "".join(r.stdout + r.stderr for r in (ran, again, verified, shown))
    assert not (tmp_path / "runner.db").exists()


async def test_a_second_engine_joins_the_first_and_both_are_listed(
    tmp_path: Path, durable: str
) -> None:
    """More hosts are started by the same command, and one place tells which there are."""
    clock = SystemClock()
    async with open_store(durable, clock=clock) as store:
        worker = await store.begin_worker(roles=[Role.SUBMIT], now=clock.now())
        joined = runner(tmp_path, durable, "run", "demo", "--yes")
        assert joined.returncode == 0, joined.stderr
        listed = json.loads(runner(tmp_path, durable, "workers").stdout)
        assert listed["schema"] == "runner.workers/1"
        first, second, *_ = listed["workers"]
        assert (first["id"], first["state"], first["roles"]) == (worker, "working", ["submit"])
        assert (second["id"], second["state"]) == (worker + 1, "ended")
        assert second["roles"] == ["submit", "live", "poll", "reconcile"]
        assert (second["open_batches"], second["leases"]) == (0, [])
        await store.end_worker(worker, now=clock.now())
    assert runner(tmp_path, durable, "status").returncode == 0


async def test_a_store_that_is_copied_to_a_server_and_back_exports_the_same(
    tmp_path: Path, durable_postgres: Server
) -> None:
    """Whoever outgrows one machine takes everything along, and may change his mind."""
    file, back = tmp_path / "first.db", tmp_path / "back.db"
    assert runner(tmp_path, str(file), "run", "demo", "--yes").returncode == 0
    with durable_postgres.database(empty=True) as dsn:
        there = runner(tmp_path, str(file), "db", "copy", "--to", dsn)
        assert there.returncode == 0, there.stderr
        again = runner(tmp_path, str(file), "db", "copy", "--to", dsn)
        assert (again.returncode, "not empty" in again.stderr) == (2, True)
        home = runner(tmp_path, dsn, "db", "copy", "--to", str(back))
        assert home.returncode == 0, home.stderr
        rows = {json.loads(said.stdout.splitlines()[-1])["rows"] for said in (there, home)}
        assert len(rows) == 1
        exports = []
        for number, place in enumerate((str(file), dsn, str(back))):
            out = tmp_path / f"{number}.csv"
            exported = runner(tmp_path, place, "export", "demo", "-o", str(out))
            assert exported.returncode == 0, exported.stderr
            verified = runner(tmp_path, place, "verify")
            assert json.loads(verified.stdout.splitlines()[-1])["breaches"] == []
            exports.append(out.read_bytes())
        assert exports[0] == exports[1] == exports[2]
        assert exports[0].count(b"\n") > 10
        # Its next ids are new ones.
        assert runner(tmp_path, str(back), "run", "demo", "--yes", "--fresh").returncode == 0


async def test_what_was_left_is_refused_until_it_is_claimed(
    tmp_path: Path, durable_postgres: Server
) -> None:
    """Two stores of one account would both post what waits: a cron job that nobody changed is
    enough for that."""
    file, back = tmp_path / "first.db", tmp_path / "back.db"
    assert runner(tmp_path, str(file), "run", "demo", "--yes", "--wait", "0").returncode == 3
    with (
        durable_postgres.database(empty=True) as dsn,
        durable_postgres.database(empty=True) as other,
    ):
        secret = dsn.replace("runner@", f"runner:{PASSWORD}@")
        assert runner(tmp_path, str(file), "db", "copy", "--to", secret).returncode == 0
        for words in (["run", "demo", "--yes"], ["poll"], ["pause"], ["db", "copy", "--to", other]):
            refused = runner(tmp_path, str(file), *words)
            assert refused.returncode == 2, words
            assert f"moved to {dsn.split('@')[1]}" in refused.stderr
            assert PASSWORD not in refused.stderr + refused.stdout
            assert " db claim" in refused.stderr
        assert runner(tmp_path, str(file), "status").returncode == 0
        assert runner(tmp_path, dsn, "db", "copy", "--to", str(back)).returncode == 0
        refused = runner(tmp_path, dsn, "run", "demo", "--yes")
        assert (refused.returncode, "back.db on" in refused.stderr) == (2, True)
        claimed = runner(tmp_path, dsn, "db", "claim")
        assert claimed.returncode == 0, claimed.stderr
        assert runner(tmp_path, dsn, "pause").returncode == 0


async def test_a_copy_that_fails_leaves_the_store_as_it_was(
    tmp_path: Path, durable_postgres: Server
) -> None:
    """Else a typing mistake in an address would end the night."""
    file = tmp_path / "first.db"
    assert runner(tmp_path, str(file), "run", "demo", "--yes").returncode == 0
    with durable_postgres.database() as full:
        assert runner(tmp_path, full, "pause").returncode == 0
        refused = runner(tmp_path, str(file), "db", "copy", "--to", full)
        assert (refused.returncode, "not empty" in refused.stderr) == (2, True)
    assert runner(tmp_path, str(file), "pause").returncode == 0


async def test_a_copy_that_was_killed_is_gone_on_with_by_the_same_command(
    tmp_path: Path, durable_postgres: Server
) -> None:
    """The file is marked and the database empty: neither would go on, and nobody is there at
    night."""
    file = tmp_path / "first.db"
    assert runner(tmp_path, str(file), "run", "demo", "--yes").returncode == 0
    with durable_postgres.database(empty=True) as dsn:
        with closing(sqlite3.connect(file)) as db, db:
            db.execute("INSERT INTO install VALUES ('moved_to', ?)", (dsn.split("@")[1],))
        assert runner(tmp_path, str(file), "run", "demo", "--yes").returncode == 2
        copied = runner(tmp_path, str(file), "db", "copy", "--to", dsn)
        assert copied.returncode == 0, copied.stderr
        assert runner(tmp_path, dsn, "run", "demo", "--yes").returncode == 0
        again = runner(tmp_path, str(file), "db", "copy", "--to", dsn)
        assert (again.returncode, "not empty" in again.stderr) == (2, True)


async def test_a_plan_makes_nothing_on_the_server(tmp_path: Path, durable_postgres: Server) -> None:
    """A plan is what somebody asks for who has not decided yet."""
    with durable_postgres.database(empty=True) as dsn:
        for words in (["plan", "demo"], ["run", "demo", "--dry-run", "--yes"]):
            told = runner(tmp_path, dsn, *words)
            assert told.returncode == 0, told.stderr
            assert json.loads(told.stdout.splitlines()[-1])["to_post"] == 66
        with psycopg.connect(dsn) as db:
            tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            assert db.execute(tables).fetchone() == (0,)
        assert runner(tmp_path, dsn, "run", "demo", "--yes").returncode == 0
        with psycopg.connect(dsn) as db:
            before = db.execute("SELECT count(*), max(id) FROM tasks").fetchone()
        for words in (["plan", "demo"], ["run", "demo", "--dry-run", "--yes"]):
            told = runner(tmp_path, dsn, *words)
            assert told.returncode == 0, told.stderr
            assert json.loads(told.stdout.splitlines()[-1])["to_post"] == 0
        planned = json.loads(runner(tmp_path, dsn, "plan", "demo", "--fresh").stdout)
        assert planned["to_post"] == 66
        assert all(each["earlier_answers"] == 22 for each in planned["targets"])
        with psycopg.connect(dsn) as db:
            assert db.execute("SELECT count(*), max(id) FROM tasks").fetchone() == before

"""The same command on a PostgreSQL store, against a server that saves as a real one does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.clock import SystemClock
from runner.store.postgres.store import open_store
from tests.support.postgres import Server, serving

PASSWORD = "pl4nted-s3cret"


@pytest.fixture(scope="module")
def serving_durably() -> Iterator[Server]:
    with serving(durable=True) as server:
        yield server


@pytest.fixture(scope="module")
def durable(serving_durably: Server) -> Iterator[str]:
    """The address of an empty database, password and all (the server trusts everybody)."""
    with serving_durably.database(empty=True) as dsn:
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


async def test_a_second_engine_is_refused_while_the_first_one_lives(
    tmp_path: Path, durable: str
) -> None:
    """Each would use the whole of the account's limit."""
    clock = SystemClock()
    async with open_store(durable, clock=clock) as store:
        worker = await store.begin_worker(now=clock.now())
        refused = runner(tmp_path, durable, "run", "demo", "--yes")
        assert refused.returncode == 75
        assert "another run is active" in refused.stdout + refused.stderr
        await store.end_worker(worker, now=clock.now())
    assert runner(tmp_path, durable, "status").returncode == 0


async def test_a_store_that_is_copied_to_a_server_and_back_exports_the_same(
    tmp_path: Path, serving_durably: Server
) -> None:
    """Whoever outgrows one machine takes everything along, and may change his mind."""
    file, back = tmp_path / "first.db", tmp_path / "back.db"
    assert runner(tmp_path, str(file), "run", "demo", "--yes").returncode == 0
    with serving_durably.database(empty=True) as dsn:
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
        assert runner(tmp_path, dsn, "run", "demo", "--yes", "--fresh").returncode == 0

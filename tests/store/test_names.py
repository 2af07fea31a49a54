"""The light query for completion names runs as the store itself does."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from runner.store.sqlite.names import run_names
from runner.store.sqlite.store import open_store
from tests.support.clock import ManualClock


async def begin(path: Path, clock: ManualClock) -> list[tuple[str, str, str]]:
    """Some runs of two jobs; each as the store calls it, the newest first."""
    wanted = [("a", "", 0), ("b", "2026-11-21", 0), ("b", "2026-11-21", 2), ("a", "", 1)]
    async with open_store(path, clock=clock) as store:
        for job, key, fresh in wanted:
            await store.begin_run(
                job=job,
                key=key,
                fresh=fresh,
                api="sim",
                key_columns=["prompt"],
                targets=[],
                now=clock.now(),
            )
        runs = await store.runs()
    return [(run.name, run.number, run.job) for run in reversed(runs)]


async def test_runs_have_the_names_that_every_command_takes(
    tmp_path: Path, clock: ManualClock
) -> None:
    """A name that is offered and then not known would be worse than none."""
    path = tmp_path / "runner.db"
    known = await begin(path, clock)
    assert run_names(path) == known
    assert known[0] == ("a~1", "r4", "a")
    assert run_names(path, limit=2) == known[:2]


async def test_a_look_leaves_nothing_behind(tmp_path: Path, clock: ManualClock) -> None:
    """A press on TAB must not strew files, nor touch the store."""
    path = tmp_path / "runner.db"
    await begin(path, clock)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert run_names(path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


async def test_runs_are_seen_while_an_engine_is_at_work(tmp_path: Path, clock: ManualClock) -> None:
    """Completion is wanted most while something runs; what is new stands in the log still."""
    path = tmp_path / "runner.db"
    async with open_store(path, clock=clock) as store:
        await store.begin_run(
            job="a", key="", fresh=0, api="sim", key_columns=["p"], targets=[], now=clock.now()
        )
        assert [run.name for run in run_names(path)] == ["a"]


@pytest.mark.parametrize("content", [None, b"", b"no database at all, whatever its name says"])
def test_what_is_no_store_is_an_error_and_is_left_alone(
    tmp_path: Path, content: bytes | None
) -> None:
    """The caller is silent about it; a store must not come into being by a look."""
    path = tmp_path / "runner.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(sqlite3.Error):
        run_names(path)
    assert path.exists() is (content is not None)
    assert [file.name for file in tmp_path.iterdir()] == (
        [path.name] if content is not None else []
    )


def test_it_needs_the_standard_library_alone() -> None:
    """aiosqlite and the store's verbs take longer than a press on TAB may."""
    script = (
        "import sys; before = set(sys.modules); import runner.store.sqlite.names; "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - sys.stdlib_module_names - {'runner'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

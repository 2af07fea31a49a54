"""A store is copied before an update changes it: the way back if the new version disappoints."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import structlog

from runner.lifecycle import State
from runner.resources import migrations
from runner.store.migrate import migrate, read_migrations
from runner.store.sqlite.store import open_store
from runner.store.values import StoreUnwritable
from tests.store.steps import begin, numbered
from tests.store.test_migrating_money import as_of
from tests.support.clock import START, ManualClock

KNOWN = read_migrations(migrations("sqlite"))
LACKED = 11
"""The first migration that the older store lacks."""


@pytest.fixture
async def old(tmp_path: Path, clock: ManualClock) -> Path:
    """A store of an older version, with tasks in it."""
    current = tmp_path / "current.db"
    async with open_store(current, clock=clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(50))
    folder = tmp_path / "workspace"
    folder.mkdir()
    as_of(LACKED - 1, current, folder / "runner.db")
    return folder / "runner.db"


def applied(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        (number,) = db.execute("SELECT max(number) FROM migrations").fetchone()
        return int(number)


def tasks(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        (number,) = db.execute("SELECT count(*) FROM tasks").fetchone()
        return int(number)


def beside(path: Path) -> list[str]:
    """The files in the store's folder but its own."""
    own = {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    return sorted(file.name for file in path.parent.iterdir() if file.name not in own)


async def opened(path: Path, clock: ManualClock) -> dict[State, int]:
    async with open_store(path, clock=clock) as store:
        (run,) = await store.runs()
        states = (await store.status(run.id)).states
        return {state: n for state, n in states.items() if n}


async def test_an_older_store_is_copied_once_before_it_is_changed(
    old: Path, clock: ManualClock
) -> None:
    """F29: a migration is all or nothing, and may still be one that nobody wanted."""
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            assert await opened(old, clock) == {State.PENDING: 50}
    copy = old.with_name(f"runner.db.before-{LACKED:04}.db")
    assert beside(old) == [copy.name]
    assert (applied(copy), tasks(copy)) == (LACKED - 1, 50)
    assert applied(old) == len(KNOWN)
    assert copy.stat().st_mode & 0o777 == 0o600
    (line,) = [line for line in lines if line["event"] == "store.copied_before_update"]
    assert line["copy"] == str(copy)


async def test_a_copy_put_back_is_a_store_like_any(old: Path, clock: ManualClock) -> None:
    """That is what it is for."""
    await opened(old, clock)
    copy = old.with_name(f"runner.db.before-{LACKED:04}.db")
    copy.replace(old)
    for leftover in ("-wal", "-shm"):
        old.with_name(old.name + leftover).unlink(missing_ok=True)
    assert applied(old) == LACKED - 1
    assert await opened(old, clock) == {State.PENDING: 50}


async def test_without_room_for_the_copy_nothing_is_changed(old: Path, clock: ManualClock) -> None:
    """F23: an update on a disk that is nearly full would be one without a way back."""
    half = old.stat().st_size // 2
    with files_of_at_most(half), pytest.raises(StoreUnwritable, match="before it is") as caught:
        await opened(old, clock)
    assert "make room" in (caught.value.how or "")
    assert (applied(old), tasks(old)) == (LACKED - 1, 50)
    assert beside(old) == []
    assert await opened(old, clock) == {State.PENDING: 50}


async def test_a_new_or_an_empty_store_is_not_copied(tmp_path: Path, clock: ManualClock) -> None:
    """There is nothing in it to go back to."""
    path = tmp_path / "new" / "runner.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, KNOWN[: LACKED - 1], START)
    for _ in range(2):
        async with open_store(path, clock=clock):
            pass
    assert beside(path) == []
    assert applied(path) == len(KNOWN)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk: no file grows past *size* bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

"""The store under test: every verb on a real file, opened as the program opens it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.store.protocol import TaskStore
from runner.store.sqlite.store import open_store as open_sqlite
from tests.store.steps import OpenStore, Scene, begin
from tests.support.clock import ManualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the SQLite store is; every character that a URI would read otherwise is in it."""
    folder = tmp_path / "my data? #1 %41 ü"
    folder.mkdir()
    return folder / "runner.db"


@pytest.fixture(params=["sqlite"])
def open_store(request: pytest.FixtureRequest, clock: ManualClock) -> OpenStore:
    """Another store joins here; the tests that use this fixture know the protocol alone."""
    path: Path = request.getfixturevalue("path")
    return lambda: open_sqlite(path, clock=clock)


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncIterator[TaskStore]:
    """An empty store."""
    async with open_store() as opened:
        yield opened


@pytest.fixture
async def scene(store: TaskStore, clock: ManualClock) -> Scene:
    """An engine, and a run of one target that nothing is loaded into yet."""
    return await begin(store, clock)

"""The stores under test: every verb on a real file and on a real server, opened as a program does.

A test that uses ``open_store``, ``store`` or ``scene`` runs once on each store. One that uses
``path`` is SQLite's own.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runner.store.postgres.store import open_store as open_postgres
from runner.store.protocol import TaskStore
from runner.store.sqlite.store import open_store as open_sqlite
from tests.store.places import FilePlace, Place, ServerPlace
from tests.store.steps import OpenStore, Scene, begin
from tests.support.clock import ManualClock
from tests.support.postgres import Server, time_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the SQLite store is; every character that a URI would read otherwise is in it."""
    folder = tmp_path / "my data? #1 %41 ü"
    folder.mkdir()
    return folder / "runner.db"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Both stores for a test of the protocol; for one that looks into the file, the file."""
    stores = ["sqlite"] if "path" in metafunc.fixturenames else ["sqlite", "postgres"]
    for name in ("open_store", "place"):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, stores, indirect=True)


@pytest.fixture
def open_store(request: pytest.FixtureRequest, clock: ManualClock) -> OpenStore:
    """Opens the store of this test; its tests know the protocol alone."""
    if request.param == "sqlite":
        path: Path = request.getfixturevalue("path")
        return lambda: open_sqlite(path, clock=clock)
    dsn: str = request.getfixturevalue("dsn")
    return lambda: open_postgres(dsn, clock=clock, time_of=time_of(clock), may_lose=True)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Place:
    """The same for tests that look behind the protocol."""
    if request.param == "sqlite":
        return FilePlace(request.getfixturevalue("path"))
    return ServerPlace(request.getfixturevalue("dsn"))


@pytest.fixture
def dsn(postgres: Server) -> Iterator[str]:
    """The address of a fresh database."""
    with postgres.database() as fresh:
        yield fresh


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncIterator[TaskStore]:
    """An empty store."""
    async with open_store() as opened:
        yield opened


@pytest.fixture
async def scene(store: TaskStore, clock: ManualClock) -> Scene:
    """An engine, and a run of one target that nothing is loaded into yet."""
    return await begin(store, clock)

"""A store that moves from its file to a server and back."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner.errors import StoreBroken, WrongInput
from runner.lifecycle import State
from runner.store.postgres import moving
from runner.store.postgres.address import Address
from runner.store.postgres.connection import connect
from runner.store.postgres.moving import Moved, to_file, to_server
from runner.store.sqlite.store import open_store as open_sqlite
from tests.store.places import ServerPlace
from tests.store.steps import Scene, begin, failed, lost, numbered, rows
from tests.support.clock import ManualClock
from tests.support.postgres import time_of


async def there(path: Path, dsn: str, clock: ManualClock) -> Moved:
    async with connect(Address.parse(dsn), time_of=time_of(clock), may_lose=True) as server:
        return await server.write(to_server, path)


async def back(dsn: str, path: Path, clock: ManualClock) -> Moved:
    async with open_sqlite(path, clock=clock):
        pass
    async with connect(Address.parse(dsn), time_of=time_of(clock), may_lose=True) as server:
        return await server.read(to_file, path)


async def night(path: Path, clock: ManualClock) -> None:
    """Tasks in many states, with answers, money and a text that a server cannot keep."""
    async with open_sqlite(path, clock=clock) as store:
        scene = await begin(store, clock)
        await scene.load(rows("one", "two", "three", "a NUL \x00 in it"), digest="first")
        await scene.complete(1)
        await scene.post(1)
        (task,) = await scene.take()
        await scene.book(failed(task, cost=0))
        await scene.post(1, how=lost)
        await scene.load(numbered(3), digest="second")
        await store.end_worker(scene.worker, now=clock.now())


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, its texts as a server can keep them."""
    with closing(sqlite3.connect(path)) as db:
        names = db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'migrations'"
        ).fetchall()
        return {
            name: sorted(
                (
                    tuple(v.replace("\0", "\ufffd") if isinstance(v, str) else v for v in row)
                    for row in db.execute(f"SELECT * FROM {name}")
                ),
                key=repr,
            )
            for (name,) in names
        }


async def test_a_store_comes_back_as_it_went(path: Path, dsn: str, clock: ManualClock) -> None:
    """Every charge, answer and id: whoever moves must not begin anew."""
    await night(path, clock)
    went = await there(path, dsn, clock)
    home = path.with_name("home.db")
    assert await back(dsn, home, clock) == went
    assert went.rows > 30
    assert contents(home) == contents(path)


async def test_a_moved_store_goes_on_with_new_ids(path: Path, dsn: str, clock: ManualClock) -> None:
    """An id is part of the tags at the API: given twice, two tasks would be one."""
    await night(path, clock)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE sqlite_sequence SET seq = 70 WHERE name = 'tasks'")
    await there(path, dsn, clock)
    async with ServerPlace(dsn).open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(rows("one more"), digest="third")
        assert (await scene.states())[State.PENDING] > 0
    assert ServerPlace(dsn).read("SELECT max(id) FROM tasks") == [(71,)]
    home = path.with_name("home.db")
    await back(dsn, home, clock)
    with closing(sqlite3.connect(home)) as db:
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'tasks'"
        assert db.execute(query).fetchall() == [(71,)]


async def test_nothing_moves_while_a_post_is_under_way(
    path: Path, dsn: str, clock: ManualClock
) -> None:
    """Its reply would come to the one store, and its doubt to the other."""
    async with open_sqlite(path, clock=clock) as store:
        scene: Scene = await begin(store, clock)
        await scene.load(numbered(1))
        await scene.batch()
    with pytest.raises(WrongInput, match="a post is under way"):
        await there(path, dsn, clock)
    assert ServerPlace(dsn).read("SELECT count(*) FROM tasks") == [(0,)]


async def test_a_copy_that_lacks_a_row_is_none(
    path: Path, dsn: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that is missing is a charge that nobody knows of."""
    await night(path, clock)
    fill = moving.Server.fill

    def lossy(
        self: moving.Server, table: str, columns: Sequence[str], rows: Iterable[moving.Row]
    ) -> None:
        fill(self, table, columns, list(rows)[: -1 if table == "attempts" else None])

    monkeypatch.setattr(moving.Server, "fill", lossy)
    with pytest.raises(StoreBroken, match="table attempts"):
        await there(path, dsn, clock)
    assert ServerPlace(dsn).read("SELECT count(*) FROM jobs") == [(0,)]

"""Tags of rows that were loaded anew find their tasks, and in a time that a night has."""

import sqlite3
from pathlib import Path

from runner.store.sqlite.connection import connect
from runner.store.sqlite.owners import Owners
from runner.store.sqlite.store import open_store
from runner.task import Tag, TaskId, identity_digest
from tests.store import steps
from tests.support.clock import ManualClock


async def test_a_run_is_read_once_however_many_of_its_rows_have_moved(
    path: Path, clock: ManualClock
) -> None:
    """Read once for each tag, 3,000 rows held the store for 15 s, 6,000 for a minute."""
    async with open_store(path, clock=clock) as store:
        await (await steps.begin(store, clock)).load(steps.numbered(50))

    def owned(db: sqlite3.Connection) -> tuple[list[int | None], int]:
        (run,) = db.execute("SELECT tag_part FROM runs").fetchone()
        keys = [steps.row(n).key for n in range(1, 52)]
        digests = [identity_digest(key, steps.CLAUDE.name, 1, 1) for key in keys]
        tags = [Tag("otherone", run, TaskId(n + 9), d, 1) for n, d in enumerate(digests)]
        said: list[str] = []
        db.set_trace_callback(said.append)
        owners = Owners(db, tags)
        return [owners.task_of(tag) for tag in tags], sum("tag_part =" in each for each in said)

    async with connect(path) as db:
        tasks, readings = await db.read(owned)
    assert tasks == [*range(1, 51), None]
    assert readings == 1

"""What is SQLite's own: plans that do not read finished tasks, the documented view, settings."""

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from runner.lifecycle import State
from runner.resources import migrations
from runner.store.migrate import migrate, read_migrations
from runner.store.sqlite.connection import Connection, connect
from runner.store.sqlite.reading import EXPORTED
from runner.store.sqlite.store import SqliteStore, open_store
from runner.store.values import AttemptOver, Decision, RetryFilter
from runner.task import Tag
from tests.store.steps import (
    HOUR,
    Scene,
    accepted,
    answered,
    begin,
    failed,
    gone,
    lost,
    numbered,
    still_running,
)
from tests.support.clock import START, ManualClock

GROWING: Final = r"(tasks|t|attempts|payloads|rows|input_rows|results|replies|citations|changes)"
FULL_SCAN: Final = re.compile(rf"SCAN {GROWING}$")


class Traced:
    """Both connections of one store, and every statement that they run."""

    def __init__(self, store: SqliteStore, connections: list[Connection]) -> None:
        self.store = store
        self._connections = connections

    async def full_scans(self, step: Callable[[], Awaitable[object]]) -> list[str]:
        """Statements of *step* that read a table through whose size is that of the run."""
        found = []
        for connection in self._connections:
            seen: set[str] = set()
            await connection.call(sqlite3.Connection.set_trace_callback, seen.add)
            await step()
            await connection.call(sqlite3.Connection.set_trace_callback, None)
            found += await connection.call(_scanning, seen)
        return found


def _scanning(db: sqlite3.Connection, statements: set[str]) -> list[str]:
    found = []
    for sql in statements:
        if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)", sql):
            plan = [line for *_, line in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
            if any(FULL_SCAN.match(line) for line in plan):
                found.append(sql)
    return found


@pytest.fixture
async def traced(path: Path) -> AsyncIterator[Traced]:
    """A store whose statements can be looked at."""
    async with connect(path) as writer:
        await writer.call(migrate, read_migrations(migrations("sqlite")), START)
        async with connect(path, read_only=True) as reader:
            yield Traced(SqliteStore(path, writer, reader), [writer, reader])


async def test_no_step_of_a_task_reads_all_tasks(traced: Traced, clock: ManualClock) -> None:
    """A million finished tasks must not make the next hundred dearer (PERFORMANCE.md §3)."""
    scene = await begin(traced.store, clock)

    async def a_days_work() -> None:
        now = clock.now()
        await scene.load(numbered(12))
        await begin(traced.store, clock)
        await scene.post(2, how=lost)
        batch = await scene.post(8)
        tags = [tag for attempt in batch.attempts if (tag := Tag.parse(attempt.tag))]
        await traced.store.waiting_providers()
        await traced.store.mark_ready(tags, now=now)
        await traced.store.trust_ready_list(True, now=now)
        await traced.store.trust_ready_list(False, now=now)
        one, two, three, four, *_ = await scene.take()
        await scene.book(
            answered(one), failed(two, cost=0), gone(three), still_running(four, now + HOUR)
        )
        await traced.store.retry(scene.run.id, RetryFilter(pay_again=True), now=now)
        for decision in Decision:
            await traced.store.decide_changes(scene.run.id, decision, now=now)
        await scene.status()
        await traced.store.oldest_uncollected()
        await traced.store.failures(scene.run.id)
        await traced.store.redate(now=now, step=HOUR)
        await scene.lines()

    assert await traced.full_scans(a_days_work) == []


async def test_the_search_for_full_scans_finds_one(traced: Traced, clock: ManualClock) -> None:
    """The test above would not fail if it looked at nothing."""
    await begin(traced.store, clock)
    writer = traced._connections[0]

    async def careless() -> None:
        await writer.call(lambda db: db.execute("SELECT * FROM tasks WHERE polls = 7").fetchall())

    assert await traced.full_scans(careless) == ["SELECT * FROM tasks WHERE polls = 7"]


async def test_the_view_has_the_columns_that_exports_have(path: Path, clock: ManualClock) -> None:
    """People query `results_v1` with their own tools: its names are a promise."""
    async with open_store(path, clock=clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(2))
        await scene.complete(1)
        with closing(sqlite3.connect(path)) as db:
            cursor = db.execute("SELECT * FROM results_v1 ORDER BY task_id")
            columns = [name for name, *_ in cursor.description]
            found = [dict(zip(columns, line, strict=True)) for line in cursor]
        exported = [dict(line.values) for line in await scene.lines()]
    assert columns == ["job", "run_key", *EXPORTED]
    assert [{name: line[name] for name in EXPORTED} for line in found] == exported
    assert [(line["job"], line["state"]) for line in found] == [
        ("sky", "completed"),
        ("sky", "pending"),
    ]


async def test_a_store_is_durable_and_checks_its_references(path: Path, clock: ManualClock) -> None:
    """An intent that a power cut can undo is none (F36)."""
    async with connect(path) as writer:
        names = ("journal_mode", "synchronous", "foreign_keys")
        found = await writer.call(
            lambda db: [db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
        )
    assert found == ["wal", 2, 1]


async def test_ids_of_tasks_are_never_given_twice(path: Path, clock: ManualClock) -> None:
    """The id is part of the tag, and a tag is burnt once used, pruned or not."""
    async with open_store(path, clock=clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(3))
        with closing(sqlite3.connect(path)) as db, db:
            for table, column in (("payloads", "task_id"), ("tasks", "id")):
                db.execute(f"DELETE FROM {table} WHERE {column} = 3")
        await scene.load(numbered(3))
        ids = [line.values["task_id"] for line in await scene.lines()]
        assert len(ids) == 3
        assert 3 not in ids


async def test_what_reads_cannot_write(path: Path, scene: Scene) -> None:
    """A command that only looks must not be able to change a store under a running engine."""
    async with connect(path, read_only=True) as reader:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            raise await reader.call(_error_of, "DELETE FROM runs")
    assert await scene.store.runs() == [scene.run]


def _error_of(db: sqlite3.Connection, sql: str) -> Exception:
    try:
        db.execute(sql)
    except sqlite3.OperationalError as error:
        return error
    return AssertionError(f"{sql} went through")


async def test_what_a_dead_process_was_posting_is_never_settled(
    path: Path, clock: ManualClock
) -> None:
    """The lock proves its death: whoever brings its reply is a program gone wrong."""
    async with open_store(path, clock=clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(1))
        dead = await scene.batch()
    async with open_store(path, clock=clock) as store:
        scene = await begin(store, clock)
        with pytest.raises(AttemptOver):
            await scene.settle(dead, accepted)
        assert await scene.states() == {State.UNKNOWN: 1}

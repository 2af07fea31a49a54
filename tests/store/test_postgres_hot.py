"""What keeps a server's queue fast: partial indexes, few versions of a row, vacuum in time."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from runner.store.postgres.connection import Cursor, Db, Values
from tests.store.places import ServerPlace
from tests.store.steps import begin, numbered
from tests.support.clock import ManualClock


@pytest.fixture
def shared(dsn: str) -> ServerPlace:
    return ServerPlace(dsn)


def grow_past(dsn: str, tasks: int) -> None:
    """Put so many copies of the one finished task beside it."""
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("SET session_replication_role = replica")
        db.execute(
            "INSERT INTO rows (run_id, key) SELECT run_id, decode(md5(n::text), 'hex')"
            f" FROM rows, generate_series(1, {tasks}) AS n".encode()
        )
        db.execute(
            b"INSERT INTO tasks (run_id, row_id, target_id, sample, turn, state, attempt, due_at,"
            b" posted_at) SELECT t.run_id, r.id, t.target_id, 1, 1, t.state, 1, t.due_at,"
            b" t.posted_at FROM tasks t JOIN rows r ON r.id <> t.row_id"
        )
        db.execute("ANALYZE")


@contextmanager
def explained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The plans of the statements that lock what they claim."""
    plans: list[str] = []
    execute = Db.execute

    def spy(db: Db, sql: str, values: Values | None = None) -> Cursor:
        if "SKIP LOCKED" in sql:
            plans.append("\n".join(line for (line,) in execute(db, f"EXPLAIN {sql}", values)))
        return execute(db, sql, values)

    with monkeypatch.context() as patched:
        patched.setattr(Db, "execute", spy)
        yield plans


async def test_claims_never_look_at_finished_tasks(
    shared: ServerPlace, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a year nearly all tasks are finished: a claim that passed over them would take longer
    every night."""
    async with shared.open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(1))
        await scene.complete(1)
        grow_past(shared.dsn, 20_000)
        await scene.load(numbered(300))
        with explained(monkeypatch) as plans:
            await scene.post(100)
            taken = await scene.take(100)
        assert len(taken) == 100
        posting, *fetching = plans
        assert "using tasks_to_post on tasks" in posting
        # Both are partial: of posted tasks alone.
        assert fetching
        assert all(re.search("using tasks_(to_ask|posted) on tasks", plan) for plan in fetching)
        assert not any("Seq Scan on tasks" in plan for plan in plans)


def updates(shared: ServerPlace, table: str) -> int:
    """How many rows of *table* were ever updated; a connection tells its part when it ends."""
    others = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    while shared.read(others) != [(0,)]:
        time.sleep(0.01)
    ((count,),) = shared.read(f"SELECT pg_stat_get_tuples_updated('{table}'::regclass)")
    return int(count)


async def test_a_batch_rewrites_each_sum_a_few_times_not_once_for_each_task(
    shared: ServerPlace, clock: ManualClock
) -> None:
    """Every version is a dead row, and the next look at the sum reads past all of them."""
    async with shared.open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(100))
        await scene.complete(50)
    before = {
        table: updates(shared, table) for table in ("run_money", "day_money", "price_history")
    }
    async with shared.open(clock) as store:
        scene = await begin(store, clock)
        await scene.complete(50)
    after = {table: updates(shared, table) for table in before}
    assert all(after[table] - before[table] <= 4 for table in before), (before, after)


@pytest.mark.parametrize("table", ["tasks", "attempts"])
def test_vacuum_comes_long_before_a_fifth_of_a_million_is_dead(
    shared: ServerPlace, table: str
) -> None:
    """The server's own share is 20 %, however large the table."""
    ((options,),) = shared.read(f"SELECT reloptions FROM pg_class WHERE relname = '{table}'")
    assert "autovacuum_vacuum_scale_factor=0.02" in options

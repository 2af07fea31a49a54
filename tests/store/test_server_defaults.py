"""A server's own defaults and plans: whoever set it up, the queue does the same."""

import os
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from runner.clock import SystemClock
from runner.errors import StoreBroken
from runner.lifecycle import State
from runner.store.planning import Kind
from runner.store.postgres.store import open_store
from tests.store.places import ServerPlace
from tests.store.steps import begin, numbered, rows
from tests.support.clock import ManualClock

KIND = Kind("dataforseo/claude/standard", "claude-sonnet-4-0")


@pytest.fixture
def _read_anew_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan for a table that was empty when the server last looked: what a statement chooses
    from is read once more for each row that it may change."""
    off = ("hashjoin", "mergejoin", "material", "sort", "hashagg")
    monkeypatch.setenv("PGOPTIONS", " ".join(f"-c enable_{each}=off" for each in off))


@pytest.mark.usefixtures("_read_anew_for_each_row")
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_batch_is_no_longer_than_its_limit(
    dsn: str, clock: ManualClock, limit: int
) -> None:
    """A Live call asks one task, a post holds a hundred, and both cost what the budget left."""
    async with ServerPlace(dsn).open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(6))
        batch = await scene.batch(limit)
        assert len(batch.attempts) == limit
        assert await scene.states() == {State.POSTING: limit, State.PENDING: 6 - limit}


@pytest.mark.usefixtures("_read_anew_for_each_row")
async def test_no_more_is_hastened_than_there_is_room_for(dsn: str, clock: ManualClock) -> None:
    """Each is a call."""
    async with ServerPlace(dsn).open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(6))
        await scene.post(6)
        now = clock.now()
        assert await store.hasten(2, older={KIND: now}, now=now) == 2


async def test_a_server_that_writes_dates_and_reads_texts_otherwise_is_told_how(
    dsn: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ALTER DATABASE … SET datestyle` is common, and its dates cannot be read."""
    defaults = {
        "datestyle": "SQL,DMY",
        "standard_conforming_strings": "off",
        "array_nulls": "off",
        "transform_null_equals": "on",
        "default_transaction_isolation": "serializable",
        "timezone": "Asia/Kathmandu",
        "client_encoding": "LATIN1",
    }
    options = " ".join(f"-c {name}={value}" for name, value in defaults.items())
    monkeypatch.setenv("PGOPTIONS", options)
    with psycopg.connect(dsn) as db:
        assert db.execute("SHOW datestyle").fetchone() == ("SQL, DMY",), "nothing was changed"
    async with open_store(dsn, clock=SystemClock(), may_lose=True) as store:
        scene = await begin(store, clock)
        prompt = "What is Wörk\\u0000 ’s \U0001f600 price?"
        await scene.load(rows(prompt))
        await scene.post()
        assert await scene.prompts() == [prompt]
        assert (await scene.status()).states[State.POSTED] == 1


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_cannot_keep_every_text_is_refused(dsn: str, encoding: str) -> None:
    """The prompts may all be ASCII: the answers, paid for, are not."""
    name = f"runner_test_{os.getpid()}_{encoding.lower()}"
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
            " TEMPLATE template0".encode()
        )
        try:
            there = urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
            with pytest.raises(StoreBroken, match=encoding) as refused:
                async with open_store(there, clock=SystemClock(), may_lose=True):
                    pytest.fail("it was opened")
            assert "ENCODING 'UTF8'" in str(refused.value.how)
        finally:
            db.execute(f"DROP DATABASE {name}".encode())

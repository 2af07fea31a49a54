"""Care of the store as a place: how it fares, and the mark of one that was left."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from runner.store.care import Health, TableHealth
from runner.store.protocol import TaskStore
from tests.store.places import ServerPlace
from tests.store.steps import OpenStore, Scene, begin, numbered
from tests.support.clock import ManualClock


async def test_a_store_tells_its_size(scene: Scene) -> None:
    """A monitor has to see a disk fill up before it is full."""
    await scene.load(numbered(3))
    health = await scene.store.health()
    assert health.bytes > 10_000
    assert list(health.warnings()) == []


async def test_the_mark_of_a_store_that_was_left_outlives_the_process(
    open_store: OpenStore,
) -> None:
    """It is the next start, next night, that must not go on."""
    async with open_store() as store:
        assert await store.moved_to() is None
        await store.mark_moved("db.example/queue")
    async with open_store() as store:
        assert await store.moved_to() == "db.example/queue"
        await store.mark_moved(None)
        assert await store.moved_to() is None


async def test_a_claim_takes_a_store_up_again(store: TaskStore, clock: ManualClock) -> None:
    """Where nothing uses the copy, there has to be a way back; it looks through the account."""
    await begin(store, clock)
    await store.mark_moved("db.example/queue")
    assert hasattr(store, "claim")
    await store.claim(None)
    assert await store.moved_to() is None
    assert await store.unlisted() is not None


async def test_a_server_tells_who_holds_back_its_vacuum(dsn: str, clock: ManualClock) -> None:
    """F35: somebody's forgotten BEGIN lets dead rows pile up, and claims read past every one."""
    async with ServerPlace(dsn).open(clock) as store:
        quiet = await store.health()
        assert [each.name for each in quiet.tables] == ["attempts", "batches", "inbox", "tasks"]
        with psycopg.connect(dsn) as forgotten:
            forgotten.execute("SELECT 1")
            while ((await store.health()).oldest_transaction or timedelta(0)) < timedelta(
                milliseconds=100
            ):
                pass
        assert (await store.health()).oldest_transaction is None


@pytest.mark.parametrize(
    ("live", "dead", "neglected"),
    [
        (1_000_000, 500_001, True),
        (1_000_000, 500_000, False),
        (10, 50_000, False),
        (10, 50_001, True),
    ],
)
def test_many_dead_rows_are_warned_of_few_are_not(live: int, dead: int, neglected: bool) -> None:
    """A warning that always stands there is one that nobody reads."""
    table = TableHealth(name="tasks", live=live, dead=dead, vacuumed_at=None)
    warnings = list(Health(bytes=1, tables=(table,)).warnings())
    assert [f"{dead:,} dead rows" in text for text in warnings] == [True] * neglected


def test_a_warning_says_when_vacuum_was_there_last() -> None:
    """Never, or an hour ago: the one is a setting, the other a lock."""
    at = datetime(2026, 11, 21, 3, 4, tzinfo=UTC)
    table = TableHealth(name="tasks", live=1, dead=60_000, vacuumed_at=at)
    (text,) = Health(bytes=1, tables=(table,)).warnings()
    assert "last vacuumed: 2026-11-21 03:04 UTC" in text


def test_a_transaction_of_more_than_ten_minutes_is_warned_of() -> None:
    """None of ours takes as long."""
    (text,) = Health(bytes=1, oldest_transaction=timedelta(minutes=11)).warnings()
    assert "open for 11 minutes" in text
    assert list(Health(bytes=1, oldest_transaction=timedelta(minutes=10)).warnings()) == []

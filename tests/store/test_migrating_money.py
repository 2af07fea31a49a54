"""A store from before has the same books, after it was brought up to date, as one that always
kept them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runner.resources import migrations
from runner.rows import Batch
from runner.store.migrate import migrate, read_migrations
from runner.store.reconciling import Sighting
from runner.store.sqlite.store import open_store
from runner.task import RemoteId
from tests.store.steps import (
    CLAUDE,
    GEMINI,
    RESERVE,
    Scene,
    accepted,
    answered,
    begin,
    failed,
    gone,
    lost,
    row,
)
from tests.support.clock import START, ManualClock

SEARCH = replace(CLAUDE, name="search", parameters={"web_search": True})
THINKING = replace(GEMINI, name="thinking", parameters={"use_reasoning": True})
TARGETS = (CLAUDE, SEARCH, GEMINI, THINKING)
BOOKS = {
    "price_history": "SELECT endpoint, model, asks, answers FROM price_history",
    "price_samples": """
        SELECT h.endpoint, h.model, h.asks, s.slot, s.charged_nanousd
          FROM price_samples s JOIN price_history h ON h.id = s.history_id
    """,
    "day_money": "SELECT job_id, day, spent_nanousd FROM day_money WHERE spent_nanousd <> 0",
    "run_money": "SELECT * FROM run_money",
}


async def live_through(scene: Scene) -> None:
    """Answers of all prices, failures, lost and double ones, on two days."""
    await scene.load([row(n, targets=TARGETS) for n in range(1, 8)])
    for day in range(2):
        for target in range(1, len(TARGETS) + 1):
            await answer_some(scene, 100 * (day * 10 + target))
        scene.clock.advance(timedelta(days=1))
    await scene.post(1, how=lost)
    await scene.post(1)


async def answer_some(scene: Scene, price: int) -> None:
    """Post three tasks of one target; one is answered, the others fail, are gone, or answered."""
    due = await scene.store.targets_to_post(scene.run.id, now=scene.clock.now())
    batch = await scene.intend(3, target=due[price // 100 % len(due)][0])
    assert isinstance(batch, Batch)
    await scene.settle(batch, accepted)
    taken = await scene.take(3)
    first, *others = taken
    await scene.book(answered(first, price * RESERVE // 100))
    for number, task in enumerate(others):
        scene.clock.advance(timedelta(seconds=1))
        endings = (failed(task, cost=None), gone(task), answered(task, price))
        await scene.book(endings[(price // 100 + number) % 3])
    again = batch.attempts[0].tag
    twin = Sighting(tag=again, remote_id=RemoteId(f"twin of {again}"), cost=RESERVE)
    await scene.store.found([twin], now=scene.clock.now())


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db


def books(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with opened(path) as db:
        return {name: sorted(db.execute(query)) for name, query in BOOKS.items()}


def as_of(number: int, current: Path, old: Path) -> None:
    """Make *old* a store that has seen the first *number* migrations only, with the rows of
    *current*."""
    with opened(old) as db:
        migrate(db, read_migrations(migrations("sqlite"))[:number], START)
        db.execute("ATTACH ? AS new", (str(current),))
        triggers = db.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        tables = db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (table,) in tables:
            if table != "migrations":
                columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
                names = ", ".join(columns)
                db.execute(f"DELETE FROM {table}")
                db.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM new.{table}")
        for _, sql in triggers:
            db.execute(sql)


@pytest.mark.parametrize("number", [4, 6])
async def test_prices_and_days_of_an_older_store_are_reckoned_from_its_attempts(
    number: int, tmp_path: Path, clock: ManualClock
) -> None:
    """Else the first night after an update would have no estimate and its daily budget anew."""
    current, old = tmp_path / "current.db", tmp_path / "old.db"
    async with open_store(current, clock=clock) as store:
        await live_through(await begin(store, clock, targets=TARGETS))
        assert await store.verify() == []
    as_of(number, current, old)
    with opened(old) as db:
        assert not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'day_money'").fetchall()
    async with open_store(old, clock=clock) as store:
        assert await store.verify() == []
        (run,) = await store.runs()
        prices = {each.name: each.charges for each in await store.target_history(run.id)}
        total, _ = await store.cost(by=None)
    assert books(old) == books(current)
    assert len({*prices.values()}) == len(TARGETS), "each kind of question has its own prices"
    assert all(prices.values())
    assert total.money.charged > 0


@pytest.mark.parametrize("number", [4, 6])
async def test_an_updated_store_goes_on_counting(
    number: int, tmp_path: Path, clock: ManualClock
) -> None:
    """What was reckoned at the update and what triggers add must be one book."""
    current, old = tmp_path / "current.db", tmp_path / "old.db"
    async with open_store(current, clock=clock) as store:
        scene = await begin(store, clock, targets=TARGETS)
        await live_through(scene)
    as_of(number, current, old)
    then = clock.now()
    for path in (current, old):
        at = ManualClock(then)
        async with open_store(path, clock=at) as store:
            scene = await begin(store, at, targets=TARGETS)
            await answer_some(scene, 900)
            assert await store.verify() == []
    assert books(old) == books(current)

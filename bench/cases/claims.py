"""What an hour of posting and collecting, and a long past, cost the claims of a real PostgreSQL.

    a store with few tasks finished ──▶ an hour's churn ──┐
    a store with many tasks finished ─▶ an hour's churn ──┴▶ claims in turns ─▶ p99 ÷ p99

The server is the tests' own (``tests.support.postgres``), with every sync of a real store. Its
clock is ours to move, so that nothing waits for the minute after which a task is asked for.
"""

import asyncio
import hashlib
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from msgspec import structs

from bench.measuring import Line, Place
from bench.processes import prompt
from runner.rows import InputRow
from runner.store.postgres.store import open_store
from tests.store.steps import ANSWER, Scene, accepted, answered, begin, row
from tests.support.clock import ManualClock
from tests.support.postgres import Server, serving, time_of

SEED: Final = 1_000
"""Tasks of the past that the verbs make; the rest are copies of these in every table."""

_CLAIM: Final = 100
_LOADED: Final = 2_000
_AHEAD: Final = 20
"""Batches that are out at a time."""

_LOOK_EVERY: Final = 25
"""Batches."""

_HOT: Final = ("tasks", "attempts")

_COPIES: Final = {
    "rows": ("id, run_id, key", "id + n, run_id, decode(md5(n || '.' || id), 'hex')"),
    "input_rows": (
        "load_id, position, line, row_id, cells",
        "load_id, position + n, line + n, row_id + n, cells",
    ),
    "tasks": (
        "id, run_id, row_id, target_id, sample, turn, state, attempt, due_at, posted_at",
        "id + n, run_id, row_id + n, target_id, sample, turn, state, attempt, due_at, posted_at",
    ),
    "payloads": ("task_id, hash, body", "task_id + n, hash, body"),
    "attempts": (
        "task_id, number, run_id, batch_id, model, tag, state, remote_id, charged_nanousd",
        "task_id + n, number, run_id, batch_id, model, tag || n, state, remote_id || n,"
        " charged_nanousd",
    ),
    "results": (
        "task_id, attempt, received_at, money_spent_nanousd, answer",
        "task_id + n, attempt, received_at, money_spent_nanousd, left(answer, 200)",
    ),
    "replies": (
        "task_id, attempt, raw",
        "task_id + n, attempt, substring(raw FROM 1 FOR 200)",
    ),
}


@dataclass(slots=True)
class Side:
    """One store."""

    dsn: str
    scene: Scene
    past: int
    asked: int = 0
    """Rows ever loaded by the churn."""
    times: dict[str, list[float]] = field(default_factory=lambda: {"post": [], "fetch": []})
    """Seconds of each claim that counts."""
    churn_s: float = 0.0
    most_dead: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_HOT, 0))
    """Dead rows of each table, at the worst moment that was seen."""

    def rows(self, count: int) -> list[InputRow]:
        """The next *count* questions."""
        first = self.asked + 1
        self.asked += count
        return [row(position, prompt(position)) for position in range(first, first + count)]


def claims(place: Place) -> Iterable[Line]:
    """The p99 of claims of 100 after an hour's churn, with a long past and with a short one."""
    many, few = place.many(1_000_000, 4_000), place.many(10_000, 2_000)
    churn, times = place.many(120_000, 2_000), place.many(500, 40)
    with serving(durable=True) as server, _databases(server, few, many) as places:
        short, long = asyncio.run(_measured(*places, churn=churn, times=times))
        for kind in ("post", "fetch"):
            base, after = (_p99(side.times[kind]) for side in (short, long))
            yield Line(
                case=f"claims.{kind}",
                what=f"p99 with {many:,} finished, × that with {few:,}, after {churn:,} more",
                ratio=after / base,
                goal="≤ 2",
                figures={
                    f"ms with {few:,}": base * 1e3,
                    f"with {many:,}": after * 1e3,
                    "medians": _median(short.times[kind]) * 1e3,
                    "and": _median(long.times[kind]) * 1e3,
                },
            )
        for table in _HOT:
            found = _counted(long.dsn, table)
            yield Line(
                case="claims.dead",
                what=f"most dead rows of {table} at any time, by living ones; {many:,} finished",
                # The server counts once a second: in a short run it may not have told of any.
                ratio=max(1, long.most_dead[table]) / max(1, found["live"]),
                figures={
                    "dead": long.most_dead[table],
                    "updates": found["updates"],
                    "HOT": found["hot"],
                    "autovacuums": found["autovacuums"],
                    "MB": found["MB"],
                    "of indexes": found["index MB"],
                    "s of the churn": long.churn_s,
                },
            )


@contextmanager
def _databases(server: Server, few: int, many: int) -> Iterator[tuple[Any, Any]]:
    if "RUNNER_TEST_DSN" not in os.environ:
        # The hour takes about a minute here: autovacuum, which looks around every minute, has to
        # keep the same step.
        with psycopg.connect(server.dsn, autocommit=True) as db:
            db.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
            db.execute("SELECT pg_reload_conf()")
    with server.database(empty=True) as first, server.database(empty=True) as second:
        yield (first, few), (second, many)


async def _measured(
    short: tuple[str, int], long: tuple[str, int], *, churn: int, times: int
) -> tuple[Side, Side]:
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(_side(*each)) for each in (short, long)]
        for side in sides:
            began = time.perf_counter()
            await _churn(side, churn)
            side.churn_s = time.perf_counter() - began
        for _ in range(times):
            # In turns, so that what else the machine does meets both alike.
            for side in sides:
                await _round(side, side.times)
        return sides[0], sides[1]


@asynccontextmanager
async def _side(dsn: str, past: int) -> AsyncIterator[Side]:
    """A store with *past* tasks finished, and a new run."""
    clock = ManualClock()
    async with open_store(dsn, clock=clock, time_of=time_of(clock)) as store:
        old = await begin(store, clock, key="old")
        await old.load([row(number, prompt(number)) for number in range(1, SEED + 1)])
        for _ in range(0, SEED, _CLAIM):
            await old.post(_CLAIM)
            await _collect(old, await old.take(_CLAIM))
        await asyncio.to_thread(grow, dsn, past)
        yield Side(dsn, await begin(store, clock, key="new"), past)


def grow(dsn: str, tasks: int) -> None:
    """Copy the first ``SEED`` tasks of a store until there are *tasks*; answers are shortened."""
    last = tasks - SEED
    with psycopg.connect(dsn, autocommit=True) as db:
        # Neither sums nor foreign keys: as much as is copied is right, or nothing is.
        db.execute("SET session_replication_role = replica")
        for table, (columns, values) in _COPIES.items():
            db.execute(
                f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table},"
                f" generate_series({SEED}, {last}, {SEED}) AS n".encode()
            )
        db.execute("SELECT setval('tasks_id_seq', max(id)) FROM tasks")
        db.execute("SELECT setval('rows_id_seq', max(id)) FROM rows")
        db.execute(f"UPDATE run_states SET n = {tasks} WHERE n = {SEED}".encode())
        db.execute("VACUUM ANALYZE")


async def _churn(side: Side, tasks: int) -> None:
    """Post and collect *tasks*, as an engine does: some batches are out while others come back."""
    ahead = min(_AHEAD, tasks // _CLAIM)
    for number in range(tasks // _CLAIM):
        if number < ahead:
            await _filled(side)
            await side.scene.post(_CLAIM)
        else:
            await _round(side, None)
        if number % _LOOK_EVERY == 0:
            for table in _HOT:
                dead = (await asyncio.to_thread(_counted, side.dsn, table))["dead"]
                side.most_dead[table] = max(side.most_dead[table], dead)
    for _ in range(ahead):
        await _collect(side.scene, await side.scene.take(_CLAIM))
    # What the measuring fetches was posted before.
    await _filled(side)
    await side.scene.post(_CLAIM)


async def _round(side: Side, times: dict[str, list[float]] | None) -> None:
    """One batch goes out, and one comes back."""
    scene, kept = side.scene, times if times is not None else {"post": [], "fetch": []}
    await _filled(side)
    batch = await _timed(kept["post"], lambda: scene.batch(_CLAIM))
    await scene.settle(batch, accepted)
    taken = await _timed(kept["fetch"], lambda: scene.take(_CLAIM))
    assert len(batch.attempts) == len(taken) == _CLAIM
    await _collect(scene, taken)


async def _filled(side: Side) -> None:
    """Load more before nothing is left to post."""
    if not await side.scene.store.targets_to_post(side.scene.run.id, now=side.scene.clock.now()):
        await side.scene.load(side.rows(_LOADED))


async def _collect(scene: Scene, taken: list[Any]) -> None:
    await scene.book(
        *(answered(task, answer=_ANSWER, reply=_reply(task.attempt + task.task)) for task in taken)
    )


async def _timed(times: list[float], work: Callable[[], Awaitable[Any]]) -> Any:
    began = time.perf_counter()
    done = await work()
    times.append(time.perf_counter() - began)
    return done


_ANSWER: Final = structs.replace(ANSWER, text="The answer is as long as answers mostly are. " * 40)


def _reply(number: int) -> bytes:
    """As much as a compressed reply is, and as hard to compress."""
    return random.Random(number).randbytes(1_500) + hashlib.sha256(str(number).encode()).digest()


def _p99(times: list[float]) -> float:
    return sorted(times)[-1 - len(times) // 100]


def _median(times: list[float]) -> float:
    return sorted(times)[len(times) // 2]


def _counted(dsn: str, table: str) -> dict[str, int]:
    """What the server counted of *table*."""
    with psycopg.connect(dsn, autocommit=True) as db:
        found = db.execute(
            """
            SELECT n_tup_upd, n_tup_hot_upd, n_live_tup, n_dead_tup, autovacuum_count,
                   pg_table_size(relid) / 1048576, pg_indexes_size(relid) / 1048576
              FROM pg_stat_user_tables WHERE relname = %s
            """,
            (table,),
        ).fetchone()
    assert found is not None
    names = ("updates", "hot", "live", "dead", "autovacuums", "MB", "index MB")
    return dict(zip(names, map(int, found), strict=True))

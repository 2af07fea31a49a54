"""The account's row on a real PostgreSQL: the rule, its clock, and hosts that stand in the way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime, timedelta

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.clock import SystemClock
from runner.pacing import Ask, Pacer, Priority, SharedRate, Slice, Slices, grant
from runner.pacing.shared import Use
from runner.store.postgres.connection import Connection, Db
from runner.store.postgres.store import PostgresStore, open_store
from runner.store.values import StoreUnwritable
from tests.support.clock import ManualClock
from tests.support.postgres import Server, time_of
from tests.support.server_minute import SECOND

ASKS = st.builds(
    Ask,
    host=st.sampled_from(["a", "b", "host/1/ü'\"\\%s"]),
    setting=st.sampled_from([60, 600, 100_000]),
    wanted=st.integers(0, 50),
    unused=st.integers(0, 5),
    stated=st.sampled_from([None, None, 300]),
    use=st.none()
    | st.builds(Use, calls=st.integers(0, 900), left_ago_us=st.just(0), came_ago_us=st.just(0)),
    refused_ago_us=st.sampled_from([None, None, None, 0, 5 * SECOND]),
)


def busy(host: str = "a", *, setting: int = 1_200) -> Ask:
    return Ask(host=host, setting=setting, wanted=200)


async def slice_of(store: PostgresStore, account: int, ask: Ask) -> Slice | None:
    """None where others, or a busy machine, stood in the way for a second."""
    with suppress(StoreUnwritable):
        return await store.take_slice(account, ask)
    return None


async def account_of(store: PostgresStore) -> int:
    return await store.bind_account(gateway="aisa", base_url="https://x.test", login="me")


@pytest.fixture
async def stores(dsn: str) -> AsyncIterator[list[PostgresStore]]:
    """Four processes on one database, and the clock of its server."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_store(dsn, clock=SystemClock(), may_lose=True))
            for _ in range(4)
        ]


@settings(max_examples=8)
@given(st.lists(st.tuples(st.integers(0, 3_000), ASKS), min_size=1, max_size=20))
def test_the_row_in_the_store_is_the_row_of_the_rule(
    postgres: Server, steps: list[tuple[int, Ask]]
) -> None:
    """Every number of it comes back as it went: another host goes on from there."""

    async def walk(dsn: str) -> None:
        clock = ManualClock()
        async with open_store(dsn, clock=clock, time_of=time_of(clock), may_lose=True) as store:
            account = await account_of(store)
            row: SharedRate | None = None
            for ms, ask in steps:
                clock.advance(timedelta(milliseconds=ms))
                row, expected = grant(row, ask, round(clock.now().timestamp() * SECOND))
                assert await store.take_slice(account, ask) == expected
            (rate,) = await store.account_rates()
            assert row is not None
            assert (rate.account, rate.per_minute) == (account, row.per_minute)
            assert rate.granted == row.granted

    with postgres.database() as dsn:
        asyncio.run(walk(dsn))


async def test_hosts_that_ask_at_once_share_one_schedule(stores: list[PostgresStore]) -> None:
    """Each would otherwise give itself the whole of the limit; so would the first two of all."""
    account = await account_of(stores[0])
    began = time.monotonic()
    given = []
    for _ in range(5):
        given += await asyncio.gather(
            *(slice_of(store, account, busy(f"h{n}")) for n, store in enumerate(stores))
        )
        await asyncio.sleep(0.2)
    # One burst, what was gained meanwhile, and a second ahead.
    most = 5 + 20 * (time.monotonic() - began + 1)
    assert 15 <= sum(len(each.moments_us) for each in given if each is not None) <= most


async def test_accounts_have_rows_of_their_own(stores: list[PostgresStore]) -> None:
    """What AIsa refuses is nothing to DataForSEO."""
    store, *_ = stores
    one = await account_of(store)
    other = await store.bind_account(gateway="dataforseo", base_url="https://x.test", login="me")
    await store.take_slice(one, Ask(host="a", setting=600, refused_ago_us=0))
    await store.take_slice(other, busy(setting=600))
    rates = {rate.account: rate.per_minute for rate in await store.account_rates()}
    assert rates == {one: 300, other: 600}


async def test_real_hosts_keep_the_limit_and_all_get_calls(stores: list[PostgresStore]) -> None:
    """With the real clocks of the server and of four processes' event loops."""
    account, clock = await account_of(stores[0]), SystemClock()
    left: list[list[float]] = [[] for _ in stores]

    async def work(number: int) -> None:
        async def ask(wanted: Ask) -> Slice | None:
            return await slice_of(stores[number], account, wanted)

        slices = Slices(1_200, clock, host=f"h{number}", ask=ask)
        pacer = Pacer(1_200, clock, allowance=slices)

        async def caller() -> None:
            while True:
                await pacer.take(Priority.POST)
                left[number].append(clock.monotonic())

        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(caller())

    began = clock.monotonic()
    with suppress(TimeoutError):
        async with asyncio.timeout(4.0), asyncio.TaskGroup() as group:
            for number in range(len(stores)):
                group.create_task(work(number))
    passed_s = clock.monotonic() - began
    assert sum(map(len, left)) <= 5 + 20 * (passed_s + 0.5)
    assert all(left)


async def test_a_row_that_somebody_holds_gives_nothing_and_nobody_waits_for_it(
    stores: list[PostgresStore], dsn: str
) -> None:
    """A slice that comes seconds later is worth nothing."""
    account = await account_of(stores[0])
    await stores[0].take_slice(account, busy())
    async with await psycopg.AsyncConnection.connect(dsn) as other:
        await other.execute("SELECT 1 FROM account_rates FOR UPDATE")
        with pytest.raises(StoreUnwritable):
            await stores[1].take_slice(account, busy("b"))
    await stores[1].take_slice(account, busy("b"))


async def test_a_host_that_stops_while_it_holds_the_row_loses_it(dsn: str) -> None:
    """A suspended machine must not stop all others until somebody wakes it."""

    def stop(db: Db, _time_of: Callable[[Db], datetime]) -> None:
        db.execute("SELECT 1 FROM account_rates FOR UPDATE")
        time.sleep(3.0)
        db.execute("SELECT 1")

    async with open_store(dsn, clock=SystemClock(), may_lose=True) as store:
        account = await account_of(store)
        await store.take_slice(account, busy())
        connection: Connection = store._pacing
        with pytest.raises(StoreUnwritable):
            await connection.once(stop)
        # The next one makes a new connection.
        await store.take_slice(account, busy())


async def test_a_server_that_is_away_gives_nothing_and_gives_again_when_it_is_back(
    stores: list[PostgresStore], dsn: str
) -> None:
    """F32: nothing is sent meanwhile, and no night ends."""
    account = await account_of(stores[0])
    await stores[0].take_slice(account, busy())
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreUnwritable):
        await stores[0].take_slice(account, busy())
    assert (await stores[0].take_slice(account, busy())).again_us > 0

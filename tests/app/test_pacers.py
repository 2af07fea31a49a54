"""Whose limit a process takes its calls from: its own, or the one that the hosts share."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from runner.api.calls import CallKind
from runner.app.pacers import pacer_of
from runner.app.turns import Turn
from runner.clock import SystemClock
from runner.pacing import Pacer, Priority
from runner.pipeline.engine import Signals
from runner.store.pacing import SharedPacing
from runner.store.postgres.store import PostgresStore, open_store
from runner.store.sqlite.store import open_store as open_file
from tests.pipeline.full_disk import FullDisk
from tests.support.clock import ManualClock
from tests.support.postgres import Server, time_of
from tests.support.waiting import until

MINUTE = timedelta(minutes=1)


@pytest.fixture
def dsn(postgres: Server) -> Iterator[str]:
    with postgres.database() as fresh:
        yield fresh


@pytest.fixture
async def server(dsn: str) -> AsyncIterator[PostgresStore]:
    async with open_store(dsn, clock=SystemClock(), may_lose=True) as store:
        yield store


async def test_a_file_is_of_one_process_and_has_nothing_to_share(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Its engine holds the lock; a round trip a second would buy nothing."""
    async with open_file(tmp_path / "runner.db", clock=clock) as store, AsyncExitStack() as stack:
        assert not isinstance(store, SharedPacing)
        pacer = pacer_of(stack, store, 1, 600, clock)
        assert not pacer.shared
        await pacer.take(Priority.POST)


async def test_two_engines_on_a_server_take_from_one_row(server: PostgresStore) -> None:
    """Else each of them would use the whole of the account's limit."""
    account = await server.bind_account(gateway="dataforseo", base_url="x", login="me")
    async with AsyncExitStack() as stack:
        pacers = [pacer_of(stack, server, account, 60_000, SystemClock()) for _ in range(2)]
        for pacer in pacers:
            assert pacer.shared
            await pacer.take(Priority.POST)
        (rate,) = await server.account_rates()
        assert (rate.per_minute, rate.granted) == (60_000, 2)


async def test_calls_wait_for_a_server_that_is_away(server: PostgresStore) -> None:
    """Nobody knows then what the other hosts do; and a kind's slot is not taken unseen."""
    account = await server.bind_account(gateway="dataforseo", base_url="x", login="me")
    away = FullDisk(server, "take_slice")
    async with AsyncExitStack() as stack:
        pacer = pacer_of(stack, away, account, 60_000, SystemClock())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                await pacer.take(Priority.POST)
        away.make_room()
        await pacer.take(Priority.POST)
    assert away.refused["take_slice"] >= 1


async def test_a_slot_that_cannot_be_noted_is_not_used_where_others_count_too(
    dsn: str, clock: ManualClock
) -> None:
    """On a file the process's own memory is enough; of many processes none has all of it."""
    opened = open_store(dsn, clock=clock, time_of=time_of(clock), may_lose=True)
    async with opened as store, AsyncExitStack() as stack:
        account = await store.bind_account(gateway="dataforseo", base_url="x", login="me")
        disk = FullDisk(store, "take_slot")
        turn = Turn(disk, account, pacer_of(stack, store, account, 6_000, clock), Signals(), clock)
        taking = asyncio.create_task(turn.take(CallKind.USER_DATA, 0))
        await until(lambda: disk.refused["take_slot"] >= 3)
        assert not taking.done()
        disk.make_room()
        await taking
        assert disk.called["take_slot"] == 1


async def test_the_few_calls_of_a_kind_are_few_for_all_processes_together(
    dsn: str, clock: ManualClock
) -> None:
    """Two processes that each know five calls of user_data would make ten of six."""
    opened = open_store(dsn, clock=clock, time_of=time_of(clock), may_lose=True)
    moments = []
    async with opened as store:
        account = await store.bind_account(gateway="dataforseo", base_url="x", login="me")
        turns = [Turn(store, account, Pacer(100_000, clock), Signals(), clock) for _ in range(2)]
        for n in range(12):
            await turns[n % 2].take(CallKind.USER_DATA, 0)
            moments.append(clock.monotonic())
    assert max(sum(start <= other < start + 60 for other in moments) for start in moments) == 5


@pytest.mark.parametrize("by", [MINUTE, 2 * MINUTE, 24 * 60 * MINUTE, -MINUTE, -24 * 60 * MINUTE])
async def test_no_step_of_the_server_s_clock_lifts_the_limit_or_holds_up_a_call(
    dsn: str, clock: ManualClock, by: timedelta
) -> None:
    """The common log is dated by that clock. What a process has called itself it knows without, and
    what others have called it must not take for old."""
    moments = []
    async with AsyncExitStack() as stack:
        turns = []
        for _ in range(2):
            opened = open_store(dsn, clock=clock, time_of=time_of(clock), may_lose=True)
            store = await stack.enter_async_context(opened)
            account = await store.bind_account(gateway="dataforseo", base_url="x", login="me")
            turns.append(Turn(store, account, Pacer(100_000, clock), Signals(), clock))
        for n in range(32):
            if n % 7 == 6:
                clock.set_wall(clock.now() + by)
            await turns[n % 2].take(CallKind.ID_LIST, 0)
            moments.append(clock.monotonic())
    assert max(sum(start <= other < start + 60 for other in moments) for start in moments) <= 9
    # Four steps, of which each host may make a minute of its own.
    assert moments[-1] - moments[0] < (4 + 2 * 4) * 62

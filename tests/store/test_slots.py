"""The few calls a minute of single kinds: one log for all processes, on either store."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from runner.pacing import Kind
from runner.store.sqlite import pacing_verbs
from runner.store.sqlite.store import open_store as open_file
from tests.store.places import Place
from tests.store.steps import HOUR, MINUTE, Scene, begin
from tests.support.clock import ManualClock


async def test_the_few_calls_of_a_kind_are_counted_until_the_minute_has_passed(
    scene: Scene,
) -> None:
    """API.md §3: six calls of user_data a minute, one of which is left to somebody else."""
    store, clock = scene.store, scene.clock

    async def take(kind: Kind) -> int:
        return await store.take_slot(scene.account, kind, now=clock.now())

    for _ in range(5):
        assert await take(Kind.USER_DATA) == 0
        clock.advance(timedelta(seconds=2))
    assert await take(Kind.USER_DATA) == 51_001
    assert await take(Kind.TASKS_READY) == 0
    clock.advance(timedelta(milliseconds=51_000))
    assert await take(Kind.USER_DATA) == 1
    clock.advance(timedelta(milliseconds=1))
    assert await take(Kind.USER_DATA) == 0
    assert await take(Kind.USER_DATA) == 2_000


async def test_calls_are_remembered_by_the_next_start_and_forgotten_after_two_minutes(
    place: Place, clock: ManualClock
) -> None:
    """The server counts on, whichever process makes the calls; the log must not grow for ever."""
    kept = "SELECT count(*) FROM calls"
    async with place.open(clock) as store:
        account = (await begin(store, clock)).account
        for _ in range(9):
            assert await store.take_slot(account, Kind.ID_LIST, now=clock.now()) == 0
    async with place.open(clock) as store:
        assert await store.take_slot(account, Kind.ID_LIST, now=clock.now()) == 61_001
        assert place.read(kept) == [(9,)]
        clock.advance(3 * MINUTE)
        assert await store.take_slot(account, Kind.ID_LIST, now=clock.now()) == 0
        assert place.read(kept) == [(1,)]


async def test_two_processes_never_both_take_the_last_slot(
    place: Place, clock: ManualClock
) -> None:
    """Each would otherwise read the log before the other has noted its call."""
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(place.open(clock)) for _ in range(4)]
        account = (await begin(stores[0], clock)).account
        waits = await asyncio.gather(
            *(
                store.take_slot(account, Kind.TASKS_READY, now=clock.now())
                for store in stores
                for _ in range(8)
            )
        )
    assert sorted(waits) == [0] * 19 + [61_001] * 13


@pytest.mark.parametrize("by", [-MINUTE / 2, -HOUR, -24 * HOUR])
async def test_after_a_step_back_of_the_clock_a_kind_waits_for_a_minute_at_most(
    place: Place, clock: ManualClock, by: timedelta
) -> None:
    """Its log is dated ahead then: taken at its word it lifts the limit, or blocks for a day."""
    async with place.open(clock) as store:
        account = (await begin(store, clock)).account
        for _ in range(9):
            assert await store.take_slot(account, Kind.ID_LIST, now=clock.now()) == 0
    clock.set_wall(clock.now() + by)
    async with place.open(clock) as store:
        assert await store.take_slot(account, Kind.ID_LIST, now=clock.now()) == 61_001
        clock.advance(timedelta(milliseconds=61_000))
        assert await store.take_slot(account, Kind.ID_LIST, now=clock.now()) == 1
        clock.advance(timedelta(milliseconds=1))
        assert await store.take_slot(account, Kind.ID_LIST, now=clock.now()) == 0


@pytest.mark.parametrize("by", [MINUTE, 2 * MINUTE, 24 * HOUR, -24 * HOUR])
async def test_a_file_s_log_is_dated_anew_where_the_clock_was_set_between_two_starts(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    """A machine starts with a wrong clock, and the program with it, again and again, perhaps in a
    new container each time, while the time is put right: the server counts on."""
    for part in range(3):
        monkeypatch.setattr(pacing_verbs, "this_boot", lambda part=part: f"boot:{part}")
        async with open_file(path, clock=clock) as store:
            account = (await begin(store, clock)).account
            for _ in range(3):
                assert await store.take_slot(account, Kind.ID_LIST, now=clock.now()) == 0
        clock.advance(timedelta(seconds=10))
        clock.set_wall(clock.now() + (by if part else -by))
    async with open_file(path, clock=clock) as store:
        assert await store.take_slot(account, Kind.ID_LIST, now=clock.now()) == 31_001


@pytest.mark.parametrize("boot", ["another:1", ""])
async def test_after_a_start_of_the_machine_its_monotonic_time_says_nothing_of_the_log(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, boot: str
) -> None:
    """It begins anew with each: compared, it would date the log of an hour ago to this minute."""
    async with open_file(path, clock=clock) as store:
        account = (await begin(store, clock)).account
        for _ in range(9):
            assert await store.take_slot(account, Kind.ID_LIST, now=clock.now()) == 0
    monkeypatch.setattr(pacing_verbs, "this_boot", lambda: boot)
    later = ManualClock(clock.now() + HOUR)
    async with open_file(path, clock=later) as store:
        assert await store.take_slot(account, Kind.ID_LIST, now=later.now()) == 0

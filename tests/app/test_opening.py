"""The few calls a minute: their turn, kept across restarts and full disks."""

from datetime import timedelta
from pathlib import Path

import pytest

from runner.api.calls import CallKind
from runner.app.turns import Turn
from runner.pacing import Pacer
from runner.pipeline.engine import Signals
from runner.store.sqlite.store import open_store
from tests.pipeline.full_disk import FullDisk
from tests.support.clock import ManualClock


async def take(turn: Turn, clock: ManualClock, kind: CallKind, calls: int) -> list[float]:
    """The moments (monotonic seconds) at which so many calls of *kind* may leave."""
    moments = []
    for _ in range(calls):
        await turn.take(kind, 0)
        moments.append(clock.monotonic())
    return moments


def most_in_a_minute(moments: list[float]) -> int:
    return max(sum(start <= other < start + 60 for other in moments) for start in moments)


async def test_the_ready_list_is_asked_nineteen_times_a_minute_at_most(
    tmp_path: Path, clock: ManualClock
) -> None:
    """API.md §3: 20 calls a minute for all providers; one is left for somebody else."""
    async with open_store(tmp_path / "runner.db", clock=clock) as store:
        account = await store.bind_account(gateway="dataforseo", base_url="x", login="me")
        turn = Turn(store, account, Pacer(100_000, clock), Signals(), clock)
        moments = await take(turn, clock, CallKind.TASKS_READY, 60)
    assert most_in_a_minute(moments) == 19


async def test_a_restart_remembers_the_calls_of_the_last_minute(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The server counts on, whichever process makes the calls."""
    moments = []
    for _ in range(3):
        async with open_store(tmp_path / "runner.db", clock=clock) as store:
            account = await store.bind_account(gateway="dataforseo", base_url="x", login="me")
            turn = Turn(store, account, Pacer(100_000, clock), Signals(), clock)
            moments += await take(turn, clock, CallKind.USER_DATA, 4)
    assert most_in_a_minute(moments) == 5


DAY = timedelta(days=1)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("by", [timedelta(minutes=2), DAY, -timedelta(minutes=2), -DAY])
async def test_no_step_of_the_clock_lifts_the_limit_or_holds_up_a_call(
    tmp_path: Path, clock: ManualClock, by: timedelta, full: bool
) -> None:
    """F76: the server's minute goes on, whatever our clock says; nor does it last for a day."""
    async with open_store(tmp_path / "runner.db", clock=clock) as store:
        account = await store.bind_account(gateway="dataforseo", base_url="x", login="me")
        kept = FullDisk(store, "take_slot") if full else store
        turn = Turn(kept, account, Pacer(100_000, clock), Signals(), clock)
        moments = []
        for _ in range(8):
            moments += await take(turn, clock, CallKind.ID_LIST, 4)
            clock.set_wall(clock.now() + by)
    assert most_in_a_minute(moments) == 9
    assert moments[-1] - moments[0] < 4 * 62


async def test_a_full_disk_does_not_lift_the_limit(tmp_path: Path, clock: ManualClock) -> None:
    """What cannot be noted in the store is known all the same, and no stage fails for it."""
    async with open_store(tmp_path / "runner.db", clock=clock) as store:
        account = await store.bind_account(gateway="dataforseo", base_url="x", login="me")
        disk = FullDisk(store, "take_slot")
        signals = Signals()
        turn = Turn(disk, account, Pacer(100_000, clock), signals, clock)
        moments = await take(turn, clock, CallKind.USER_DATA, 12)
    assert most_in_a_minute(moments) == 5
    assert signals.calls == 12


async def test_fetches_have_no_limit_but_the_account_s(tmp_path: Path, clock: ManualClock) -> None:
    """They are the bulk of all calls; a log of each would be a write of each."""
    async with open_store(tmp_path / "runner.db", clock=clock) as store:
        account = await store.bind_account(gateway="dataforseo", base_url="x", login="me")
        disk = FullDisk(store)
        turn = Turn(disk, account, Pacer(6_000, clock), Signals(), clock)
        moments = await take(turn, clock, CallKind.TASK_GET, 300)
    assert not disk.called
    assert 2.5 < moments[-1] - moments[0] < 3.5

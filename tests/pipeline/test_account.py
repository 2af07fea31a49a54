"""The account: checked before the first post, paused, and resumed when its time has come."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from runner.api.errors import (
    Block,
    CallRejected,
    CredentialsBlocked,
    MoneyBlocked,
    Unreachable,
)
from runner.money import NANOS_PER_DOLLAR
from runner.pipeline.account import (
    PROBE_EVERY_S,
    check_account,
    heard,
    heed,
    probe,
    probe_once,
    rest_until_heard,
)
from runner.pipeline.api_time import Heard
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault, Strike
from runner.simulator.scenario import Scenario
from tests.pipeline.scene import HOUR, MINUTE, RESERVE, Scene, staged
from tests.support.clock import START, ManualClock
from tests.support.waiting import until

MIDNIGHT = START.replace(hour=0, minute=0) + timedelta(days=1)


def blocked(block: Block = Block.BALANCE, code: int = 40210) -> MoneyBlocked:
    return MoneyBlocked("the API says no", block=block, code=code)


def probes(scene: Scene) -> int:
    return scene.account.calls.counts[CallKind.USER_DATA]


async def test_the_account_is_asked_until_it_answers(scene: Scene) -> None:
    """Step 0: login, base URL and limit are known before anything can be charged."""
    scene.account.change(Scenario(calls_per_minute=600))
    strike = Strike(fault=Fault.HTTP_500_BEFORE, call=CallKind.USER_DATA, times=4)
    scene.account.faults.arm(strike)
    data = await check_account(scene.engine)
    assert data is not None
    assert data.balance_nanousd == 10_000 * NANOS_PER_DOLLAR
    assert scene.engine.pacer.calls_per_minute == 600
    assert scene.engine.signals.reached


async def test_a_refused_login_ends_the_check(tmp_path: Path, clock: ManualClock) -> None:
    """Asking on with a wrong password locks accounts."""
    async with staged(tmp_path, clock, password="wrong") as scene:
        scene.account.change(Scenario(password="right"))
        assert await check_account(scene.engine) is None
        assert isinstance(scene.engine.signals.fatal, CredentialsBlocked)
        assert probes(scene) == 1


async def test_a_low_balance_is_probed_every_ten_minutes_until_it_is_topped_up(
    scene: Scene,
) -> None:
    """The person who tops up at noon should not have to restart anything."""
    scene.account.deposit(-20_000 * NANOS_PER_DOLLAR)
    heed(scene.engine, blocked())
    began = scene.clock.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(probe(scene.engine))
        await until(lambda: probes(scene) >= 3)
        assert scene.engine.signals.blocked is not None
        assert scene.clock.monotonic() - began >= 3 * PROBE_EVERY_S
        scene.account.deposit(20_000 * NANOS_PER_DOLLAR)
        await until(lambda: scene.engine.signals.blocked is None)
        scene.engine.signals.stop()


async def test_an_account_that_is_not_paused_is_not_probed(scene: Scene) -> None:
    """user_data allows six calls a minute, for all programs on the account together."""
    await probe_once(scene.engine)
    assert probes(scene) == 0


async def test_a_daily_limit_ends_at_midnight_utc(scene: Scene) -> None:
    """F56: 40203 says nothing of the balance, so a full one must not lift the pause early."""
    heed(scene.engine, blocked(Block.DAILY_CAP, 40203))
    for moment in (START + HOUR, MIDNIGHT - MINUTE):
        scene.clock.set_wall(moment)
        await probe_once(scene.engine)
        assert scene.engine.signals.blocked is not None
    scene.clock.set_wall(MIDNIGHT)
    await probe_once(scene.engine)
    assert scene.engine.signals.blocked is None


async def test_the_probe_of_midnight_comes_at_midnight(scene: Scene) -> None:
    """Ten minutes later would be ten minutes of the new day's limit unused."""
    scene.clock.set_wall(MIDNIGHT - timedelta(minutes=14))
    heed(scene.engine, blocked(Block.DAILY_CAP, 40203))
    async with asyncio.TaskGroup() as group:
        group.create_task(probe(scene.engine))
        await until(lambda: scene.engine.signals.blocked is None)
        scene.engine.signals.stop()
    assert scene.clock.slept[:2] == [600, 240]


@pytest.mark.parametrize(
    ("said_at", "free_at"),
    [
        (MIDNIGHT + 30 * MINUTE, MIDNIGHT + 24 * HOUR),
        # The API's day may begin a little later than ours: this was still yesterday's limit.
        (MIDNIGHT + 2 * MINUTE, MIDNIGHT + 12 * MINUTE),
    ],
)
async def test_a_limit_reached_in_the_first_hour_holds_for_its_day(
    scene: Scene, said_at: datetime, free_at: datetime
) -> None:
    """A pause that only asks whether it is midnight would end at once, every time."""
    scene.clock.set_wall(said_at)
    heed(scene.engine, blocked(Block.DAILY_CAP, 40203))
    scene.clock.set_wall(min(said_at + HOUR, free_at - MINUTE))
    if free_at - said_at > HOUR:
        await probe_once(scene.engine)
        assert scene.engine.signals.blocked is not None
    scene.clock.set_wall(free_at)
    await probe_once(scene.engine)
    assert scene.engine.signals.blocked is None


async def test_a_pause_ends_with_the_first_reply_that_anybody_gets(scene: Scene) -> None:
    """While posts wait minutes for a dead host, a fetch may already have been answered."""
    heed(scene.engine, Unreachable("no reply from the API"))
    began = scene.clock.monotonic()
    await rest_until_heard(scene.engine, 100.0)
    assert scene.clock.monotonic() - began >= 100
    heard(scene.engine)
    await rest_until_heard(scene.engine, 100.0)
    assert scene.clock.monotonic() - began < 110


async def test_a_malformed_call_stops_the_engine(scene: Scene) -> None:
    """Our bug: every further call would be as wrong, and somebody has to hear of it."""
    heed(scene.engine, CallRejected("the API says 40503", code=40503))
    assert scene.engine.signals.stopping.is_set()
    assert scene.engine.signals.fatal is not None


async def test_a_floor_holds_whatever_ended_before_the_balance_was_asked_for(scene: Scene) -> None:
    """Yesterday's answers, not fetched yet, have given their advances back already."""
    await scene.load(95)
    await scene.poster.post_next()
    data = await check_account(scene.engine)
    assert data is not None
    assert data.balance_nanousd is not None
    floor = data.balance_nanousd - 5 * RESERVE
    scene.limited(floor=floor)
    await scene.load([f"Later, {n}?" for n in range(100)])
    idle = 0
    while idle < 20:
        idle = 0 if await scene.poster.post_next() else idle + 1
        assert scene.account.ledger.balance >= floor
        await scene.fetch_due()
        scene.clock.advance(timedelta(seconds=5))
    # And what is really there is used, before anybody gives up.
    assert scene.account.ledger.balance - floor < RESERVE
    assert not scene.engine.signals.room(scene.run.id)


async def test_the_day_of_a_limit_is_the_apis(scene: Scene) -> None:
    """F56, F76: by a clock that is three hours ahead its midnight would be missed for a day."""
    scene.clock.set_wall(START + 3 * HOUR)
    scene.engine.signals.api_clock.see(
        Heard(START, scene.clock.monotonic(), scene.clock.monotonic()), wall=START
    )
    heed(scene.engine, blocked(Block.DAILY_CAP, 40203))
    left = MIDNIGHT - START
    for passed in (left - 2 * HOUR, 2 * HOUR - MINUTE):
        scene.clock.advance(passed)
        await probe_once(scene.engine)
        assert scene.engine.signals.blocked is not None
    # Its time is known rather too early than too late.
    scene.clock.advance(6 * MINUTE)
    await probe_once(scene.engine)
    assert scene.engine.signals.blocked is None

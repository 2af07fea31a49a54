"""A store that may not know all that was posted in its name posts nothing until it does."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner.errors import Exit
from runner.lifecycle import State
from runner.pipeline.recovery import NotListed, NotReliable, recover
from runner.simulator.account import Account
from runner.simulator.scenario import Scenario
from runner.simulator.server import SimulatorServer, serve
from runner.store.mark import Mark
from runner.store.sqlite.copying import copy_store, note_that_it_is_a_copy
from runner.store.sqlite.store import open_store
from tests.pipeline.scene import DAY, HOUR, MINUTE, Scene, engine_at, lasting
from tests.support.clock import ManualClock

LAG_S = 7200.0
"""Longer than a doubt waits by itself, and than it waits where there is nothing to check by."""


@asynccontextmanager
async def account(clock: ManualClock, **how: Any) -> AsyncIterator[tuple[Account, SimulatorServer]]:
    scenario = Scenario(latency=lasting(MINUTE), calls_per_minute=100_000, **how)
    account = Account(scenario, clock=clock)
    account.deposit(scenario.balance)
    async with serve(account) as server:
        yield account, server


@asynccontextmanager
async def started(
    path: Path, clock: ManualClock, at: tuple[Account, SimulatorServer]
) -> AsyncIterator[Scene]:
    """An engine on the store, with its side file, that has heard the API's time."""
    with closing(Mark.beside(path)) as mark:
        async with open_store(path, clock=clock) as store:
            await store.keep_mark(mark)
        async with engine_at(at[1].url, path, clock, at[0]) as scene:
            await scene.store.keep_mark(mark)
            await scene.engine.api.user_data()
            yield scene


async def post(scene: Scene, tasks: int) -> None:
    """One batch of *tasks*."""
    scene.poster.size._size = tasks
    clock, before = scene.clock, len(scene.account.ledger.tasks)
    clock.advance(5 * MINUTE)
    await scene.engine.api.user_data()
    await scene.poster.post_next()
    assert len(scene.account.ledger.tasks) == before + tasks


async def copied(path: Path) -> Path:
    await copy_store(path, copy := path.with_name("yesterday.db"))
    return copy


def put_back(copy: Path, path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    shutil.copy(copy, path)


@dataclass
class Night:
    """A clock that ends the start when the night is over."""

    scene: Scene
    ends: datetime

    def now(self) -> datetime:
        return self.scene.clock.now()

    def monotonic(self) -> float:
        return self.scene.clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self.scene.clock.sleep(seconds)
        if self.now() >= self.ends:
            self.scene.engine.signals.stop()


async def recovered(scene: Scene, within: timedelta = 6 * HOUR) -> bool:
    """Whether posting begins within that time."""
    night = Night(scene, scene.clock.now() + within)
    return await recover(replace(scene.engine, clock=night))


def told(scene: Scene) -> NotListed:
    error = scene.engine.signals.unlisted
    assert isinstance(error, NotListed)
    assert "runner db trust" in str(error.how)
    return error


@asynccontextmanager
async def restored(
    tmp_path: Path, clock: ManualClock, *, known: int = 2, lost: tuple[int, ...] = (6,), **how: Any
) -> AsyncIterator[Scene]:
    """F28: yesterday's copy of a store with eight tasks, that knows the first *known* posts."""
    path = tmp_path / "runner.db"
    async with account(clock, **how) as at:
        async with started(path, clock, at) as scene:
            await scene.load(8)
            if known:
                await post(scene, known)
            copy = await copied(path)
            for tasks in lost:
                await post(scene, tasks)
        clock.advance(10 * MINUTE)
        put_back(copy, path)
        async with started(path, clock, at) as scene:
            yield scene


@pytest.mark.parametrize("how", [{}, {"listing_lag_s": LAG_S}])
@pytest.mark.parametrize("known", [0, 2])
@pytest.mark.parametrize("lost", [(6,), (1, 2, 3)])
async def test_a_store_that_was_put_back_pays_for_nothing_twice(
    tmp_path: Path, clock: ManualClock, how: dict[str, Any], known: int, lost: tuple[int, ...]
) -> None:
    """F28: a listing that does not show yet what was posted proves nothing."""
    async with restored(tmp_path, clock, known=known, lost=lost, **how) as scene:
        assert await recovered(scene)
        assert scene.engine.signals.unlisted is None
        assert await scene.states() == {State.POSTED: known + 6} | (
            {} if known else {State.PENDING: 2}
        )
        assert await scene.store.incidents() == []
        assert await scene.store.verify() == []


@pytest.mark.parametrize("known", [0, 2])
@pytest.mark.parametrize(
    "how", [{"listing": False}, {"listing_tags": False}, {"listing_lag_s": 9 * DAY.total_seconds()}]
)
async def test_what_no_listing_can_tell_is_not_posted_and_told_to_a_person(
    tmp_path: Path, clock: ManualClock, how: dict[str, Any], known: int
) -> None:
    """UNKNOWN §7: whether id_list exists for this API, and shows tags, nobody has seen. Cron says
    nothing of a code 3, so that must not be for ever."""
    async with restored(tmp_path, clock, known=known, **how) as scene:
        assert not await recovered(scene)
        assert isinstance(told(scene), NotReliable)
        assert told(scene).exit_code is Exit.WRONG_INPUT
        assert await scene.states() == {State.PENDING: 8 - known} | (
            {State.POSTED: known} if known else {}
        )


async def test_a_start_that_has_only_begun_to_look_is_not_finished(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The next one may find it in order; and what one start has waited the next need not."""
    async with restored(tmp_path, clock, listing=False) as scene:
        assert not await recovered(scene, within=MINUTE)
        assert told(scene).exit_code is Exit.NOT_FINISHED
        clock.advance(HOUR)
        await scene.engine.api.user_data()
        scene.engine.signals.stopping = anyio.Event()
        assert not await recovered(scene, within=MINUTE)
        assert told(scene).exit_code is Exit.WRONG_INPUT


async def test_rows_without_a_tag_that_ask_something_else_are_nobody_s(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Another program uses the account: what waits here was not asked by anybody."""
    async with account(clock, listing_tags=False) as at:
        async with started(tmp_path / "other.db", clock, at) as other:
            await other.load(["Somebody else's question?"])
            await post(other, 1)
        path = tmp_path / "runner.db"
        async with started(path, clock, at) as scene:
            await scene.load(8)
        path.with_name("runner.db.newest").unlink()
        async with started(path, clock, at) as scene:
            began = clock.now()
            assert await recovered(scene)
            # There was nothing to check the listing by.
            assert clock.now() - began >= HOUR - timedelta(seconds=2)


async def test_rows_without_a_tag_that_may_be_what_waits_are_told_at_once(
    tmp_path: Path, clock: ManualClock
) -> None:
    """No other listing will tell whose they are."""
    async with account(clock, listing_tags=False) as at:
        async with started(tmp_path / "other.db", clock, at) as other:
            await other.load(["Question 7?"])
            await post(other, 1)
        path = tmp_path / "runner.db"
        async with started(path, clock, at) as scene:
            await scene.load(8)
        path.with_name("runner.db.newest").unlink()
        async with started(path, clock, at) as scene:
            assert not await recovered(scene, within=MINUTE)
            assert isinstance(told(scene), NotReliable)
            assert "without a tag" in str(told(scene).why)


@pytest.mark.parametrize("doubt", ["moved", "claimed", "backup"])
async def test_a_store_that_only_may_have_gone_on_waits_for_what_it_knows(
    tmp_path: Path, clock: ManualClock, doubt: str
) -> None:
    """What it has posted itself shows whether the listing can be relied on."""
    path = tmp_path / "runner.db"
    async with account(clock, listing_lag_s=LAG_S) as at:
        async with started(path, clock, at) as scene:
            await scene.load(8)
            await post(scene, 2)
            copy = await copied(path)
            posted = clock.now()
            await post(scene, 6)
        put_back(copy, path)
        if doubt == "backup":
            note_that_it_is_a_copy(path)
        path.with_name("runner.db.newest").unlink()
        async with started(path, clock, at) as scene:
            if doubt == "claimed":
                await scene.store.claim(None)
            assert await recovered(scene)
            assert clock.now() - posted > timedelta(seconds=LAG_S)
            assert await scene.states() == {State.POSTED: 8}
            assert await scene.store.incidents() == []


async def test_an_intent_that_was_never_durable_is_nothing_to_look_for(
    tmp_path: Path, clock: ManualClock
) -> None:
    """A kill between side file and store would leave a store that no listing can clear."""
    path = tmp_path / "runner.db"
    async with account(clock, listing=False) as at:
        async with started(path, clock, at) as scene:
            await scene.load(8)
            await post(scene, 2)
        with closing(Mark.beside(path)) as mark:
            whose, batch = mark.read() or ("", 0)
            mark.intend(whose, batch + 1)
        async with started(path, clock, at) as scene:
            assert await recovered(scene, within=MINUTE)
        with closing(Mark.beside(path)) as mark:
            mark.intend(whose, batch + 1)
            mark.confirm(batch + 1)
        async with started(path, clock, at) as scene:
            assert not await recovered(scene, within=MINUTE)

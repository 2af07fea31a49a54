"""Our clock goes wrong, the API's does not: wall clocks set by a day, summer time, suspend.

F76. The account has a clock of its own here, so that only ours jumps. A wall clock that jumps may
make us ask too early or too late; it must close no window, end no task and send nothing stale.
"""

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from runner.api.fetching import Gone, Running, TaskFailed, Unclear
from runner.clock import to_ms
from runner.lifecycle import Reason, State
from runner.pacing import Priority
from runner.pipeline.account import check_account
from runner.pipeline.engine import SETTLE
from runner.pipeline.intents import STALE_S
from runner.pipeline.planner import Trust
from runner.pipeline.poller import WallClock, claim, ending_of, fetch, poll
from runner.pipeline.ready import ask_list
from runner.pipeline.reconciler import Reconciler
from runner.pipeline.writer import store_group, write
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.simulator.scenario import Scenario
from runner.simulator.server import serve
from runner.store.endings import Ending, Posted, RemotelyFailed, ResultGone, StillRunning
from runner.store.sqlite.store import open_store
from tests.api.adversary import Adversary, answer, facing, taken, written
from tests.pipeline.scene import CLAUDE, DAY, HOUR, MINUTE, Scene, engine_at, lasting
from tests.support.clock import ManualClock
from tests.support.waiting import until

JUMPS = [
    pytest.param(DAY, id="a day ahead"),
    pytest.param(-DAY, id="a day back"),
    pytest.param(HOUR, id="an hour ahead"),
    pytest.param(-HOUR, id="an hour back"),
]
WALLS = [*JUMPS, pytest.param(timedelta(0), id="not at all")]


@pytest.fixture
def theirs() -> ManualClock:
    """The API's clock, which is right."""
    return ManualClock()


@asynccontextmanager
async def apart(
    folder: Path, ours: ManualClock, theirs: ManualClock, *, lasts: timedelta
) -> AsyncIterator[Scene]:
    """An engine and an account whose tasks last *lasts*, each with a clock of its own."""
    account = Account(Scenario(latency=lasting(lasts), calls_per_minute=100_000), clock=theirs)
    account.deposit(100 * 10**9)
    async with (
        serve(account) as server,
        engine_at(server.url, folder / "runner.db", ours, account) as scene,
    ):
        yield scene


def jump(clock: ManualClock, by: timedelta) -> None:
    """Set the wall clock; no time passes."""
    clock.set_wall(clock.now() + by)


async def posted(scene: Scene, count: int = 2) -> None:
    await scene.load(count)
    await scene.poster.post_next()
    assert await scene.states() == {State.POSTED: count}


def posts(scene: Scene) -> int:
    return scene.account.calls.counts[CallKind.TASK_POST]


# --- the wall clock is set ------------------------------------------------------------------------


@pytest.mark.parametrize("by", JUMPS)
async def test_a_jump_while_tasks_run_ends_none_of_them(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock, by: timedelta
) -> None:
    """The API has its 72 hours by its own clock; ours has no say in when they are over."""
    async with apart(tmp_path, clock, theirs, lasts=50 * HOUR) as scene:
        await posted(scene)
        for hours in (1, 20, 28):
            jump(clock, by)
            for each in (clock, theirs):
                each.advance(hours * HOUR)
            await scene.fetch_due()
            assert await scene.states() == {State.POSTED: 2}
            jump(clock, -by)
        for each in (clock, theirs):
            each.advance(30 * HOUR)
        await scene.fetch_due()
        assert await scene.states() == {State.COMPLETED: 2}
        assert posts(scene) == 1
        assert (await scene.status()).money.at_risk == 0


@pytest.mark.parametrize("age", [timedelta(days=29, hours=12), timedelta(days=26)])
async def test_a_window_that_only_our_clock_has_closed_still_brings_its_answer(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock, age: timedelta
) -> None:
    """Past 30 days by a clock a week ahead, the answer is there: it is asked for, not given up."""
    async with apart(tmp_path, clock, theirs, lasts=HOUR) as scene:
        await posted(scene)
        for each in (clock, theirs):
            each.advance(age)
        jump(clock, 7 * DAY)
        await scene.fetch_due()
        assert await scene.states() == {State.COMPLETED: 2}
        assert scene.account.calls.counts[CallKind.TASK_GET] == 2


async def test_a_closed_window_ends_nothing_while_the_api_cannot_be_asked(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Expired is what the API says, or what an ask has shown: an ask that fails shows nothing."""
    adversary = Adversary(on_get=lambda *_: b"down for maintenance")
    async with facing(adversary, tmp_path, clock) as scene:
        await posted(scene)
        jump(clock, 40 * DAY)
        await scene.fetch_due()
        assert await scene.states() == {State.POSTED: 2}
        jump(clock, -40 * DAY)
        adversary.on_get = Adversary().on_get
        clock.advance(40 * DAY + HOUR)
        await scene.fetch_due()
        assert await scene.states() == {State.COMPLETED: 2}


@pytest.mark.parametrize("by", JUMPS)
async def test_after_a_jump_the_ready_list_still_brings_what_is_done(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock, by: timedelta
) -> None:
    """Dates written while the clock was wrong are a day off; no finished task is left to them."""
    jump(clock, by)
    async with apart(tmp_path, clock, theirs, lasts=MINUTE) as scene:
        await posted(scene)
        jump(clock, -by)
        for each in (clock, theirs):
            each.advance(2 * MINUTE)
        await ask_list(scene.engine, CLAUDE.endpoint.provider, Trust())
        await scene.fetch_due()
        assert await scene.states() == {State.COMPLETED: 2}


@pytest.mark.parametrize("by", JUMPS)
async def test_a_jump_between_intent_and_send_is_no_pause(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock, by: timedelta
) -> None:
    """Two seconds are counted by the monotonic clock: a wall clock set back hides no pause, and one
    set ahead makes none."""
    async with apart(tmp_path, clock, theirs, lasts=HOUR) as scene:
        await scene.load(2)
        intent = await scene.poster.intend()
        assert intent is not None
        jump(clock, by)
        assert (await scene.poster.deliver(intent)).sent
        assert await scene.states() == {State.POSTED: 2}


@pytest.mark.parametrize("by", JUMPS)
async def test_a_jump_while_a_reply_is_under_way_loses_no_receipt(
    tmp_path: Path, clock: ManualClock, by: timedelta
) -> None:
    """The deadline of a batch has a date, but no date makes its reply come too late."""

    def reply(tags: list[str]) -> bytes:
        jump(clock, by)
        return taken(tags)

    adversary = Adversary(on_post=reply)
    async with facing(adversary, tmp_path, clock) as scene:
        await posted(scene)
        assert len(scene.remote_ids()) == 2
        assert adversary.posts == 1


@pytest.mark.parametrize("by", JUMPS)
async def test_a_lease_from_before_a_jump_holds_up_nobody_after_a_restart(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock, by: timedelta
) -> None:
    """A fetcher that died while the clock was a day ahead must not keep its task for that day."""
    async with apart(tmp_path, clock, theirs, lasts=MINUTE) as scene:
        await posted(scene)
        for each in (clock, theirs):
            each.advance(2 * MINUTE)
        jump(clock, max(by, timedelta(0)))
        assert len(await claim(scene.engine, 10)) == 2
        jump(clock, -abs(by))
    async with open_store(tmp_path / "runner.db", clock=clock) as store:
        worker = await store.begin_worker(now=clock.now())
        again = await store.take_posted(10, worker=worker, now=clock.now(), lease=HOUR)
        assert len(again) == 2


async def test_pacing_and_waits_do_not_look_at_the_wall_clock(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock
) -> None:
    """A clock set ahead must not open the rate, and one set back must not stop it for a day."""
    async with apart(tmp_path, clock, theirs, lasts=HOUR) as scene:
        took = []
        for by in (timedelta(0), DAY, -2 * DAY, DAY):
            jump(clock, by)
            began = clock.monotonic()
            for _ in range(200):
                assert await scene.engine.call_token(Priority.POST)
            took.append(clock.monotonic() - began)
        assert max(took[1:]) < 2 * min(took[1:])


MONTH = 31 * DAY


@pytest.mark.parametrize("by", [DAY, 3 * DAY, MONTH, -DAY, -MONTH])
@pytest.mark.parametrize(
    "said",
    [
        Running(code=40602),
        Gone(code=40401, message="Not Found."),
        Unclear(code=49999, message="A new word.", raw=b"{}"),
    ],
)
async def test_no_window_is_closed_by_our_clock(
    tmp_path: Path,
    clock: ManualClock,
    theirs: ManualClock,
    by: timedelta,
    said: Running | Gone | Unclear,
) -> None:
    """F76: a clock set wrong makes nobody late: expired and timed out are counted in the API's
    time, wherever ours stood when the task was posted and stands now."""
    async with apart(tmp_path, clock, theirs, lasts=50 * HOUR) as scene:
        assert await check_account(scene.engine) is not None
        await posted(scene, 1)
        for each in (clock, theirs):
            each.advance(10 * HOUR)
        (task,) = await claim(scene.engine, 10)
        await fetch(scene.engine, task)
        jump(clock, by)
        ending = ending_of(scene.engine, task, said, clock.now())
        assert isinstance(ending, StillRunning)
        assert clock.now() < ending.ask_again_at <= clock.now() + 14 * HOUR
        # It was no matter of never.
        assert is_late(scene, task)


def is_late(scene: Scene, task: Posted) -> bool:
    """Whether an id that the API does not know ends the task once the API's 30 days are over."""
    scene.clock.advance(30 * DAY)
    gone = Gone(code=40401, message="Not Found.")
    return isinstance(ending_of(scene.engine, task, gone, scene.clock.now()), ResultGone)


@pytest.mark.parametrize("by", [DAY, MONTH, -DAY, -MONTH])
@pytest.mark.parametrize(("code", "retryable"), [(40103, True), (40501, False)])
async def test_a_failure_is_no_timeout_because_our_clock_says_so(
    tmp_path: Path,
    clock: ManualClock,
    theirs: ManualClock,
    by: timedelta,
    code: int,
    retryable: bool,
) -> None:
    """The reason is what a person reads; whether it is tried again, at a charge, is never a matter
    of time."""
    failed = TaskFailed(code=code, message="no", retryable=retryable, cost_nanousd=None, raw=b"{}")
    async with apart(tmp_path, clock, theirs, lasts=50 * HOUR) as scene:
        assert await check_account(scene.engine) is not None
        await posted(scene, 1)
        for each in (clock, theirs):
            each.advance(10 * HOUR)
        (task,) = await claim(scene.engine, 10)
        jump(clock, by)
        early = ending_of(scene.engine, task, failed, clock.now())
        clock.advance(63 * HOUR)
        late = ending_of(scene.engine, task, failed, clock.now())
        assert isinstance(early, RemotelyFailed)
        assert isinstance(late, RemotelyFailed)
        assert early.reason is Reason.REMOTE
        assert late.reason is (Reason.TIMED_OUT if retryable else Reason.REMOTE)
        assert (early.again_at is not None) == (late.again_at is not None) == retryable


@pytest.mark.parametrize("restarted", [False, True])
async def test_due_times_of_a_clock_that_was_a_day_ahead_do_not_wait_for_that_day(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock, restarted: bool
) -> None:
    """Everything that was loaded and posted meanwhile would lie still for a day after the clock is
    put right: noticed by the running process, and at the next start."""
    async with apart(tmp_path, clock, theirs, lasts=MINUTE) as scene:
        jump(clock, DAY)
        await posted(scene)
        await scene.load(["one more?"])
        wall = WallClock(scene.engine)
        await wall.look()
        jump(clock, -DAY)
        if restarted:
            await scene.store.redate(now=clock.now())
        else:
            await wall.look()
        assert await scene.poster.post_next() is not None
        for each in (clock, theirs):
            each.advance(2 * MINUTE)
        await scene.fetch_due()
        assert await scene.states() == {State.COMPLETED: 3}
        latest = scene.sql("SELECT max(posted_at) FROM tasks")[0][0]
        assert latest <= to_ms(clock.now())


async def test_the_poller_notices_by_itself_that_the_clock_was_put_right(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock
) -> None:
    """The answers of a whole night would come a day late, and nobody would know why."""
    async with apart(tmp_path, clock, theirs, lasts=MINUTE) as scene:
        jump(clock, DAY)
        await posted(scene)
        to_writer, endings = anyio.create_memory_object_stream[Ending](10)
        began = clock.monotonic()
        async with anyio.create_task_group() as group:
            group.start_soon(poll, scene.engine, to_writer)
            group.start_soon(write, scene.engine, endings)
            await until(lambda: clock.monotonic() > began + 5)
            jump(clock, -DAY)
            theirs.advance(2 * MINUTE)
            await until(lambda: clock.monotonic() > began + 600)
            scene.engine.signals.stop()
        assert await scene.states() == {State.COMPLETED: 2}


async def test_a_clock_that_is_right_leaves_due_times_alone(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock
) -> None:
    """Or every start would ask for everything, and every look would."""
    async with apart(tmp_path, clock, theirs, lasts=HOUR) as scene:
        await posted(scene)
        before = scene.sql("SELECT due_at, posted_at FROM tasks")
        wall = WallClock(scene.engine)
        for seconds in (1, 30, 3600):
            clock.advance(timedelta(seconds=seconds))
            await wall.look()
        jump(clock, timedelta(seconds=-20))
        await wall.look()
        await scene.store.redate(now=clock.now())
        assert scene.sql("SELECT due_at, posted_at FROM tasks") == before


# --- doubts and the settle time -------------------------------------------------------------------


async def doubted(scene: Scene, fault: Fault, *, dated: bool = True) -> None:
    """A post whose reply is lost. It is *dated* once the account was asked for, as every start
    does: the reply bears the API's time."""
    if dated:
        assert await check_account(scene.engine) is not None
    await scene.load(2)
    scene.strike(fault)
    await scene.poster.post_next()
    assert await scene.states() == {State.UNKNOWN: 2}


@pytest.mark.parametrize("by", JUMPS)
async def test_no_jump_of_ours_shortens_the_settle_time(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock, by: timedelta
) -> None:
    """Nothing of the settle time has passed because our wall clock says so: the request may still
    be under way, and a new attempt would be the second charge."""
    async with apart(tmp_path, clock, theirs, lasts=MINUTE) as scene:
        await doubted(scene, Fault.DROP_BEFORE)
        reconciler = Reconciler(scene.engine)
        for _ in range(10):
            jump(clock, by)
            for each in (clock, theirs):
                each.advance(MINUTE)
            await reconciler.look()
            assert await scene.states() == {State.UNKNOWN: 2}
        for _ in range(10):
            for each in (clock, theirs):
                each.advance(15 * MINUTE)
            await reconciler.look()
        assert await scene.states() == {State.PENDING: 2}


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("before", WALLS)
@pytest.mark.parametrize("after", WALLS)
async def test_what_the_api_took_is_found_however_wrong_our_dates_are(
    tmp_path: Path,
    clock: ManualClock,
    theirs: ManualClock,
    before: timedelta,
    after: timedelta,
    dated: bool,
) -> None:
    """The listing is asked for a window of time. A window that our clock has put in the wrong place
    shows nothing, and nothing is what an absent task looks like."""
    jump(clock, before)
    async with apart(tmp_path, clock, theirs, lasts=70 * HOUR) as scene:
        await doubted(scene, Fault.DROP_AFTER, dated=dated)
        jump(clock, after - before)
        reconciler = Reconciler(scene.engine)
        for _ in range(30):
            await reconciler.look()
            assert (await scene.states()).keys() <= {State.UNKNOWN, State.POSTED}
            for each in (clock, theirs):
                each.advance(HOUR)
        assert await scene.states() == {State.POSTED: 2}
        assert scene.remote_ids() == scene.created()


@pytest.mark.parametrize("by", WALLS)
async def test_no_older_task_vouches_for_a_listing_because_it_has_a_later_date(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock, by: timedelta
) -> None:
    """It was accepted while our clock was fast, and the clock was put right: the listing shows it,
    and ends before the doubtful one, which was taken too. That is the second charge."""
    async with apart(tmp_path, clock, theirs, lasts=10 * HOUR) as scene:
        assert await check_account(scene.engine) is not None
        jump(clock, by)
        await posted(scene, 1)
        jump(clock, -by)
        for each in (clock, theirs):
            each.advance(2 * MINUTE)
        shown_until = theirs.now() - MINUTE
        await scene.load(["in doubt?"])
        scene.strike(Fault.DROP_AFTER)
        await scene.poster.post_next()
        reconciler = Reconciler(scene.engine)
        for _ in range(25):
            lag_s = (theirs.now() - shown_until).total_seconds()
            scene.account.change(replace(scene.account.scenario, listing_lag_s=lag_s))
            await reconciler.look()
            assert await scene.states() == {State.POSTED: 1, State.UNKNOWN: 1}
            for each in (clock, theirs):
                each.advance(2 * MINUTE)


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("by", WALLS)
async def test_a_later_task_shortens_the_proof_whatever_our_clock_says(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock, by: timedelta, dated: bool
) -> None:
    """A wrong clock makes nobody wait for hours either, nor the first post of a start, which may
    leave before the API's time is known."""
    async with apart(tmp_path, clock, theirs, lasts=10 * HOUR) as scene:
        await doubted(scene, Fault.DROP_BEFORE, dated=dated)
        reconciler = Reconciler(scene.engine)
        await reconciler.look()
        jump(clock, by)
        for each in (clock, theirs):
            each.advance(2 * MINUTE)
        await scene.load(["later?"])
        await scene.poster.post_next()
        for _ in range(2):
            for each in (clock, theirs):
                each.advance(SETTLE)
            await reconciler.look()
        assert await scene.states() == {State.PENDING: 2, State.POSTED: 1}


# --- summer time ----------------------------------------------------------------------------------


@pytest.fixture(params=["UTC", "America/New_York", "Australia/Lord_Howe"])
def _zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """The machine's own zone; the last one moves its clocks by half an hour."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("_zone")
@pytest.mark.parametrize(
    "change",
    [
        datetime(2026, 11, 1, 6, 0, tzinfo=UTC),
        datetime(2027, 3, 14, 7, 0, tzinfo=UTC),
        datetime(2027, 4, 3, 15, 0, tzinfo=UTC),
    ],
)
async def test_the_hour_that_summer_time_takes_or_gives_is_not_noticed(
    tmp_path: Path, change: datetime
) -> None:
    """A local hour that comes twice, or never, must neither ask twice nor skip an ask."""
    clock = ManualClock(change - timedelta(minutes=30))
    async with apart(tmp_path, clock, clock, lasts=100 * MINUTE) as scene:
        await posted(scene, 1)
        start, asked = clock.now(), []
        while await scene.states() == {State.POSTED: 1}:
            clock.advance(MINUTE)
            if await scene.fetch_due():
                asked.append(round((clock.now() - start) / MINUTE))
        assert asked == [1, 3, 7, 15, 31, 63, 127]


# --- suspend --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wall", WALLS)
@pytest.mark.parametrize("pause", [timedelta(seconds=STALE_S + 0.1), HOUR, DAY])
async def test_an_intent_from_before_a_suspend_is_never_sent(
    tmp_path: Path, clock: ManualClock, theirs: ManualClock, pause: timedelta, wall: timedelta
) -> None:
    """Somebody may have taken us for dead meanwhile, whatever the wall clock says on waking."""
    async with apart(tmp_path, clock, theirs, lasts=HOUR) as scene:
        await scene.load(2)
        intent = await scene.poster.intend()
        assert intent is not None
        clock.advance(pause)
        jump(clock, wall - pause)
        assert not (await scene.poster.deliver(intent)).sent
        assert posts(scene) == 0
        assert await scene.states() == {State.PENDING: 2}
        assert (await scene.status()).money.reserved == 0


async def test_a_suspend_while_a_reply_is_under_way_loses_no_receipt(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The reply waited in the socket all night: it is still the record of what was paid."""

    def reply(tags: list[str]) -> bytes:
        clock.advance(DAY)
        return taken(tags)

    adversary = Adversary(on_post=reply)
    async with facing(adversary, tmp_path, clock) as scene:
        await posted(scene)
        assert await scene.poster.post_next() is None
        assert adversary.posts == 1


@pytest.mark.parametrize("wall", WALLS)
async def test_an_answer_that_outlives_its_lease_is_booked_once(
    tmp_path: Path, clock: ManualClock, wall: timedelta
) -> None:
    """After a suspend two fetchers may hold one task: one answer, one charge."""

    def reply(task_id: str, tag: str) -> bytes:
        clock.advance(DAY)
        jump(clock, wall)
        return written(answer(task_id, tag))

    async with facing(Adversary(on_get=reply), tmp_path, clock) as scene:
        await posted(scene, 1)
        clock.advance(2 * MINUTE)
        (first,) = await claim(scene.engine, 10)
        early = await fetch(scene.engine, first)
        clock.advance(2 * DAY)
        (second,) = await claim(scene.engine, 10)
        late = await fetch(scene.engine, second)
        await store_group(scene.engine, [early])
        charged = (await scene.status()).money.charged
        await store_group(scene.engine, [late])
        assert await scene.states() == {State.COMPLETED: 1}
        assert (await scene.status()).money.charged == charged > 0
        assert scene.sql("SELECT count(*) FROM results") == [(1,)]

"""The reconciler against a simulated account: nothing paid twice, no doubt left for ever."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.lifecycle import State
from runner.pipeline.engine import MOST_IN_DOUBT, SETTLE, Engine, Signals
from runner.pipeline.extras import fetch_extras
from runner.pipeline.reconciler import Reconciler, Watch, follow
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault
from runner.simulator.scenario import Scenario
from runner.simulator.server import serve
from runner.store.endings import Posted
from runner.store.reconciling import IncidentKind, Sighting
from runner.store.sqlite.extras import add_extra
from runner.task import RemoteId, Tag
from tests.pipeline.scene import AT_ONCE, DAY, HOUR, MINUTE, Scene, engine_at, lasting
from tests.support.clock import START, ManualClock

LOST = [Fault.DROP_AFTER, Fault.HTTP_500_AFTER, Fault.CUT_BODY, Fault.GARBAGE_BODY, Fault.HTML]
NEVER = [Fault.DROP_BEFORE, Fault.HTTP_500_BEFORE, Fault.HTTP_429, Fault.REDIRECT]


def change(scene: Scene, **settings: Any) -> None:
    scene.account.change(replace(scene.account.scenario, **settings))


async def lose(scene: Scene, fault: Fault, tasks: int = 3) -> Reconciler:
    """Post a batch whose reply is lost, and look for it once."""
    await scene.engine.api.user_data()
    await scene.load(tasks)
    scene.strike(fault)
    await scene.poster.post_next()
    reconciler = Reconciler(scene.engine)
    await reconciler.look()
    return reconciler


async def look_on(scene: Scene, reconciler: Reconciler, *, by: timedelta, times: int = 1) -> None:
    for _ in range(times):
        scene.clock.advance(by)
        await reconciler.look()


@pytest.mark.parametrize("look", [fetch_extras, follow])
async def test_what_is_found_during_a_look_for_extras_is_not_forgotten(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, look: Callable[[Engine], Awaitable[object]]
) -> None:
    """The run would end before what was paid twice has been asked for."""
    signals, due = scene.engine.signals, scene.store.extras_due

    async def found_meanwhile(*args: Any, **kwargs: Any) -> list[Posted]:
        found = await due(*args, **kwargs)
        signals.extras_told += 1
        return found

    signals.extras_told += 1
    monkeypatch.setattr(scene.store, "extras_due", found_meanwhile)
    await look(scene.engine)
    assert signals.extras_found
    monkeypatch.undo()
    await look(scene.engine)
    assert not signals.extras_found


@pytest.mark.parametrize("fault", LOST)
async def test_what_was_taken_is_adopted_at_the_first_look(scene: Scene, fault: Fault) -> None:
    """F47 to F53: its tag is in the listing, and with it the id, the advance and the answer."""
    change(scene, latency=lasting(HOUR))
    await lose(scene, fault)
    assert await scene.states() == {State.POSTED: 3}
    assert scene.remote_ids() == scene.created()
    money = (await scene.status()).money
    assert (money.at_risk, money.reserved > 0, money.advanced > 0) == (0, True, True)
    assert scene.engine.signals.in_doubt == set()
    scene.clock.advance(2 * HOUR)
    await scene.fetch_due()
    assert await scene.states() == {State.COMPLETED: 3}


async def test_what_the_listing_shows_is_never_taken_for_absent(scene: Scene) -> None:
    """Booked beside its attempt, as earlier versions did, it cannot be adopted; but it is paid."""
    change(scene, latency=lasting(HOUR), listing_lag_s=60.0)
    reconciler = await lose(scene, Fault.DROP_AFTER, 1)
    ((text, remote_id),) = scene.created().items()
    tag = Tag.parse(text)
    assert tag is not None
    with closing(sqlite3.connect(scene.path)) as db, db:
        sighting = Sighting(tag=text, remote_id=RemoteId(remote_id))
        add_extra(db, tag, sighting, account=scene.engine.account, now=scene.clock.now())
    await look_on(scene, reconciler, by=5 * SETTLE, times=3)
    assert await scene.states() == {State.UNKNOWN: 1}
    assert (await scene.status()).money.at_risk > 0
    await look_on(scene, reconciler, by=3 * DAY)
    assert await scene.states() == {State.QUARANTINED: 1}
    assert await scene.store.verify() == []


@pytest.mark.parametrize("fault", NEVER)
async def test_what_was_not_taken_is_posted_again_once_it_is_proven(
    scene: Scene, fault: Fault
) -> None:
    """Too early nothing is concluded; later it is asked under a new tag, and its money is free."""
    reconciler = await lose(scene, fault)
    await look_on(scene, reconciler, by=SETTLE)
    await look_on(scene, reconciler, by=MINUTE)
    assert await scene.states() == {State.UNKNOWN: 3}
    await look_on(scene, reconciler, by=4 * SETTLE)
    assert await scene.states() == {State.UNKNOWN: 3}
    await look_on(scene, reconciler, by=SETTLE)
    assert await scene.states() == {State.PENDING: 3}
    money = (await scene.status()).money
    assert (money.at_risk, money.reserved, money.charged) == (0, 0, 0)
    await scene.poster.post_next()
    assert await scene.states() == {State.POSTED: 3}
    assert len(scene.created()) == 3


async def test_tasks_accepted_later_shorten_the_proof(scene: Scene) -> None:
    """Where the listing shows what came after the doubt, it need not be waited for four times."""
    reconciler = await lose(scene, Fault.DROP_BEFORE)
    scene.clock.advance(MINUTE)
    await scene.load(["Another?"])
    await scene.poster.post_next()
    await look_on(scene, reconciler, by=SETTLE, times=2)
    assert (await scene.states())[State.PENDING] == 3


async def test_a_listing_that_lags_proves_nothing_until_it_has_caught_up(scene: Scene) -> None:
    """F64: it does not show the later task either: the doubtful ones may be there unseen."""
    change(scene, listing_lag_s=10 * HOUR.total_seconds(), latency=lasting(DAY))
    reconciler = await lose(scene, Fault.DROP_AFTER)
    scene.clock.advance(MINUTE)
    await scene.load(["Another?"])
    await scene.poster.post_next()
    await look_on(scene, reconciler, by=HOUR, times=8)
    assert await scene.states() == {State.UNKNOWN: 3, State.POSTED: 1}
    await look_on(scene, reconciler, by=3 * HOUR)
    assert await scene.states() == {State.POSTED: 4}
    assert len(scene.created()) == 4


async def test_without_tags_in_the_listing_nothing_counts_as_absent(scene: Scene) -> None:
    """The tasks are in it, and nothing says whose they are; the ready list does, when they end."""
    change(scene, listing_tags=False, latency=lasting(30 * DAY))
    reconciler = await lose(scene, Fault.DROP_AFTER)
    await look_on(scene, reconciler, by=12 * HOUR, times=5)
    assert await scene.states() == {State.UNKNOWN: 3}
    await look_on(scene, reconciler, by=13 * HOUR)
    assert await scene.states() == {State.POSTED: 3}
    assert len(scene.created()) == 3


async def test_a_quarantined_task_that_shows_up_after_all_is_adopted(scene: Scene) -> None:
    """The listing was mended: what it shows ends the quarantine without anybody's word."""
    change(scene, listing=False, latency=lasting(HOUR))
    reconciler = await lose(scene, Fault.DROP_AFTER)
    await look_on(scene, reconciler, by=80 * HOUR)
    assert await scene.states() == {State.QUARANTINED: 3}
    assert (await scene.status()).money.at_risk > 0
    assert await scene.store.doubts() == []
    tags = [tag for (tag,) in scene.sql("SELECT tag FROM attempts")]
    ids = scene.created()
    seen = [Sighting(tag=tag, remote_id=RemoteId(ids[tag])) for tag in tags]
    await scene.store.found(seen, now=scene.clock.now())
    assert await scene.states() == {State.POSTED: 3}
    assert (await scene.status()).money.at_risk == 0


async def test_no_listing_at_all_is_waited_out_and_stops_nothing(scene: Scene) -> None:
    """That the API has none is documented nowhere: it must not read as a wrong base URL."""
    change(scene, listing=False)
    reconciler = await lose(scene, Fault.DROP_BEFORE)
    await look_on(scene, reconciler, by=HOUR)
    assert not scene.engine.signals.stopping.is_set()
    assert await scene.states() == {State.UNKNOWN: 3}
    await look_on(scene, reconciler, by=72 * HOUR)
    assert await scene.states() == {State.QUARANTINED: 3}


async def test_the_ready_list_ends_a_doubt_where_there_is_no_listing(scene: Scene) -> None:
    """It shows tags, too, once the tasks are done."""
    change(scene, listing=False)
    await lose(scene, Fault.DROP_AFTER)
    assert await scene.states() == {State.POSTED: 3}


async def test_a_second_task_for_one_tag_is_an_incident_with_its_amount_and_told_once(
    scene: Scene,
) -> None:
    """Somebody on the way repeated the post: it was paid twice, and that must not stay unseen."""
    await scene.load(2)
    scene.strike(Fault.ACCEPTED_TWICE)
    await scene.poster.post_next()
    reconciler = await lose(scene, Fault.DROP_AFTER)
    await look_on(scene, reconciler, by=MINUTE)
    await scene.load(["One more?"])
    scene.strike(Fault.DROP_AFTER)
    await scene.poster.post_next()
    await reconciler.look()
    incidents = await scene.store.incidents()
    assert [each.kind for each in incidents] == [IncidentKind.DOUBLE_CHARGE] * 2
    assert all(each.amount > 0 and each.task is not None for each in incidents)
    assert not {each.remote_id for each in incidents} & set(scene.remote_ids().values())


async def test_a_restart_goes_on_with_the_wait_and_does_not_begin_it_anew(scene: Scene) -> None:
    """Cron starts it for a minute every hour: the hours in between count."""
    await lose(scene, Fault.DROP_BEFORE)
    for _ in range(3):
        scene.clock.advance(3 * SETTLE)
        await Reconciler(scene.engine).look()
    assert await scene.states() == {State.PENDING: 3}


async def test_three_batches_in_doubt_pause_posting_until_they_are_decided(scene: Scene) -> None:
    """The breaker: whatever loses the replies would lose the next ones as well."""
    change(scene, listing_lag_s=60.0, latency=lasting(HOUR))
    await scene.engine.api.user_data()
    await scene.load(400)
    scene.strike(Fault.DROP_AFTER, times=MOST_IN_DOUBT)
    for _ in range(MOST_IN_DOUBT):
        assert not scene.engine.signals.too_doubtful
        await scene.poster.post_next()
    assert scene.engine.signals.too_doubtful
    reconciler = Reconciler(scene.engine)
    await reconciler.look()
    assert scene.engine.signals.too_doubtful
    await look_on(scene, reconciler, by=2 * MINUTE)
    assert not scene.engine.signals.too_doubtful


@pytest.mark.parametrize("ahead", [DAY, -DAY])
async def test_a_clock_that_is_a_day_off_hides_nothing_from_the_listing(
    tmp_path: Path, clock: ManualClock, ahead: timedelta
) -> None:
    """The window is one of the API's time; by ours it would be empty, and that taken for proof."""
    theirs = ManualClock(clock.now() + ahead)
    account = Account(Scenario(latency=AT_ONCE, calls_per_minute=100_000), clock=theirs)
    account.deposit(account.scenario.balance)
    async with (
        serve(account) as server,
        engine_at(server.url, tmp_path / "runner.db", clock, account) as scene,
    ):
        change(scene, latency=lasting(HOUR))
        await scene.engine.api.user_data()
        await scene.load(3)
        scene.strike(Fault.DROP_AFTER)
        await scene.poster.post_next()
        clock.set_wall(clock.now() + ahead)
        await Reconciler(scene.engine).look()
        assert await scene.states() == {State.POSTED: 3}


async def test_a_jump_of_our_clock_skips_no_wait(tmp_path: Path, clock: ManualClock) -> None:
    """Only the API's time and monotonic time count: a day forward by ours is nothing."""
    theirs = ManualClock(clock.now())
    account = Account(Scenario(latency=AT_ONCE, calls_per_minute=100_000), clock=theirs)
    account.deposit(account.scenario.balance)
    async with (
        serve(account) as server,
        engine_at(server.url, tmp_path / "runner.db", clock, account) as scene,
    ):
        reconciler = await lose(scene, Fault.DROP_BEFORE)
        for _ in range(4):
            clock.set_wall(clock.now() + DAY)
            await reconciler.look()
        assert await scene.states() == {State.UNKNOWN: 3}


@given(
    st.lists(
        st.tuples(
            st.floats(min_value=0, max_value=5_000),
            st.sampled_from(["reply", "slow reply", "silence", "restart"]),
        ),
        max_size=40,
    ),
    st.floats(min_value=0, max_value=1),
)
def test_no_more_time_is_counted_than_has_passed(
    steps: list[tuple[float, str]], fraction: float
) -> None:
    """A wait that is counted too long is a request taken for absent while it is on its way."""
    signals, boot, true_s = Signals(), 50.0, 0.0
    watch = Watch(60.0, boot, None, None, None)
    for passed_s, what in steps:
        asked_s, true_s = true_s, true_s + passed_s
        if what == "restart":
            # Another process: its monotonic clock begins anywhere, its replies are yet to come.
            signals, boot = Signals(), boot - 7 * true_s
            kept = (watch.began_api, watch.seen_api, watch.clean_api)
            watch = Watch(60.0, boot + true_s, *kept)
        elif what != "silence":
            # The server may have written its Date at any moment of the call.
            written_s = true_s if what == "reply" else asked_s
            date = (START + timedelta(seconds=fraction + written_s)).replace(microsecond=0)
            signals.see_time(date, asked_at=boot + asked_s, took_s=true_s - asked_s)
        watch.see(signals)
        assert watch.waited_s(boot + true_s) <= true_s + 1e-6


async def test_long_listings_are_read_until_two_passes_agree(scene: Scene) -> None:
    """Pages shift while tasks end: one pass may miss a row, and that row may be ours."""
    change(scene, latency=lasting(HOUR))
    await scene.load(1_150)
    for _ in range(11):
        await scene.poster.post_next()
    scene.strike(Fault.DROP_AFTER)
    await scene.poster.post_next()
    await Reconciler(scene.engine).look()
    assert await scene.states() == {State.POSTED: 1_150}
    assert scene.account.calls.counts[CallKind.ID_LIST] == 4

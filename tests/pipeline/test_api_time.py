"""What is believed of the ``Date`` of replies: a wait that a wrong one makes look over is money."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.lifecycle import State
from runner.pipeline.account import check_account
from runner.pipeline.api_time import DRIFT, SLACK, WITNESSED_S, ApiTime, Heard
from runner.pipeline.reconciler import Reconciler
from runner.simulator.faults import Fault
from tests.pipeline.scene import DAY, MINUTE, staged
from tests.support.clock import ManualClock

START = datetime(2026, 11, 21, 2, 15, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def at(true_s: float, *, off: timedelta = timedelta(0), took_s: float = 0.2) -> Heard:
    """A reply that came at *true_s* whose date is *off* by so much."""
    date = (START + timedelta(seconds=true_s) + off).replace(microsecond=0)
    return Heard(date, true_s - took_s, true_s)


def believing(true_s: float = 0.0) -> ApiTime:
    """It knows the time, by one reply and our wall clock."""
    time = ApiTime()
    time.see(at(true_s), wall=START + timedelta(seconds=true_s))
    assert time.newest is not None
    return time


@pytest.mark.parametrize("off", [MINUTE, DAY, 30 * DAY, -DAY])
def test_one_reply_with_a_wrong_date_changes_nothing(off: timedelta) -> None:
    """A proxy's clock, or a cached reply: the settle time is not over because of it."""
    time = believing()
    time.see(at(100, off=off))
    assert time.newest == at(0)
    time.see(at(200))
    assert time.newest == at(200)


@pytest.mark.parametrize("off", [DAY, -DAY])
def test_what_many_replies_agree_on_is_believed_in_the_end(off: timedelta) -> None:
    """Our monotonic time stood still while a machine was frozen; or the first was the wrong one."""
    time = believing()
    for step in range(3):
        time.see(at(100 + step * WITNESSED_S, off=off))
    assert time.newest == at(100 + 2 * WITNESSED_S, off=off)


def test_the_quicker_time_of_a_simulated_api_is_followed() -> None:
    """Else a rehearsal at an hour a second would count its windows for days."""
    time = believing()
    for true_s in range(1, 40):
        time.see(at(true_s, off=true_s * timedelta(hours=1)))
    assert time.newest is not None
    assert time.newest.date >= START + timedelta(hours=36)


def test_a_date_that_stands_still_is_no_time() -> None:
    """A cache gives the same one for ever."""
    time = believing()
    time.see(at(4_000))
    for true_s in range(4_000, 8_000, 100):
        time.see(Heard(START + MINUTE, true_s - 0.2, true_s))
    assert time.newest == at(4_000)


def test_many_at_once_are_one_witness() -> None:
    """Three tries of one call meet the same proxy."""
    time = believing()
    for step in range(20):
        time.see(at(100 + step / 20, off=DAY))
    assert time.newest == at(0)


def test_witnesses_that_an_honest_reply_interrupts_do_not_add_up() -> None:
    """One bad machine of many behind a balancer must not win by patience."""
    time = believing()
    for step in range(50):
        time.see(at(100 + step * WITNESSED_S, off=DAY))
        time.see(at(101 + step * WITNESSED_S))
    assert time.newest == at(101 + 49 * WITNESSED_S)


def test_the_first_date_needs_our_clock_or_another_reply_to_agree() -> None:
    """After a start nothing is known: a wrong first date would end every wait that is stored."""
    time = ApiTime()
    time.see(at(0, off=DAY), wall=START)
    assert time.newest is None
    assert time.at(5) is None
    time.see(at(1), wall=START + SECOND)
    assert time.newest == at(1)


def test_where_our_clock_is_wrong_two_replies_are_enough() -> None:
    """A machine without a battery starts in 1970: it must not do without the API's time."""
    time = ApiTime()
    for true_s in (0, 1):
        time.see(at(true_s), wall=datetime(1970, 1, 1, tzinfo=UTC))
    assert time.newest == at(1)


@given(
    st.lists(
        st.tuples(
            st.floats(min_value=0, max_value=3_000),
            st.floats(min_value=0, max_value=60),
            st.sampled_from([0, 0, 0, 1, -1, 25, 40, 600, 86_400, 2_592_000, -86_400]),
        ),
        max_size=40,
    )
)
def test_wrong_dates_that_disagree_never_put_it_ahead_of_the_truth(
    replies: list[tuple[float, float, int]],
) -> None:
    """Whatever comes between honest replies: no more than the slack, and that does not add up."""
    time, true_s = believing(), 0.0
    for passed_s, took_s, off_s in replies:
        true_s += passed_s + took_s
        time.see(at(true_s, took_s=took_s, off=timedelta(seconds=off_s)))
        time.see(at(true_s))
        now = time.at(true_s)
        assert now is not None
        ahead = now - (START + timedelta(seconds=true_s))
        assert ahead <= SLACK + timedelta(seconds=61 + true_s * DRIFT)


@given(st.floats(min_value=0, max_value=1e7), st.floats(min_value=0, max_value=1e7))
def test_between_replies_it_goes_on_and_is_never_too_late(seen_s: float, later_s: float) -> None:
    """An intent after a silent night is dated by it, and a listing must not begin after that."""
    time = believing(seen_s)
    now = time.at(seen_s + later_s)
    assert now is not None
    assert now <= START + timedelta(seconds=seen_s + later_s) + timedelta(microseconds=10)
    assert now >= START + timedelta(seconds=seen_s + later_s * 0.99) - SECOND


@pytest.mark.parametrize("restarted", [False, True])
async def test_no_reply_from_the_future_ends_the_settle_time(
    tmp_path: Path, clock: ManualClock, restarted: bool
) -> None:
    """F76: one wrong date would prove a request absent that is on its way: the second charge."""
    async with staged(tmp_path, clock) as scene:
        assert await check_account(scene.engine) is not None
        await scene.load(2)
        scene.strike(Fault.DROP_BEFORE)
        await scene.poster.post_next()
        reconciler = Reconciler(scene.engine)
        await reconciler.look()
        signals = scene.engine.signals
        if restarted:
            signals.api_clock, signals.api_time = ApiTime(), None
            reconciler = Reconciler(scene.engine)
        for _ in range(4):
            clock.advance(MINUTE)
            now_s = clock.monotonic()
            signals.see_time(clock.now() + DAY, asked_at=now_s, wall=clock.now())
            await reconciler.look()
        assert await scene.states() == {State.UNKNOWN: 2}
        for _ in range(90):
            clock.advance(MINUTE)
            await reconciler.look()
        assert await scene.states() == {State.PENDING: 2}

"""The limit is used and never broken, as counted by a server that sees calls arrive.

    process ── Bucket ──▶ call leaves ── 0 to 1 s ──▶ Server: how many in any 60 s?
       └── killed and started anew at any moment; the server forgets nothing

Here is what is pure; the line of callers in front of it has its tests in ``test_pacer.py``.
"""

import random
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.pacing import LIMITS_PER_KIND, AccountRate, Bucket, Kind, next_slot, set_back_ms
from tests.support.server_minute import MINUTE, SECOND, Server, leave

Jitter = Callable[[random.Random, int], int]

JITTERS: dict[str, Jitter] = {
    "even": lambda rng, _: rng.randint(0, SECOND),
    "either end": lambda rng, _: rng.choice((0, SECOND)),
    # The worst that can happen: all calls up to a moment are late, all after it are not.
    "bunching": lambda _, us: SECOND if us // (50 * SECOND) % 2 == 0 else 0,
}

LIMITS = st.one_of(
    st.integers(1, 30), st.sampled_from([74, 75, 299, 300, 600, 2_000]), st.integers(1, 10_000)
)
PHASES = st.lists(
    st.tuples(st.sampled_from(["work", "stutter", "idle", "restart"]), st.integers(0, 40 * SECOND)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150)
@given(limit=LIMITS, phases=PHASES, jitter=st.sampled_from(sorted(JITTERS)), seed=st.integers())
def test_no_sliding_minute_at_the_server_exceeds_any_limit(
    limit: int, phases: list[tuple[str, int]], jitter: str, seed: int
) -> None:
    """The promise of DESIGN.md §8: not after a rest, not after a restart, whatever the network."""
    rng, now_us = random.Random(seed), 0
    bucket, server = Bucket(limit, now_us), Server()
    for phase, length_us in phases:
        end_us = now_us + length_us
        if phase == "restart":
            bucket = Bucket(limit, now_us)
        if phase != "idle":
            stall_us = 3 * SECOND if phase == "stutter" else 0
            late_us = partial(rng.randint, 0, stall_us)
            for left_us in leave(bucket, now_us, end_us, late_us):
                server.receive(left_us + JITTERS[jitter](rng, left_us))
        now_us = end_us
    assert server.most() <= limit


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 10, 20, 75, 300, 600, 2_000])
def test_a_full_bucket_and_a_network_that_speeds_up_still_keep_the_limit(limit: int) -> None:
    """The one minute in which everything that could add up does."""
    rested = 100 * SECOND
    bucket, server = Bucket(limit, 0), Server()
    for left_us in leave(bucket, rested, rested + 70 * SECOND, lambda: 0):
        server.receive(left_us + (SECOND if left_us == rested else 0))
    assert server.most() <= limit
    assert server.most() >= 0.98 * limit


def test_restarting_every_few_seconds_never_adds_a_call() -> None:
    """A supervisor that restarts a crashing process must not turn into a flood."""
    server, now_us, rng = Server(), 0, random.Random(1)
    while now_us < 200 * SECOND:
        end_us = now_us + rng.randint(0, 5 * SECOND)
        for left_us in leave(Bucket(600, now_us), now_us, end_us, lambda: 0):
            server.receive(left_us + rng.randint(0, SECOND))
        now_us = end_us
    assert server.most() <= 600


def test_a_bucket_is_empty_at_start_and_holds_five_calls_at_most() -> None:
    """What the server still remembers of an earlier process is not handed out again."""
    bucket = Bucket(2_000, 0)
    assert bucket.reserve(0) > 0
    hour_us = 3_600 * SECOND
    assert [bucket.reserve(hour_us) for _ in range(5)] == [0] * 5
    assert bucket.reserve(hour_us) > 0


def test_a_reservation_that_has_to_wait_takes_nothing() -> None:
    """Asking again and again must not push the next call further away."""
    bucket = Bucket(60, 0)
    wait_us = bucket.reserve(0)
    assert [bucket.reserve(0) for _ in range(10)] == [wait_us] * 10
    assert bucket.reserve(wait_us - 1) == 1
    assert bucket.reserve(wait_us) == 0


def test_time_that_stands_still_or_steps_back_brings_no_calls() -> None:
    """Monotonic time should not do this; if it does, the limit must hold all the same."""
    bucket = Bucket(60, 10 * SECOND)
    wait_us = bucket.wait_us(10 * SECOND)
    assert bucket.wait_us(0) == wait_us
    assert bucket.wait_us(10 * SECOND) == wait_us


@pytest.mark.parametrize("limit", [1, 2, 6, 10, 20, 74, 75, 150, 300, 599, 600, 2_000, 10_000])
def test_at_least_97_percent_of_any_limit_are_used(limit: int) -> None:
    """An idle budget is throughput given away: polling is bound by it (PERFORMANCE.md §7)."""
    # Small limits need longer, or the empty start would count as a large part of them.
    minutes = 10 if limit >= 300 else 200
    left = leave(Bucket(limit, 0), 0, minutes * MINUTE, lambda: 0)
    assert 0.97 * limit * minutes <= len(left) <= limit * minutes


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_an_error(limit: int) -> None:
    """A pacer that never lets anything out would look like a hang."""
    with pytest.raises(ValueError, match="allows none"):
        Bucket(limit, 0)
    with pytest.raises(ValueError, match="allows none"):
        next_slot([], 0, limit)


@settings(max_examples=40)
@given(
    before=st.integers(1, 2_000),
    after=st.integers(1, 2_000),
    worked_us=st.integers(0, 90 * SECOND),
    rng=st.randoms(),
)
def test_a_lowered_limit_holds_for_the_calls_already_gone(
    before: int, after: int, worked_us: int, rng: random.Random
) -> None:
    """A setting of 2,000 on an account of 600: the first reply says so, after dozens of calls."""
    bucket = Bucket(before, 0)
    gone = leave(bucket, 0, worked_us, lambda: 0)
    recent = [(us, 1) for us in gone if us >= worked_us - 61 * SECOND]
    bucket.set_limit(after, worked_us, recent)
    server = Server()
    later = leave(bucket, worked_us, worked_us + 130 * SECOND, lambda: 0)
    for left_us in gone + later:
        server.receive(left_us + rng.randint(0, 1) * SECOND)
    # Minutes that end before the news may hold more, and nobody can help that.
    assert all(server.held(us + SECOND) <= after for us in later)
    assert later[0] <= worked_us + 61 * SECOND + 61 * SECOND // after + SECOND


def test_a_lowered_limit_never_fills_a_bucket_that_is_still_empty() -> None:
    """A process a moment old knows of no calls, which does not mean that there were none."""
    bucket = Bucket(600, 0)
    bucket.set_limit(599, 0, [])
    assert bucket.wait_us(0) > 0


@pytest.mark.parametrize("after", [1, 6, 600, 1_999])
def test_a_lowered_limit_is_waited_out_for_a_minute_and_not_for_hours(after: int) -> None:
    """After 61 s the server has forgotten whatever left too fast."""
    worked_us = 90 * SECOND
    bucket = Bucket(2_000, 0)
    recent = [(us, 1) for us in leave(bucket, 0, worked_us, lambda: 0) if us >= 29 * SECOND]
    bucket.set_limit(after, worked_us, recent)
    assert bucket.wait_us(worked_us) <= 61 * SECOND + Bucket(after, 0).wait_us(0)


def test_a_raised_limit_gives_nothing_for_the_time_before_it() -> None:
    """Half a call waited for slowly is half a call, not five."""
    bucket = Bucket(60, 0)
    half_us = bucket.wait_us(0) // 2
    bucket.set_limit(600, half_us)
    full_us = Bucket(600, 0).wait_us(0)
    assert full_us // 2 <= bucket.wait_us(half_us) <= full_us // 2 + 1


# --- what the replies teach ---------------------------------------------------------------------


def test_the_account_rate_is_the_lower_of_setting_and_stated_limit() -> None:
    """Never above the setting, whatever a header says; 0 states nothing."""
    rate = AccountRate(2_000, 0)
    for stated, expected in ((10_000, 2_000), (600, 600), (0, 600), (-5, 600), (1_500, 1_500)):
        rate.state(stated)
        assert rate.ceiling == expected
        assert rate.per_minute(0) == expected


def test_a_refused_rate_halves_and_comes_back_by_a_tenth_a_minute() -> None:
    """40202 once must neither be ignored nor cost the rest of the night."""
    rate = AccountRate(600, 0)
    rate.slow_down(0)
    assert [rate.per_minute(minute * MINUTE) for minute in range(7)] == [
        300,
        360,
        420,
        480,
        540,
        600,
        600,
    ]


@given(st.integers(1, 10_000), st.lists(st.integers(0, 5 * MINUTE), max_size=40))
def test_the_rate_never_falls_below_one_call_in_ten_seconds(
    setting: int, refusals: list[int]
) -> None:
    """An account that is refused all night still notices when the refusals stop."""
    rate = AccountRate(setting, 0)
    for us in sorted(refusals):
        rate.slow_down(us)
        assert min(setting, 6) <= rate.per_minute(us) <= setting
    assert rate.per_minute(15 * MINUTE) == setting


def test_foreign_use_lowers_the_rate_and_is_forgotten_slowly() -> None:
    """F69: another program on the account must find room, and leave it behind when it goes."""
    rate = AccountRate(2_000, 0)
    rate.state(2_000)
    for _ in range(12):
        rate.see_foreign(500, 0)
    assert rate.per_minute(0) == 1_500
    rate.see_foreign(0, 0)
    assert rate.per_minute(0) == 1_500
    assert rate.per_minute(MINUTE) == 1_700
    assert rate.per_minute(5 * MINUTE) == 2_000


def test_foreign_use_of_room_that_we_would_not_use_costs_nothing() -> None:
    """With 2,000 set on an account of 10,000, others may take 8,000 before we yield."""
    rate = AccountRate(2_000, 0)
    rate.state(10_000)
    for _ in range(20):
        rate.see_foreign(8_000, 0)
    assert rate.per_minute(0) == 2_000
    for _ in range(20):
        rate.see_foreign(9_000, 0)
    assert rate.per_minute(0) == 1_000


def test_one_odd_reply_moves_the_rate_by_half_at_most() -> None:
    """A single wrong header must not stop the work."""
    rate = AccountRate(600, 0)
    rate.state(600)
    rate.see_foreign(600, 0)
    assert rate.per_minute(0) == 300


# --- kinds with a small limit -------------------------------------------------------------------


@given(st.integers(1, 30), st.lists(st.integers(0, 20_000), max_size=120), st.randoms())
def test_no_sliding_minute_holds_more_calls_of_a_kind_than_its_limit(
    limit: int, gaps_ms: list[int], rng: random.Random
) -> None:
    """The ready list, the id list and user_data have small limits; the log outlives processes."""
    times: list[int] = []
    server, now_ms = Server(), 1_800_000_000_000
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        now_ms += next_slot(times, now_ms, limit)
        assert next_slot(times, now_ms, limit) == 0
        times.append(now_ms)
        server.receive(now_ms * 1_000 + rng.choice((0, SECOND)))
    assert server.most() <= max(1, limit - 1)


def test_a_kind_waits_exactly_until_its_oldest_call_is_forgotten() -> None:
    """Waiting longer would cost listings, and reconciling waits for them."""
    assert next_slot([0, 1_000], 30_000, limit=4) == 0
    assert next_slot([2_000, 0, 1_000], 30_000, limit=4) == 61_001 - 30_000
    assert next_slot([2_000, 0, 1_000], 61_001, limit=4) == 0


@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=40), st.integers(0, 90_000_000))
def test_a_clock_that_was_set_back_blocks_for_a_minute_and_lifts_no_limit(
    ages_ms: list[int], back_ms: int
) -> None:
    """A log is kept in wall time, and an operator may correct the clock by a day: then nobody knows
    how long ago its calls were."""
    now_ms = 1_800_000_000_000
    times = [now_ms + back_ms - age_ms for age_ms in ages_ms]
    moved = set_back_ms(times, now_ms)
    wait_ms = next_slot([at - moved for at in times], now_ms, limit=20)
    assert wait_ms <= 61_001 + 5_000
    assert wait_ms >= next_slot(times, now_ms + back_ms, limit=20)


def test_a_small_step_back_is_waited_out() -> None:
    """Of two processes the one that looked at the clock first may be the last to note its call."""
    assert set_back_ms([], 0) == 0
    assert set_back_ms([5_000, 1_000], 0) == 0
    assert next_slot([5_000] * 20, 0, limit=20) == 66_001
    assert set_back_ms([5_001, 1_000], 0) == 5_001


def test_the_small_limits_are_those_of_the_api() -> None:
    """API.md §3; one call of each stays unused as a margin."""
    assert LIMITS_PER_KIND == {Kind.TASKS_READY: 20, Kind.ID_LIST: 10, Kind.USER_DATA: 6}

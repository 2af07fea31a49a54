"""Every task is asked for in time, whatever the list of ready tasks says."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.backoff import poll_interval
from runner.windows import (
    ALARM,
    CHECKPOINTS,
    COMPLETION_WINDOW,
    LAST_ASK_AHEAD,
    RESULT_WINDOW,
    WARN,
    Level,
    collection_age_level,
    may_be_timeout,
    near_window_end,
    next_poll,
    result_lost,
)

POSTED = datetime(2026, 11, 21, 2, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)

AGES = st.timedeltas(-DAY, timedelta(days=40))
INTERVALS = st.timedeltas(TICK, timedelta(hours=6))


def poll_at(age: timedelta, interval: timedelta, *, trusted: bool) -> timedelta:
    """The age at which a task of *age* is asked next."""
    return (
        next_poll(posted_at=POSTED, now=POSTED + age, interval=interval, list_trusted=trusted)
        - POSTED
    )


@given(AGES, INTERVALS, st.booleans())
def test_the_next_poll_is_never_now_or_in_the_past(
    age: timedelta, interval: timedelta, trusted: bool
) -> None:
    """A due time that does not advance is a loop that spends the whole call budget."""
    assert poll_at(age, interval, trusted=trusted) > age


@given(AGES, INTERVALS, st.booleans())
def test_no_poll_skips_the_end_of_the_window(
    age: timedelta, interval: timedelta, trusted: bool
) -> None:
    """An answer that is paid for and still there is asked for once more before it goes."""
    polled = poll_at(age, interval, trusted=trusted)
    if age < RESULT_WINDOW - LAST_ASK_AHEAD:
        assert polled <= RESULT_WINDOW - LAST_ASK_AHEAD
    elif age < RESULT_WINDOW:
        assert polled <= RESULT_WINDOW


@given(AGES, AGES, INTERVALS, st.booleans())
def test_who_asks_later_is_told_no_earlier_time(
    one: timedelta, other: timedelta, interval: timedelta, trusted: bool
) -> None:
    """The schedule only ever moves forward."""
    earlier, later = sorted((one, other))
    assert poll_at(earlier, interval, trusted=trusted) <= poll_at(later, interval, trusted=trusted)


def test_a_task_is_asked_at_growing_intervals_until_its_answer_goes() -> None:
    """The real trigger is age: nothing depends on the ready list (DESIGN.md §4 Fetching)."""
    age = timedelta(0)
    ages: list[timedelta] = []
    while not result_lost(POSTED, POSTED + age):
        age = poll_at(age, poll_interval(len(ages)), trusted=False)
        ages.append(age)
    minutes = [asked / timedelta(minutes=1) for asked in ages[:5]]
    assert minutes == [1, 3, 7, 15, 31]
    assert max(b - a for a, b in pairwise(ages)) <= 6 * HOUR
    assert ages[-2:] == [RESULT_WINDOW - LAST_ASK_AHEAD, RESULT_WINDOW]
    assert len(ages) < 140


def test_a_trusted_list_leaves_four_asks_in_72_hours_then_one_in_six() -> None:
    """A hundred thousand tasks asked in vain every few minutes would take the calls of results."""
    age, hours = timedelta(0), []
    while age < timedelta(hours=90):
        age = poll_at(age, timedelta(minutes=1), trusted=True)
        hours.append(age / HOUR)
    assert hours == [6, 24, 48, 72, 78, 84, 90]
    assert hours[:4] == [checkpoint / HOUR for checkpoint in CHECKPOINTS]


def test_a_task_is_still_asked_after_its_window() -> None:
    """Expired only after one last ask by id, and that ask may fail and come again."""
    assert poll_at(31 * DAY, HOUR, trusted=False) == 31 * DAY + HOUR
    assert poll_at(31 * DAY, HOUR, trusted=True) == 31 * DAY + 6 * HOUR


@pytest.mark.parametrize(
    ("age", "level"),
    [
        (timedelta(0), Level.OK),
        (WARN - TICK, Level.OK),
        (WARN, Level.WARN),
        (ALARM - TICK, Level.WARN),
        (ALARM, Level.ALARM),
        (RESULT_WINDOW - TICK, Level.ALARM),
        (RESULT_WINDOW, Level.CLOSED),
        (31 * DAY, Level.CLOSED),
    ],
)
def test_an_uncollected_result_is_warned_of_before_it_is_lost(age: timedelta, level: Level) -> None:
    """Ten days to act, then three that are loud; the boundaries belong to the graver level."""
    assert collection_age_level(POSTED, POSTED + age) is level


@given(AGES, AGES)
def test_levels_only_ever_rise_with_age(one: timedelta, other: timedelta) -> None:
    """A status that calms down by itself would hide a loss."""
    earlier, later = (POSTED + age for age in sorted((one, other)))
    assert collection_age_level(POSTED, earlier) <= collection_age_level(POSTED, later)
    assert may_be_timeout(POSTED, earlier) <= may_be_timeout(POSTED, later)
    assert near_window_end(POSTED, earlier) <= near_window_end(POSTED, later)


@given(AGES)
def test_a_result_is_lost_exactly_when_its_level_is_closed(age: timedelta) -> None:
    """The status line and the poller must not tell different stories."""
    now = POSTED + age
    assert result_lost(POSTED, now) == (collection_age_level(POSTED, now) is Level.CLOSED)
    assert result_lost(POSTED, now) == (age >= RESULT_WINDOW)


@pytest.mark.parametrize(
    ("age", "timed_out"),
    [
        (timedelta(hours=2), False),
        (timedelta(hours=71, minutes=54, seconds=59), False),
        (timedelta(hours=71, minutes=55), True),
        (timedelta(hours=72), True),
        (timedelta(days=5), True),
    ],
)
def test_a_failure_at_72_hours_may_be_a_timeout_though_our_clock_is_a_little_behind(
    age: timedelta, timed_out: bool
) -> None:
    """Our count begins with the receipt, later than the API's."""
    assert may_be_timeout(POSTED, POSTED + age) is timed_out


def test_a_result_near_its_end_goes_before_other_calls_for_three_days() -> None:
    """At 20 calls a minute three days collect 86,400 of them."""
    assert not near_window_end(POSTED, POSTED + 27 * DAY - TICK)
    assert near_window_end(POSTED, POSTED + 27 * DAY)
    assert near_window_end(POSTED, POSTED + 31 * DAY)


def test_the_windows_are_those_of_the_api() -> None:
    """API.md §3; a wrong one loses paid answers without an error."""
    assert timedelta(hours=72) == COMPLETION_WINDOW
    assert timedelta(days=30) == RESULT_WINDOW

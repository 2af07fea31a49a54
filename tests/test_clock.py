"""Time is UTC, stored in whole milliseconds, and read from one place."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.clock import Clock, SystemClock, from_ms, to_ms, to_text

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.timedeltas(timedelta(0), timedelta(days=2_500_000)).map(lambda age: EPOCH + age)
ZONES = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
    lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
)


@given(MOMENTS)
def test_a_moment_survives_storing_to_the_millisecond(moment: datetime) -> None:
    """A float of seconds would be off by one somewhere, and a lease end early."""
    stored = from_ms(to_ms(moment))
    assert timedelta(0) <= moment - stored < timedelta(milliseconds=1)
    assert to_ms(stored) == to_ms(moment)
    assert stored.tzinfo is UTC


@given(MOMENTS, MOMENTS)
def test_storing_keeps_the_order(one: datetime, two: datetime) -> None:
    """What is due first is asked first."""
    assert (to_ms(one) <= to_ms(two)) or one > two


@given(MOMENTS, ZONES)
def test_another_zone_is_the_same_moment(moment: datetime, zone: timezone) -> None:
    """A wall clock in Kathmandu changes nothing."""
    elsewhere = moment.astimezone(zone)
    assert to_ms(elsewhere) == to_ms(moment)
    assert to_text(elsewhere) == to_text(moment)


def test_a_moment_is_written_as_rfc_3339_in_utc() -> None:
    """Logs, exports and `--json` are sorted as text."""
    moment = datetime(2026, 11, 21, 4, 15, 1, 999_999, timezone(timedelta(hours=2)))
    assert to_text(moment) == "2026-11-21T02:15:01Z"


def test_a_moment_without_a_zone_is_an_error() -> None:
    """Local time that slips in would shift windows by hours in summer."""
    with pytest.raises(TypeError):
        to_ms(EPOCH.replace(tzinfo=None))


async def test_the_machines_clock_is_utc_and_only_grows() -> None:
    """Deadlines are measured by the monotonic clock, windows by the wall."""
    clock: Clock = SystemClock()
    before, began = clock.monotonic(), clock.now()
    await clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.009
    assert clock.now().tzinfo is UTC
    assert abs((clock.now() - datetime.now(UTC)).total_seconds()) < 60
    assert clock.now() >= began


def test_time_spent_suspended_is_counted_where_the_system_can() -> None:
    """A laptop that slept between an intent and its send must notice (F11)."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        assert abs(SystemClock().monotonic() - time.monotonic()) < 60
    else:
        assert abs(SystemClock().monotonic() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60

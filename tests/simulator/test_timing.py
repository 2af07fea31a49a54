"""Simulated time: faster than real, moved by hand, with limits that stay real."""

from datetime import timedelta

from runner.simulator.timing import ScaledClock
from tests.simulator.helpers import START, ManualClock


def test_time_runs_as_many_times_faster_as_told() -> None:
    """Hours of waiting pass in minutes."""
    base = ManualClock()
    clock = ScaledClock(60, base=base)
    base.advance(timedelta(seconds=10))
    assert clock.now() == START + timedelta(minutes=10)


def test_the_callers_minutes_stay_real() -> None:
    """Calls per minute are counted in the caller's time: it does not hurry."""
    base = ManualClock()
    clock = ScaledClock(60, base=base)
    base.advance(timedelta(seconds=10))
    assert clock.monotonic() == 10


def test_time_can_be_moved_forward() -> None:
    """Thirty days in one step."""
    clock = ScaledClock(base=ManualClock())
    clock.advance(timedelta(days=30))
    assert clock.now() == START + timedelta(days=30)


async def test_sleeping_is_in_simulated_seconds() -> None:
    """Consistent with now()."""
    base = ManualClock()
    clock = ScaledClock(60, base=base)
    await clock.sleep(60)
    assert clock.now() == START + timedelta(seconds=60)


def test_time_can_start_later_than_now() -> None:
    """An account that was ahead stays ahead."""
    later = START + timedelta(days=1)
    assert ScaledClock(base=ManualClock(), start=later).now() == later

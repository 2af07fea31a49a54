"""The waits that we choose ourselves, as opposed to the windows that the API sets.

    not taken    1 s   2 s   4 s ............ 5 min   bounds; the wait is drawn from 0 to there
    asked by id  1 min 2 min 4 min ............ 6 h   exact; the pacer spreads the calls
    said to have failed, with a code that may pass .. asked 1 min, 2 min ... 1 h, for 12 h

They are durable: the store keeps the count and the moment when the task is due again, so a wait
goes on across starts. Sources: DESIGN.md §4; DEPENDENCIES.md §3.6; API.md §8 (answers came after
seconds and after two hours, and may take 72).
"""

import math
from datetime import timedelta
from random import Random
from typing import Final

NOT_TAKEN_BASE_S: Final = 1.0
NOT_TAKEN_CAP_S: Final = 300.0

FIRST_POLL: Final = timedelta(minutes=1)
LONGEST_POLL: Final = timedelta(hours=6)

BELIEVED_AFTER: Final = timedelta(hours=12)
"""So long the API must say that a task has failed, with a code that may pass, to be believed.

Longer than its outages, as a rule: to believe one of them pays for every task anew that was asked
for meanwhile. To doubt a true failure costs patience, and a task may take 72 hours as it is.
"""

FEWEST_SAID: Final = 4
"""So often it must have said so: twice may be the same upkeep of two nights."""

_LONGEST_DOUBT: Final = timedelta(hours=1)


def full_jitter(attempt: int, *, base_s: float, cap_s: float, random: Random) -> float:
    """Seconds to wait after failure number *attempt* (from 1), drawn evenly from 0 to a bound.

    The bound is *base_s* for the first failure, doubles with each and stays at *cap_s*. Drawing
    from 0 spreads what failed together best.

    Raises:
        ValueError: *attempt* is below 1, or not 0 < *base_s* ≤ *cap_s* < ∞.
    """
    _at_least(attempt, 1, "attempt")
    if not 0 < base_s <= cap_s < math.inf:
        raise ValueError(f"not a range of waits: {base_s} s to {cap_s} s")
    return random.uniform(0, _doubled(base_s, attempt - 1, cap_s))


def not_taken_wait_s(failures: int, random: Random) -> float:
    """Seconds until a task that the API certainly did not take is posted again.

    *failures* counts those in a row, this one included.
    """
    return full_jitter(failures, base_s=NOT_TAKEN_BASE_S, cap_s=NOT_TAKEN_CAP_S, random=random)


def poll_interval(polls: int) -> timedelta:
    """How long to leave a task alone that has been asked for *polls* times (from 0) in vain.

    Raises:
        ValueError: *polls* is negative.
    """
    _at_least(polls, 0, "polls")
    first_s, longest_s = FIRST_POLL.total_seconds(), LONGEST_POLL.total_seconds()
    return timedelta(seconds=_doubled(first_s, polls, longest_s))


def doubt_interval(said: int) -> timedelta:
    """How long to leave a task alone that the API has *said* so often (from 1) to have failed.

    Raises:
        ValueError: *said* is below 1.
    """
    _at_least(said, 1, "said")
    return min(poll_interval(said - 1), _LONGEST_DOUBT)


def _doubled(base_s: float, times: int, cap_s: float) -> float:
    """*base_s* doubled so many *times*, at most *cap_s*."""
    # Compared as exponents: 2 ** times would be no float any more, or a very long integer.
    if times >= math.log2(cap_s) - math.log2(base_s):
        return cap_s
    return min(cap_s, math.ldexp(base_s, times))


def _at_least(number: int, least: int, name: str) -> None:
    if number < least:
        raise ValueError(f"{name} counts from {least}, not {number}")

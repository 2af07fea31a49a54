"""A server that counts the calls of its last minute as they arrive, and a process that fills it."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from typing import Final

from runner.pacing import Bucket

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND


class Server:
    """Counts calls by the microsecond at which they arrive."""

    def __init__(self) -> None:
        self.arrivals: list[int] = []

    def receive(self, at_us: int) -> None:
        insort(self.arrivals, at_us)

    def held(self, at_us: int) -> int:
        """Calls of the 60 s before *at_us*, both ends included: the strictest reading."""
        return bisect_right(self.arrivals, at_us) - bisect_left(self.arrivals, at_us - MINUTE)

    def most(self) -> int:
        """The fullest of all sliding minutes; one of them ends with an arrival."""
        return max(map(self.held, self.arrivals), default=0)

    def least(self, from_us: int, to_us: int) -> int:
        """The emptiest sliding minute between the two, looked at every 0.1 s."""
        ends = range(from_us + MINUTE, to_us + 1, SECOND // 10)
        return min(map(self.held, ends))


def leave(bucket: Bucket, from_us: int, to_us: int, late_us: Callable[[], int]) -> list[int]:
    """The moments at which calls leave while there is always work."""
    left, now_us = [], from_us
    while now_us < to_us:
        if wait_us := bucket.reserve(now_us):
            now_us += wait_us + late_us()
        else:
            left.append(now_us)
    return left

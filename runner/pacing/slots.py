"""The calls that have a small limit of their own: a log of their moments, kept in the store."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from runner.pacing.bucket import SPAN_US


class Kind(StrEnum):
    """Calls that have a small limit of their own beside the account's."""

    TASKS_READY = "tasks_ready"
    ID_LIST = "id_list"
    USER_DATA = "user_data"


LIMITS_PER_KIND: Final[Mapping[Kind, int]] = {
    Kind.TASKS_READY: 20,
    Kind.ID_LIST: 10,
    Kind.USER_DATA: 6,
}
"""Calls a minute, all providers together (API.md §3)."""


def next_slot(times_ms: Sequence[int], now_ms: int, limit: int) -> int:
    """Milliseconds until one more call of a kind may leave, 0 for now.

    *times_ms* are the moments of its calls as the store keeps them, at least those of the last
    61 s, in any order; *limit* is that of ``LIMITS_PER_KIND``, of which one call a minute is left
    unused (of 1, none). Wall time, because the log outlives processes.
    """
    if limit < 1:
        raise ValueError(f"a limit of {limit} calls a minute allows none")
    span_ms = SPAN_US // 1_000
    # A call from further ahead than a span was logged before the clock was set back. Waiting for
    # it could take for ever; a small step back is waited out.
    recent = sorted(t for t in times_ms if abs(now_ms - t) <= span_ms)
    usable = max(1, limit - 1)
    if len(recent) < usable:
        return 0
    return recent[-usable] + span_ms + 1 - now_ms

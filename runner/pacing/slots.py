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


_SET_BACK_MS: Final = 5_000
"""A smaller step back of the log's clock is waited out."""


def set_back_ms(times_ms: Sequence[int], now_ms: int) -> int:
    """How much earlier the calls of a log are to be dated, because its clock was set back.

    As if no time had passed since the newest: how long ago it was nobody knows. 0 if it was not.
    """
    back_ms = max(times_ms, default=now_ms) - now_ms
    return back_ms if back_ms > _SET_BACK_MS else 0


def next_slot(times_ms: Sequence[int], now_ms: int, limit: int) -> int:
    """Milliseconds until one more call of a kind may leave, 0 for now.

    *times_ms* are the moments of its calls, at least those of the last 61 s, in any order, and of
    the same clock as *now_ms*; *limit* is that of ``LIMITS_PER_KIND``, of which one call a minute
    is left unused (of 1, none).
    """
    if limit < 1:
        raise ValueError(f"a limit of {limit} calls a minute allows none")
    span_ms = SPAN_US // 1_000
    recent = sorted(t for t in times_ms if now_ms - t <= span_ms)
    usable = max(1, limit - 1)
    if len(recent) < usable:
        return 0
    return recent[-usable] + span_ms + 1 - now_ms

"""Waiting for something that another task of the same event loop brings about."""

import asyncio
from collections.abc import Callable

_STEP_S = 0.01


async def until(condition: Callable[[], object], *, within_s: float = 20.0) -> None:
    """Let the others work until *condition* holds.

    Raises:
        TimeoutError: it did not within so many real seconds.
    """
    for _ in range(round(within_s / _STEP_S)):
        if condition():
            return
        await asyncio.sleep(_STEP_S)
    raise TimeoutError("what the test waits for did not come about")

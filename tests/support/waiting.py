"""Waiting for something that another task of the same event loop brings about."""

import asyncio
from collections.abc import Callable

_STEP_S = 0.01


async def until(
    condition: Callable[[], object], *, within_s: float = 60.0, step_s: float = _STEP_S
) -> None:
    """Let the others work until *condition* holds, which is looked at every *step_s*.

    Raises:
        TimeoutError: it did not within so many real seconds.
    """
    for _ in range(round(within_s / step_s)):
        if condition():
            return
        await asyncio.sleep(step_s)
    raise TimeoutError("what the test waits for did not come about")

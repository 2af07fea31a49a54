"""Claimed tasks on their way from the claimer to the fetchers.

    claimer ── put ──▶ first come, first served ── take ──▶ fetchers

A stream would wake its sender for each task that is taken; here it is woken once for each claim.
"""

from collections import deque
from collections.abc import Iterable

import anyio

from runner.store.endings import Posted


class Claimed:
    """Tasks that wait for a fetcher. One claimer, any number of fetchers."""

    def __init__(self) -> None:
        self._tasks: deque[Posted] = deque()
        self._left = 0
        self._came = anyio.Event()
        self._few = anyio.Event()

    async def put(self, tasks: Iterable[Posted], *, left: int) -> None:
        """Add *tasks* and return when no more than *left* wait."""
        self._tasks.extend(tasks)
        self._came.set()
        self._came = anyio.Event()
        if len(self._tasks) > left:
            self._left, self._few = left, anyio.Event()
            await self._few.wait()

    async def take(self) -> Posted:
        """The next task, waited for if there is none."""
        while not self._tasks:
            await self._came.wait()
        task = self._tasks.popleft()
        if len(self._tasks) == self._left:
            self._few.set()
        return task

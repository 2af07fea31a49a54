"""The SQLite store's verbs that only look, the long ones page by page."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from runner.clock import Clock
from runner.lifecycle import State
from runner.store.listing import Selection, TaskDetail, TaskLine
from runner.store.sqlite import listing, reading, runs
from runner.store.sqlite.connection import Connection, connect
from runner.store.values import CostLine, ExportLine, FailureGroup, Run, RunStatus

EXPORT_PAGE: Final = 200
"""Input lines read at a time: memory does not grow with the run."""

TASKS_PAGE: Final = 200
"""Tasks listed at a time."""


class LookingVerbs:
    """Each question is one transaction on the store's second connection."""

    _path: Path
    _reader: Connection
    _clock: Clock

    async def runs(self, *, job: str | None = None) -> list[Run]:
        return await self._reader.read(runs.runs, job=job)

    async def counts(self) -> Mapping[State, int]:
        return await self._reader.read(reading.counts)

    async def unfinished_runs(self) -> list[Run]:
        return await self._reader.read(runs.unfinished_runs)

    async def status(self, run: int) -> RunStatus:
        return await self._reader.read(reading.status, run, now=self._clock.now())

    async def failures(self, run: int, which: Selection | None = None) -> list[FailureGroup]:
        return await self._reader.read(reading.failures, run, which or Selection())

    async def cost(
        self, *, by: str | None, run: int | None = None
    ) -> tuple[CostLine, list[CostLine]]:
        return await self._reader.read(reading.cost, by=by, run=run)

    async def oldest_uncollected(self) -> datetime | None:
        return await self._reader.read(reading.oldest_uncollected)

    async def export(
        self, run: int, which: Selection | None = None
    ) -> AsyncIterator[list[ExportLine]]:
        # One view of the data from the first line to the last: a load that goes on meanwhile moves
        # lines from an older load to itself, and some would be missed or told twice.
        async with connect(self._path, read_only=True) as view:
            await view.call(reading.hold_view)
            for load in await view.call(reading.loads_of, run):
                position: int | None = -1
                while position is not None:
                    lines, position = await view.call(
                        reading.export_page, load, position, EXPORT_PAGE, which or Selection()
                    )
                    if lines:
                        yield lines

    async def input_columns(self, run: int) -> list[str]:
        return await self._reader.read(reading.input_columns, run)

    async def tasks(self, which: Selection) -> AsyncIterator[list[TaskLine]]:
        ids = None if which.tasks is None else sorted(which.tasks)
        after, left = 0, which.limit
        while left is None or left > 0:
            size = TASKS_PAGE if left is None else min(TASKS_PAGE, left)
            if ids is not None:
                # A page looks at its own part of the ids, not at all of them each time.
                part, ids = ids[:TASKS_PAGE], ids[TASKS_PAGE:]
                if not part:
                    return
                which = replace(which, tasks=frozenset(part))
            lines = await self._reader.read(listing.page, which, after, size)
            if lines:
                yield lines
                after, left = lines[-1].id, None if left is None else left - len(lines)
            elif ids is None:
                return

    async def count_tasks(self, which: Selection) -> int:
        return await self._reader.read(listing.count, which)

    async def task(self, id: int) -> TaskDetail | None:
        return await self._reader.read(listing.task, id)

    async def reply(self, task: int, attempt: int) -> bytes | None:
        return await self._reader.read(listing.reply, task, attempt)

    async def unknown_tasks(self, ids: Sequence[int]) -> list[int]:
        return await self._reader.read(listing.unknown, ids)

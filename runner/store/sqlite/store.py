"""The SQLite store: the protocol's verbs, each one transaction on one of two connections."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from runner.clock import Clock
from runner.resources import migrations
from runner.store.migrate import check_current, migrate, read_migrations
from runner.store.protocol import (
    Added,
    Ceiling,
    CostLine,
    Decision,
    Ending,
    ExportLine,
    FailureGroup,
    Idle,
    Posted,
    RetryFilter,
    Run,
    RunStatus,
)
from runner.store.sqlite import (
    changes,
    collecting,
    identity,
    loading,
    posting,
    reading,
    ready_list,
    retrying,
    runs,
)
from runner.store.sqlite.connection import Connection, connect
from runner.task import Attempt, Batch, Endpoint, InputRow, Outcome, Provider, Tag, Target

EXPORT_PAGE: Final = 500
"""Input lines read at a time: memory does not grow with the run."""


class SqliteStore:
    """``runner.store.protocol.TaskStore`` on one SQLite file."""

    def __init__(self, path: Path, writer: Connection, reader: Connection) -> None:
        self._path = path
        self._writer = writer
        self._reader = reader

    # -- whose store it is -------------------------------------------------------------------

    async def bind_account(self, *, gateway: str, base_url: str, login: str) -> int:
        return await self._writer.write(
            identity.bind_account, gateway=gateway, base_url=base_url, login=login
        )

    async def begin_worker(self, *, now: datetime) -> int:
        return await self._writer.write(identity.begin_worker, now=now)

    async def end_worker(self, worker: int, *, now: datetime) -> None:
        await self._writer.write(identity.end_worker, worker, now=now)

    async def current_worker(self) -> identity.Worker | None:
        """The engine process that was started last and has not ended cleanly."""
        return await self._reader.read(identity.current_worker)

    # -- runs and loading --------------------------------------------------------------------

    async def newest_run(self, job: str, key: str) -> Run | None:
        return await self._reader.read(runs.newest_run, job, key)

    async def begin_run(
        self,
        *,
        job: str,
        key: str,
        fresh: int,
        api: str,
        key_columns: Sequence[str],
        targets: Sequence[tuple[Target, int]],
        tries: int = 3,
        now: datetime,
    ) -> Run:
        return await self._writer.write(
            runs.begin_run,
            job=job,
            key=key,
            fresh=fresh,
            api=api,
            key_columns=key_columns,
            targets=targets,
            tries=tries,
            now=now,
        )

    async def begin_load(
        self, run: int, *, digest: str, source: str, columns: Sequence[str], now: datetime
    ) -> int | None:
        return await self._writer.write(
            loading.begin_load, run, digest=digest, source=source, columns=columns, now=now
        )

    async def add_rows(self, load: int, rows: Sequence[InputRow], *, now: datetime) -> Added:
        return await self._writer.write(loading.add_rows, load, rows, now=now)

    async def end_load(self, load: int, *, rejected: int, now: datetime) -> None:
        await self._writer.write(loading.end_load, load, rejected=rejected, now=now)

    async def decide_changes(self, run: int, decision: Decision, *, now: datetime) -> int:
        return await self._writer.write(changes.decide_changes, run, decision, now=now)

    # -- posting -----------------------------------------------------------------------------

    async def targets_to_post(self, run: int, *, now: datetime) -> list[tuple[int, Endpoint]]:
        return await self._reader.read(posting.targets_to_post, run, now=now)

    async def begin_batch(
        self,
        *,
        run: int,
        target: int,
        account: int,
        worker: int,
        limit: int,
        now: datetime,
        patience: timedelta,
        ceiling: Ceiling,
        seal: Callable[[tuple[Attempt, ...]], str],
    ) -> Batch | Idle:
        return await self._writer.write(
            posting.begin_batch,
            run=run,
            target=target,
            account=account,
            worker=worker,
            limit=limit,
            now=now,
            patience=patience,
            ceiling=ceiling,
            seal=seal,
        )

    async def settle_batch(
        self,
        batch: Batch,
        outcomes: Sequence[Outcome],
        *,
        outcome: str,
        code: int | None,
        message: str | None,
        now: datetime,
    ) -> None:
        await self._writer.write(
            posting.settle_batch,
            batch,
            outcomes,
            outcome=outcome,
            code=code,
            message=message,
            now=now,
        )

    # -- collecting --------------------------------------------------------------------------

    async def waiting_providers(self) -> list[Provider]:
        return await self._reader.read(ready_list.waiting_providers)

    async def mark_ready(self, tags: Sequence[Tag], *, now: datetime) -> int:
        return await self._writer.write(ready_list.mark_ready, tags, now=now)

    async def take_posted(
        self, limit: int, *, worker: int, now: datetime, lease: timedelta
    ) -> list[Posted]:
        return await self._writer.write(
            collecting.take_posted, limit, worker=worker, now=now, lease=lease
        )

    async def book(self, endings: Sequence[Ending], *, now: datetime) -> None:
        await self._writer.write(collecting.book, endings, now=now)

    async def trust_ready_list(self, trusted: bool, *, now: datetime) -> None:
        await self._writer.write(ready_list.trust_ready_list, trusted, now=now)

    # -- the person --------------------------------------------------------------------------

    async def retry(self, run: int, which: RetryFilter, *, now: datetime, dry: bool) -> int:
        return await self._writer.write(retrying.retry, run, which, now=now, dry=dry)

    # -- pacing ------------------------------------------------------------------------------

    async def recent_calls(self, account: int, kind: str, *, since: datetime) -> list[datetime]:
        return await self._reader.read(identity.recent_calls, account, kind, since=since)

    async def note_call(self, account: int, kind: str, *, at: datetime) -> None:
        await self._writer.write(identity.note_call, account, kind, at=at)

    # -- looking -----------------------------------------------------------------------------

    async def runs(self, *, job: str | None = None) -> list[Run]:
        return await self._reader.read(runs.runs, job=job)

    async def status(self, run: int) -> RunStatus:
        return await self._reader.read(reading.status, run)

    async def failures(self, run: int) -> list[FailureGroup]:
        return await self._reader.read(reading.failures, run)

    async def cost(
        self, *, by: str | None, run: int | None = None
    ) -> tuple[CostLine, list[CostLine]]:
        return await self._reader.read(reading.cost, by=by, run=run)

    async def oldest_uncollected(self) -> datetime | None:
        return await self._reader.read(reading.oldest_uncollected)

    async def export(self, run: int) -> AsyncIterator[list[ExportLine]]:
        # One view of the data from the first line to the last: a load that goes on meanwhile moves
        # lines from an older load to itself, and some would be missed or told twice.
        async with connect(self._path, read_only=True) as view:
            await view.call(reading.hold_view)
            for load in await view.call(reading.loads_of, run):
                position: int | None = -1
                while position is not None:
                    lines, position = await view.call(
                        reading.export_page, load, position, EXPORT_PAGE
                    )
                    if lines:
                        yield lines

    async def input_columns(self, run: int) -> list[str]:
        return await self._reader.read(reading.input_columns, run)


@asynccontextmanager
async def open_store(path: Path, *, clock: Clock) -> AsyncIterator[SqliteStore]:
    """Open the store in *path*, made or brought up to date if need be.

    Raises:
        StoreBroken: no database, too new, edited, or not to be opened.
    """
    known = read_migrations(migrations("sqlite"))
    async with connect(path) as writer:
        await writer.call(migrate, known, clock.now())
        async with connect(path, read_only=True) as reader:
            yield SqliteStore(path, writer, reader)


@asynccontextmanager
async def open_store_to_look(path: Path) -> AsyncIterator[SqliteStore]:
    """Open an existing store for commands that only read; nothing in it is changed.

    Raises:
        StoreBroken: there is none, it cannot be read, or its schema is not the one we know.
    """
    known = read_migrations(migrations("sqlite"))
    async with connect(path, read_only=True) as reader:
        await reader.call(check_current, known)
        yield SqliteStore(path, reader, reader)

"""The PostgreSQL store: the protocol's verbs, each one transaction on one of two connections.

Every ``now`` is replaced by the server's (`connection.Connection`); moments that a caller made with
its own clock are moved by the difference of the two.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from runner.clock import Clock, SystemClock
from runner.resources import migrations
from runner.rows import Attempt, Batch, InputRow
from runner.store.control import Keep, Pause, Pruned
from runner.store.endings import Ending, LiveEnding, Posted
from runner.store.listing import Selection
from runner.store.migrate import read_migrations
from runner.store.postgres import (
    changes,
    collecting,
    controlling,
    follow_ups,
    gone,
    live,
    loading,
    posting,
    pruning,
    retrying,
    runs,
)
from runner.store.postgres.accounts_verbs import AccountsVerbs
from runner.store.postgres.address import Address
from runner.store.postgres.auditing_verbs import AuditingVerbs
from runner.store.postgres.care_verbs import CareVerbs
from runner.store.postgres.connection import Connection, Db, connect, server_time
from runner.store.postgres.exports import ExportsVerbs
from runner.store.postgres.history_verbs import HistoryVerbs
from runner.store.postgres.inbox_verbs import InboxVerbs
from runner.store.postgres.living_verbs import LivingVerbs
from runner.store.postgres.looking_verbs import LookingVerbs, View
from runner.store.postgres.migrating import check_current, migrate
from runner.store.postgres.pacing_verbs import PacingVerbs
from runner.store.postgres.planning import PlanningVerbs
from runner.store.postgres.ready_list_verbs import ReadyListVerbs
from runner.store.postgres.reconciling_verbs import ReconcilingVerbs
from runner.store.postgres.recovering_verbs import RecoveringVerbs
from runner.store.postgres.resolving_verbs import ResolvingVerbs
from runner.store.values import Added, Ceiling, Decision, Idle, RetryFilter, Run
from runner.task import Endpoint, Method, Outcome, RemoteId, Target

_BREATH_S: Final = 0.02
"""Between the chunks of a long write, in which an engine may write."""


def _settle(db: Db, time_of: Callable[[Db], datetime]) -> None:
    controlling.settle(db)
    follow_ups.settle(db, time_of)


class PostgresStore(
    LookingVerbs,
    AccountsVerbs,
    ReadyListVerbs,
    ReconcilingVerbs,
    ResolvingVerbs,
    AuditingVerbs,
    CareVerbs,
    ExportsVerbs,
    RecoveringVerbs,
    HistoryVerbs,
    InboxVerbs,
    LivingVerbs,
    PlanningVerbs,
    PacingVerbs,
):
    """``runner.store.protocol.TaskStore`` in one PostgreSQL database."""

    def __init__(
        self,
        view: View,
        writer: Connection,
        reader: Connection,
        clock: Clock | None = None,
        *,
        pacing: Connection | None = None,
    ) -> None:
        self._view = view
        self._writer = writer
        self._reader = reader
        self._pacing = pacing or writer
        self._clock = clock or SystemClock()
        self._zeros_ms = {}
        writer.before_commit = _settle

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
        live_resend: bool = False,
        source: str = "",
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
            live_resend=live_resend,
            source=source,
            now=now,
        )

    async def new_targets(self, run: int, targets: Sequence[Target]) -> list[Target]:
        return await self._reader.read(runs.new_targets, run, targets)

    async def renamed_targets(
        self, run: int, targets: Sequence[Target]
    ) -> list[tuple[str, Target]]:
        return await self._reader.read(runs.renamed_targets, run, targets)

    async def begin_load(
        self, run: int, *, digest: str, source: str, columns: Sequence[str], now: datetime
    ) -> int | None:
        return await self._writer.write(
            loading.begin_load, run, digest=digest, source=source, columns=columns, now=now
        )

    async def add_rows(self, load: int, rows: Sequence[InputRow], *, now: datetime) -> Added:
        return await self._writer.write(loading.add_rows, load, rows, now=now)

    async def end_load(self, load: int, *, rejected: int, now: datetime) -> None:
        if (ends := await self._reader.read(gone.pending_before, load)) is not None:
            low, high = ends
            for first in range(low, high + 1, gone.MARKED_AT_ONCE):
                last = min(high, first + gone.MARKED_AT_ONCE - 1)
                await self._writer.write(gone.withhold_gone, load, first, last)
                await self._clock.sleep(_BREATH_S)
        await self._writer.write(loading.end_load, load, rejected=rejected, now=now)

    async def decide_changes(self, run: int, decision: Decision, *, now: datetime) -> int:
        return await self._writer.write(changes.decide_changes, run, decision, now=now)

    async def reconsider(self, run: int) -> int:
        return await self._writer.write(changes.reconsider, run)

    # -- posting -----------------------------------------------------------------------------

    async def targets_to_post(
        self,
        run: int,
        *,
        now: datetime,
        method: Method = Method.STANDARD,
        account: int | None = None,
        retries: bool = False,
    ) -> list[tuple[int, Endpoint]]:
        return await self._reader.read(
            posting.targets_to_post, run, now=now, method=method, account=account, retries=retries
        )

    async def waiting_to_post(
        self, run: int, *, now: datetime, account: int | None = None, retries: bool = False
    ) -> Mapping[Endpoint, datetime]:
        return await self._reader.read(
            posting.waiting_to_post, run, told=now, now=now, account=account, retries=retries
        )

    async def to_retry(self, run: int) -> int:
        return await self._reader.read(posting.to_retry, run)

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
        api_time: datetime | None = None,
        postback: bool = False,
        retries: bool = False,
        seal: Callable[[tuple[Attempt, ...]], str],
    ) -> Batch | Idle:
        return await self._writer.write(
            posting.begin_batch,
            told=now,
            run=run,
            target=target,
            account=account,
            worker=worker,
            limit=limit,
            now=now,
            patience=patience,
            ceiling=ceiling,
            api_time=api_time,
            postback=postback,
            retries=retries,
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

    async def settle_live(
        self,
        batch: Batch,
        ending: LiveEnding,
        *,
        remote_id: RemoteId | None,
        outcome: str,
        code: int | None,
        message: str | None,
        now: datetime,
    ) -> None:
        await self._writer.write(
            live.settle_live,
            batch,
            ending,
            remote_id=remote_id,
            outcome=outcome,
            code=code,
            message=message,
            told=now,
            now=now,
        )

    # -- collecting --------------------------------------------------------------------------

    async def take_posted(
        self,
        limit: int,
        *,
        worker: int,
        now: datetime,
        lease: timedelta,
        account: int | None = None,
    ) -> list[Posted]:
        return await self._writer.write(
            collecting.take_posted,
            limit,
            worker=worker,
            told=now,
            now=now,
            lease=lease,
            account=account,
        )

    async def redate(self, *, now: datetime, step: timedelta = timedelta(0)) -> int:
        # A step of the caller's clock moves nothing: due times are the server's, for all hosts.
        return await self._writer.write(collecting.redate, now=now)

    async def book(
        self, endings: Sequence[Ending], *, letters: Sequence[int] = (), now: datetime
    ) -> None:
        await self._writer.write(collecting.book, endings, letters=letters, told=now, now=now)

    # -- the person --------------------------------------------------------------------------

    async def retry(self, run: int, which: RetryFilter, *, now: datetime) -> int:
        return await self._writer.write(retrying.retry, run, which, now=now)

    async def retriable(self, run: int, which: RetryFilter) -> dict[str, int]:
        return await self._reader.read(retrying.retriable, run, which)

    async def pause(
        self,
        *,
        job: str | None = None,
        run: int | None = None,
        until: datetime | None = None,
        reason: str = "",
        now: datetime,
    ) -> Pause:
        return await self._writer.write(
            controlling.pause, job=job, run=run, until=until, reason=reason, told=now, now=now
        )

    async def resume(
        self, *, job: str | None = None, run: int | None = None, now: datetime
    ) -> Pause | None:
        return await self._writer.write(controlling.resume, job=job, run=run, now=now)

    async def pauses(self, *, now: datetime) -> list[Pause]:
        return await self._reader.read(controlling.pauses, now=now)

    async def cancel(self, which: Selection) -> int:
        done, last, left = 0, 0, which.limit
        while left is None or left > 0:
            size = min(controlling.CANCELLED_AT_ONCE, left or controlling.CANCELLED_AT_ONCE)
            tasks = await self._reader.read(controlling.droppable_ids, which, last, size)
            if not tasks:
                break
            done += await self._writer.write(controlling.cancel, tasks)
            last, left = tasks[-1], None if left is None else left - len(tasks)
            await self._clock.sleep(_BREATH_S)
        return done

    async def prunable(self, runs: Sequence[int], *, before: datetime) -> list[int]:
        return await self._reader.read(pruning.prunable, runs, before=before)

    async def prune_size(self, run: int, *, keep: Keep) -> Pruned:
        return await self._reader.read(pruning.prune_size, run, keep=keep)

    async def prune(self, run: int, *, keep: Keep, now: datetime) -> Pruned:
        gone, place = Pruned(), pruning.BEGINNING
        while True:
            went, on = await self._writer.write(pruning.prune, run, place, keep=keep, now=now)
            gone += went
            if on is None:
                return gone
            place = on
            await self._clock.sleep(_BREATH_S)


@asynccontextmanager
async def open_store(
    dsn: str,
    *,
    clock: Clock,
    time_of: Callable[[Db], datetime] = server_time,
    may_lose: bool = False,
) -> AsyncIterator[PostgresStore]:
    """Open the store at *dsn*, made or brought up to date if need be.

    *time_of* stands for the server's clock, and *may_lose* lets a server pass that does not save
    durably: both are for tests.

    Raises:
        StoreBroken: it is not reached, too new, edited, or saves nothing durably.
        WrongInput: the address cannot be read.
    """
    address = Address.parse(dsn)
    known = read_migrations(migrations("postgres"))
    open_view = partial(connect, address, time_of=time_of, read_only=True, may_lose=may_lose)
    async with connect(address, time_of=time_of, may_lose=may_lose) as writer:
        while await writer.write(migrate, known, now=clock.now()):
            pass
        # Connects when it is first used.
        pacing = Connection(address, time_of=time_of)
        try:
            async with open_view() as reader:
                yield PostgresStore(open_view, writer, reader, clock, pacing=pacing)
        finally:
            await pacing.close()


@asynccontextmanager
async def open_store_to_look(
    dsn: str,
    *,
    clock: Clock | None = None,
    time_of: Callable[[Db], datetime] = server_time,
    may_lose: bool = False,
) -> AsyncIterator[PostgresStore]:
    """Open an existing store for commands that only read; nothing in it is changed.

    Raises:
        StoreBroken: it is not reached, or its schema is not the one we know.
        WrongInput: the address cannot be read.
    """
    address = Address.parse(dsn)
    known = read_migrations(migrations("postgres"))
    open_view = partial(connect, address, time_of=time_of, read_only=True, may_lose=may_lose)
    async with open_view() as reader:
        await reader.read(check_current, known)
        yield PostgresStore(open_view, reader, reader, clock)

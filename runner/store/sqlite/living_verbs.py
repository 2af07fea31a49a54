"""The verbs of living together on the SQLite store, where an engine lives alone."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path

from runner.clock import Clock
from runner.store.lock import loading_lock
from runner.store.sqlite import beginning, identity, living, ready_list
from runner.store.sqlite.connection import Connection
from runner.store.workers import ALL_ROLES, LEASE, Duty, Inherited, Role, WorkerLine, roles_text


class LivingVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection
    _path: Path
    _clock: Clock

    async def begin_worker(self, *, roles: Collection[Role] = ALL_ROLES, now: datetime) -> int:
        return await self._writer.write(beginning.begin_worker, roles=roles_text(roles), now=now)

    async def end_worker(self, worker: int, *, now: datetime) -> None:
        await self._writer.write(identity.end_worker, worker, now=now)

    async def current_worker(self) -> identity.Worker | None:
        """The engine process that was started last and has not ended cleanly."""
        return await self._reader.read(identity.current_worker)

    def loading_alone(self, *, wait_s: float) -> AbstractAsyncContextManager[None]:
        return loading_lock(self._path, wait_s=wait_s, clock=self._clock)

    async def beat(self, worker: int, *, now: datetime) -> bool:
        return await self._writer.write(living.beat, worker, now=now)

    async def take_over(self, worker: int, *, now: datetime) -> Inherited:
        return Inherited()

    async def hold_lease(
        self, account: int, duty: Duty, worker: int, *, lasts: timedelta = LEASE, now: datetime
    ) -> bool:
        return await self._writer.write(
            living.hold_lease, account, duty, worker, lasts=lasts, now=now
        )

    async def drop_leases(self, worker: int) -> None:
        await self._writer.write(living.drop_leases, worker)

    async def list_trusted(self, account: int) -> bool:
        return await self._reader.read(ready_list.is_trusted, account)

    async def workers(self, *, now: datetime) -> list[WorkerLine]:
        return await self._reader.read(living.workers, now=now)

"""The verbs of living together on the PostgreSQL store: ``runner.store.workers.Workers``."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from runner.clock import Clock
from runner.store.lock import LoaderElsewhere
from runner.store.postgres import beginning, identity, living, ready_list
from runner.store.postgres.connection import Connection
from runner.store.postgres.looking_verbs import View
from runner.store.workers import ALL_ROLES, LEASE, Duty, Inherited, Role, WorkerLine, roles_text

_LOOK_AGAIN_S: Final = 0.5


class LivingVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection
    _view: View
    _clock: Clock

    async def begin_worker(self, *, roles: Collection[Role] = ALL_ROLES, now: datetime) -> int:
        worker = await self._writer.write(
            beginning.begin_worker, before=self._writer.worker, roles=roles_text(roles), now=now
        )
        self._writer.worker = worker
        return worker

    async def end_worker(self, worker: int, *, now: datetime) -> None:
        await self._writer.write(identity.end_worker, worker, now=now)

    async def current_worker(self) -> identity.Worker | None:
        """The engine process that was started last and has not ended cleanly."""
        return await self._reader.read(identity.current_worker)

    async def living_workers(self, *, now: datetime) -> list[int]:
        """Engines that are at work now."""
        return await self._reader.read(living.living_workers, now=now)

    @asynccontextmanager
    async def loading_alone(self, *, wait_s: float) -> AsyncIterator[None]:
        # A connection of its own: the lock ends with it, and so with the process.
        async with self._view() as holder:
            give_up = self._clock.monotonic() + wait_s
            while not await holder.read(living.hold_loading):
                if self._clock.monotonic() >= give_up:
                    raise LoaderElsewhere
                await self._clock.sleep(_LOOK_AGAIN_S)
            yield

    async def beat(self, worker: int, *, now: datetime) -> bool:
        return await self._writer.write(living.beat, worker, now=now)

    async def take_over(self, worker: int, *, now: datetime) -> Inherited:
        return await self._writer.write(beginning.take_over, worker, now=now)

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

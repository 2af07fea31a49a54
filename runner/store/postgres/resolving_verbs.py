"""The PostgreSQL store's verbs for a person's decisions: ``runner.store.resolving.Resolving``."""

from collections.abc import Sequence
from datetime import datetime

from runner.store.listing import Selection
from runner.store.postgres import resolving
from runner.store.postgres.connection import Connection
from runner.store.resolving import Contents, Held
from runner.task import RemoteId


class ResolvingVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection

    async def held(self, which: Selection) -> list[Held]:
        return await self._reader.read(resolving.held, which)

    async def adopt(self, task: int, attempt: int, remote_id: RemoteId, *, now: datetime) -> bool:
        return await self._writer.write(resolving.adopt, task, attempt, remote_id, now=now)

    async def ask_absent(self, attempts: Sequence[tuple[int, int]], *, now: datetime) -> int:
        return await self._writer.write(resolving.ask_absent, attempts, now=now)

    async def write_off(self, attempts: Sequence[tuple[int, int]], *, now: datetime) -> int:
        return await self._writer.write(resolving.write_off, attempts, now=now)

    async def contents(self) -> Contents:
        return await self._reader.read(resolving.contents)

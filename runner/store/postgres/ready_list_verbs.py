"""What the API's lists of finished tasks do to the PostgreSQL store."""

from collections.abc import Sequence
from datetime import datetime

from runner.store.postgres import ready_list
from runner.store.postgres.connection import Connection
from runner.store.postgres.recovering import installs
from runner.task import Provider, Tag


class ReadyListVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection

    async def waiting_providers(self, *, account: int | None = None) -> list[Provider]:
        return await self._reader.read(ready_list.waiting_providers, account)

    async def installs(self) -> frozenset[str]:
        return await self._reader.read(installs)

    async def mark_ready(self, tags: Sequence[Tag], *, now: datetime) -> int:
        return await self._writer.write(ready_list.mark_ready, tags, now=now)

    async def trust_ready_list(
        self, trusted: bool, *, now: datetime, account: int | None = None
    ) -> None:
        await self._writer.write(ready_list.trust_ready_list, trusted, now=now, account=account)

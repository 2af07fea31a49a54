"""The inbox of the PostgreSQL store: ``runner.store.inbox.Inbox``."""

from collections.abc import Sequence
from datetime import datetime

from runner.clock import Clock
from runner.store.inbox import Delivery, Gauges, Letter, Undelivered
from runner.store.postgres import inbox
from runner.store.postgres.connection import Connection


class InboxVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection
    _clock: Clock

    async def deliver(self, deliveries: Sequence[Delivery], *, now: datetime) -> int:
        return await self._writer.write(inbox.deliver, deliveries, now=now)

    async def letters(
        self, *, after: int, limit: int, most_bytes: int, account: int | None = None
    ) -> list[Letter]:
        return await self._reader.read(
            inbox.letters,
            after=after,
            limit=limit,
            most_bytes=most_bytes,
            account=account,
            told=(told := self._clock.now()),
            now=told,
        )

    async def drop_letters(self, letters: Sequence[int]) -> None:
        await self._writer.write(inbox.drop_letters, letters)

    async def undelivered(
        self, limit: int, *, now: datetime, account: int | None = None
    ) -> list[Undelivered]:
        return await self._writer.write(inbox.undelivered, limit, now=now, account=account)

    async def gauges(self) -> Gauges:
        return await self._reader.read(inbox.gauges)

    async def prove_writable(self, *, now: datetime) -> None:
        await self._writer.write(inbox.prove_writable, now=now)

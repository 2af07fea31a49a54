"""The audit's verbs of the SQLite store: ``runner.store.auditing.Auditing``."""

from collections.abc import Sequence
from datetime import datetime

from runner.store.auditing import Audit, Expected, FailureCost
from runner.store.endings import Ending, Posted
from runner.store.reconciling import IncidentKind, NewIncident, Sighting
from runner.store.sqlite import auditing, extras, settling
from runner.store.sqlite.connection import Connection


class AuditingVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection

    async def strange(self, sightings: Sequence[Sighting]) -> tuple[list[Sighting], list[Sighting]]:
        return await self._reader.read(auditing.strange, sightings)

    async def known_ids(self, ids: Sequence[str]) -> frozenset[str]:
        return await self._reader.read(auditing.known_ids, ids)

    async def expected(
        self, account: int, start: datetime, end: datetime, *, after: int
    ) -> tuple[list[Expected], int | None]:
        return await self._reader.read(auditing.expected, account, start, end, after=after)

    async def extra_expected(
        self, start: datetime, end: datetime, *, account: int | None = None
    ) -> list[Expected]:
        return await self._reader.read(auditing.extra_expected, start, end, account=account)

    async def failed_tasks(
        self,
        account: int,
        start: datetime,
        end: datetime,
        *,
        ended_since: datetime,
        after: int,
    ) -> tuple[list[Expected], int | None]:
        return await self._reader.read(
            auditing.failed_tasks, account, start, end, ended_since=ended_since, after=after
        )

    async def settle_failures(
        self, costs: Sequence[FailureCost], incidents: Sequence[NewIncident], *, now: datetime
    ) -> int:
        return await self._writer.write(settling.settle_failures, costs, incidents, now=now)

    async def last_audit(self, account: int) -> Audit | None:
        return await self._reader.read(auditing.last_audit, account)

    async def note_audit(self, account: int, audit: Audit, *, now: datetime) -> None:
        await self._writer.write(auditing.note_audit, account, audit, now=now)

    async def sum_up(
        self,
        kind: IncidentKind,
        message: str,
        *,
        amount: int,
        now: datetime,
        account: int | None = None,
    ) -> bool:
        return await self._writer.write(
            auditing.sum_up, kind, message, amount=amount, now=now, account=account
        )

    async def extras_due(
        self, limit: int, *, now: datetime, account: int | None = None
    ) -> list[Posted]:
        return await self._reader.read(extras.extras_due, limit, now=now, account=account)

    async def book_extra(self, remote_id: str, ending: Ending, *, now: datetime) -> None:
        await self._writer.write(extras.book_extra, remote_id, ending, now=now)

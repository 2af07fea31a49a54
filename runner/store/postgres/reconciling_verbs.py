"""The reconciler's verbs of the PostgreSQL store: ``runner.store.reconciling.Reconciling``."""

from collections.abc import Sequence
from datetime import datetime

from runner.store.postgres import doubting, reconciling, verifying
from runner.store.postgres.connection import Connection
from runner.store.reconciling import (
    Breach,
    Doubt,
    Found,
    Incident,
    NewIncident,
    Scan,
    Sighting,
    Times,
)


class ReconcilingVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection

    async def doubts(self, *, account: int | None = None) -> list[Doubt]:
        return await self._reader.read(doubting.doubts, account=account)

    async def note_times(self, times: Sequence[Times]) -> None:
        await self._writer.write(reconciling.note_times, times)

    async def note_scan(self, account: int, scan: Scan, *, now: datetime) -> None:
        await self._writer.write(reconciling.note_scan, account, scan, now=now)

    async def found(
        self, sightings: Sequence[Sighting], *, now: datetime, account: int | None = None
    ) -> Found:
        return await self._writer.write(reconciling.found, sightings, now=now, account=account)

    async def prove_absent(self, attempts: Sequence[tuple[int, int]], *, now: datetime) -> int:
        return await self._writer.write(reconciling.prove_absent, attempts, now=now)

    async def quarantine(
        self, attempts: Sequence[tuple[int, int]], *, message: str, reason: str = "", now: datetime
    ) -> int:
        return await self._writer.write(
            reconciling.quarantine, attempts, message=message, reason=reason, now=now
        )

    async def open_incident(self, incident: NewIncident, *, now: datetime) -> bool:
        return await self._writer.write(reconciling.open_incident, incident, now=now)

    async def close_incident(self, incident: int, *, now: datetime) -> bool:
        return await self._writer.write(reconciling.close_incident, incident, now=now)

    async def incidents(self, *, closed: bool = False) -> list[Incident]:
        return await self._reader.read(reconciling.incidents, closed=closed)

    async def verify(self, *, most: int = 100) -> list[Breach]:
        return await self._reader.read(verifying.verify, most=most)

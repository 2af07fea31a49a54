"""The SQLite store's memory of money: ``runner.store.history.History``."""

from runner.store.history import FirstRequest, Spent, TargetHistory
from runner.store.sqlite import history
from runner.store.sqlite.connection import Connection


class HistoryVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection

    async def target_history(self, run: int) -> list[TargetHistory]:
        return await self._reader.read(history.target_history, run)

    async def first_requests(self, run: int, limit: int) -> list[FirstRequest]:
        return await self._reader.read(history.first_requests, run, limit)

    async def spent(self, *, account: int | None = None) -> Spent:
        return await self._reader.read(history.spent, account)

    async def spent_on(self, job: str, day: int) -> int:
        return await self._reader.read(history.spent_on, job, day)

    async def remember_limits(self, run: int, budget: int | None, hold: int | None) -> None:
        await self._writer.write(history.remember_limits, run, budget, hold)

"""The verbs of a start that cannot take the store at its word: ``Recovering`` on PostgreSQL."""

from collections.abc import Collection, Mapping, Set
from datetime import datetime

from runner.store.postgres import recovering, taking_up
from runner.store.postgres.connection import Connection
from runner.store.recovering import Look, Stake, Unlisted
from runner.task import Endpoint


class RecoveringVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection

    async def check_host(self, host: str | None) -> None:
        """Note the host that the store is used on; None: nobody can tell.

        Raises:
            WrongInput: it was used on another one.
        """
        await self._writer.write(recovering.check_host, host)

    async def claim(self, host: str | None) -> str:
        """Make this copy one of its own; returns its new install id. Its old tags stay known."""
        return await self._writer.write(recovering.claim, host)

    async def unlisted(self, *, account: int | None = None) -> Unlisted | None:
        return await self._reader.read(recovering.unlisted, account)

    async def note_look(self, look: Look, *, account: int | None = None) -> None:
        await self._writer.write(recovering.note_look, look, account)

    async def pending_prompts(self, prompts: Collection[str]) -> Mapping[Endpoint, Set[str]]:
        return await self._reader.read(recovering.pending_prompts, prompts)

    async def at_stake(self) -> Stake:
        return await self._reader.read(recovering.at_stake)

    async def adopt_orphans(self, *, now: datetime) -> int:
        return await self._writer.write(taking_up.adopt_orphans, now=now)

    async def listed(self, *, account: int | None = None, among: Collection[int] = ()) -> None:
        await self._writer.write(recovering.listed, account, among)

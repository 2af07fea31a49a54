"""The verbs of a start that cannot take the store at its word: ``Recovering`` on SQLite."""

import sqlite3
from collections.abc import Collection, Mapping, Set
from datetime import datetime

from runner.rows import Batch
from runner.store.mark import Mark
from runner.store.recovering import Doubted, Look, Stake, Unlisted
from runner.store.sqlite import identity, recovering, taking_up
from runner.store.sqlite.connection import Connection
from runner.task import Endpoint


class RecoveringVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection
    _mark: Mark | None = None

    async def check_host(self, host: str | None) -> None:
        """Note the host that the store is used on; None: nobody can tell.

        Raises:
            WrongInput: it was used on another one.
        """
        await self._writer.write(recovering.check_host, host)

    async def look_at_host(self, host: str | None) -> None:
        """The same for who only looks: nothing is noted.

        Raises:
            WrongInput: it was used on another one.
        """
        await self._reader.read(recovering.look_at_host, host)

    async def claim(self, host: str | None) -> str:
        """Make this copy one of its own; returns its new install id. Its old tags stay known."""
        return await self._writer.write(recovering.claim, host)

    async def keep_mark(self, mark: Mark) -> None:
        """Compare the store with its side file, and write that with each batch from now on."""
        await self._writer.write(recovering.compare, mark)
        self._mark = mark

    async def doubted(self, mark: Mark | None) -> Doubted | None:
        """Why the store may not know all that was posted in its name, by what was noted and by its
        side file (None: there is none); nothing is noted."""
        unlisted = await self.unlisted()
        return unlisted.why if unlisted else await self._reader.read(recovering.doubted, mark)

    async def begin_mark(self, mark: Mark) -> None:
        """Make the side file of a store that nothing was loaded into yet."""
        await self._writer.write(recovering.begin_mark, mark)

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
        await self._writer.write(recovering.listed, account, among, self._write_mark)

    def _mark_batch(self, db: sqlite3.Connection, batch: Batch) -> None:
        """Within the transaction of the intent: the mark is never behind what may leave."""
        if self._mark is not None:
            self._mark.intend(identity.install_id(db), batch.id)

    def _write_mark(self, install: str, batch: int) -> None:
        if self._mark is not None:
            self._mark.write(install, batch)

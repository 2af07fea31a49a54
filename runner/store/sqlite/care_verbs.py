"""How the file fares, and whether the store went on elsewhere."""

import sqlite3
from typing import Final

from runner.store.care import Health
from runner.store.mark import Mark
from runner.store.sqlite.connection import Connection
from runner.store.sqlite.recovering import newest_batch

_MOST_TOLD: Final = 3
"""Places of damage that are named; one is enough to put the file aside."""


def _health(db: sqlite3.Connection) -> Health:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    return Health(bytes=pages * size)


def _damage(db: sqlite3.Connection) -> list[str]:
    found = [str(message) for (message,) in db.execute(f"PRAGMA quick_check({_MOST_TOLD})")]
    return [] if found == ["ok"] else found


def _moved_to(db: sqlite3.Connection) -> str | None:
    row = db.execute("SELECT value FROM install WHERE name = 'moved_to'").fetchone()
    return None if row is None else str(row[0])


def _mark_moved(db: sqlite3.Connection, place: str | None) -> None:
    db.execute("DELETE FROM install WHERE name = 'moved_to'")
    if place is not None:
        db.execute("INSERT INTO install (name, value) VALUES ('moved_to', ?)", (place,))


def _newest(db: sqlite3.Connection) -> tuple[str, int] | None:
    row = db.execute("SELECT value FROM install WHERE name = 'install_id'").fetchone()
    return None if row is None else (str(row[0]), newest_batch(db))


class CareVerbs:
    """Each is one transaction."""

    _writer: Connection
    _reader: Connection

    async def health(self) -> Health:
        return await self._reader.read(_health)

    async def damage(self) -> list[str]:
        """What SQLite itself finds broken in the file, which is read whole; sound: nothing.

        Raises:
            StoreBroken: so much is broken that it cannot even be looked for.
        """
        return await self._reader.read(_damage)

    async def moved_to(self) -> str | None:
        return await self._reader.read(_moved_to)

    async def mark_moved(self, place: str | None) -> None:
        await self._writer.write(_mark_moved, place)

    async def renew_mark(self, mark: Mark) -> None:
        """Make *mark* say that the store knows all of its batches."""
        newest = await self._reader.read(_newest)
        if newest is not None:
            mark.write(*newest)

"""How the server keeps up with what is rewritten, and whether the store went on elsewhere."""

from datetime import UTC, timedelta
from typing import Final

from runner.store.care import Health, TableHealth
from runner.store.postgres.connection import Connection, Db

_HOT: Final = ("tasks", "attempts", "batches", "inbox")
"""What every step rewrites, or fills and empties."""


def _health(db: Db) -> Health:
    tables = db.execute(
        """
        SELECT relname, n_live_tup, n_dead_tup, greatest(last_autovacuum, last_vacuum)
          FROM pg_stat_user_tables
         WHERE schemaname = current_schema() AND relname = ANY(%s::text[]) ORDER BY relname
        """,
        (list(_HOT),),
    ).fetchall()
    # Of other users' sessions the times show only to members of pg_read_all_stats.
    open_since, size = db.execute(
        """
        SELECT extract(epoch FROM clock_timestamp() - least(
                   (SELECT min(xact_start) FROM pg_stat_activity
                     WHERE datname = current_database() AND backend_type = 'client backend'
                       AND pid <> pg_backend_pid()),
                   (SELECT min(prepared) FROM pg_prepared_xacts
                     WHERE database = current_database())))::float8,
               pg_database_size(current_database())
        """
    ).fetchone()
    return Health(
        bytes=size,
        tables=tuple(
            TableHealth(
                name=name,
                live=live,
                dead=dead,
                vacuumed_at=None if vacuumed is None else vacuumed.astimezone(UTC),
            )
            for name, live, dead, vacuumed in tables
        ),
        oldest_transaction=None if open_since is None else timedelta(seconds=open_since),
    )


def _moved_to(db: Db) -> str | None:
    row = db.execute("SELECT value FROM install WHERE name = 'moved_to'").fetchone()
    return None if row is None else str(row[0])


def _mark_moved(db: Db, place: str | None) -> None:
    db.execute("DELETE FROM install WHERE name = 'moved_to'")
    if place is not None:
        db.execute("INSERT INTO install (name, value) VALUES ('moved_to', %s)", (place,))


class CareVerbs:
    """Each is one transaction."""

    _writer: Connection
    _reader: Connection

    async def health(self) -> Health:
        return await self._reader.read(_health)

    async def moved_to(self) -> str | None:
        return await self._reader.read(_moved_to)

    async def mark_moved(self, place: str | None) -> None:
        await self._writer.write(_mark_moved, place)

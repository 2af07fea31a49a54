"""The numbered files of ``migrations/postgres``: one transaction each, under one lock for all."""

import re
from datetime import datetime
from typing import Final

from runner.clock import to_ms
from runner.errors import StoreBroken
from runner.failpoints import Point, hit
from runner.store.migrate import Migration, not_current, unapplied
from runner.store.postgres.connection import Db

_LOCK: Final = 0x72756E7267
"""The advisory lock that a process holds while it migrates."""

_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS migrations (
    number     integer PRIMARY KEY,
    name       text    NOT NULL,
    sha256     text    NOT NULL,
    applied_at bigint  NOT NULL
)
"""


def migrate(db: Db, migrations: list[Migration], *, now: datetime) -> str | None:
    """Apply the first migration that is missing, in the transaction of *db*; None: none was.

    Raises:
        StoreBroken: the database is newer than this program, another program's, or an applied file
            was edited.
    """
    db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    pending = _pending(db, migrations)
    if not pending:
        return None
    first = pending[0]
    if not re.sub(r"--[^\n]*", "", first.sql).rstrip().endswith(";"):
        raise StoreBroken(f"{first.name} does not end with a complete statement")
    db.execute(_LEDGER)
    db.execute(first.sql)
    db.execute(
        "INSERT INTO migrations (number, name, sha256, applied_at) VALUES (%s, %s, %s, %s)",
        (first.number, first.name, first.sha256, to_ms(now)),
    )
    hit(Point.STORE_MIGRATING)
    return first.name


def check_current(db: Db, migrations: list[Migration]) -> None:
    """Check that the database can be read as it is; nothing is changed.

    Raises:
        StoreBroken: it is newer or older than this program, another program's, or was made with an
            edited file.
    """
    if pending := _pending(db, migrations):
        raise not_current(len(pending), len(migrations))


def _pending(db: Db, migrations: list[Migration]) -> list[Migration]:
    tables = {
        name
        for (name,) in db.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        )
    }
    if not tables:
        return migrations
    columns = {
        name
        for (name,) in db.execute(
            """
            SELECT a.attname
              FROM pg_attribute a
              JOIN pg_class c ON c.oid = a.attrelid
              JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = current_schema() AND c.relname = 'migrations' AND a.attnum > 0
            """
        )
    }
    if not columns.issuperset(("number", "name", "sha256", "applied_at")):
        raise StoreBroken(
            "this database belongs to another program",
            how="name another database, or another schema with ?options=-csearch_path%3DSCHEMA",
        )
    applied = db.execute("SELECT number, name, sha256 FROM migrations ORDER BY number").fetchall()
    return unapplied(applied, migrations)

"""Numbered SQL files, applied once each and never edited after a release.

    0001_queue.sql   0002_….sql   …      one transaction per file, its SHA-256 in ``migrations``

Refused: a gap in the numbers, a file that was edited after it was applied, a store that a newer
program has migrated further, a file whose last statement lacks its semicolon.
"""

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from runner.clock import to_ms
from runner.errors import StoreBroken

_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS migrations (
    number     INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    sha256     TEXT    NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path) -> list[Migration]:
    """The migrations in *folder*, in order.

    Raises:
        StoreBroken: a name does not fit, or a number is missing.
    """
    found = []
    for file in folder.iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            found.append(Migration(int(match[1]), file.name, file.read_text(encoding="utf-8")))
        elif file.name.endswith(".sql"):
            raise StoreBroken(f"{file.name} is no migration: its name must be like 0001_name.sql")
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise StoreBroken(f"migrations are not numbered 1 to {len(found)} without a gap")
    return found


def statements(migration: Migration) -> Iterator[str]:
    """The statements of one file; triggers and semicolons inside strings are understood.

    Raises:
        StoreBroken: text is left after the last complete statement.
    """
    pending = ""
    # executescript would commit what stands before it, so the file is taken apart here.
    for piece in re.split(r"(?<=;)", migration.sql):
        pending += piece
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if re.sub(r"--[^\n]*", "", pending).strip():
        raise StoreBroken(f"{migration.name} does not end with a complete statement")


def migrate(db: sqlite3.Connection, migrations: list[Migration], now: datetime) -> list[str]:
    """Bring the database up to date; returns the names applied. Safe from several processes.

    Raises:
        StoreBroken: the database is newer than this program, or an applied file was edited.
    """
    applied = []
    for migration in [None, *migrations]:
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute(_LEDGER)
            if _pending(db, migrations, migration):
                assert migration is not None
                for statement in statements(migration):
                    db.execute(statement)
                db.execute(
                    "INSERT INTO migrations (number, name, sha256, applied_at) VALUES (?, ?, ?, ?)",
                    (migration.number, migration.name, migration.sha256, to_ms(now)),
                )
                applied.append(migration.name)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    return applied


def _pending(
    db: sqlite3.Connection, migrations: list[Migration], migration: Migration | None
) -> bool:
    """Whether *migration* is still to be applied, after checking those that were."""
    known = {migration.number: migration for migration in migrations}
    numbers = set()
    for number, name, sha256 in db.execute("SELECT number, name, sha256 FROM migrations"):
        numbers.add(number)
        if number not in known:
            raise StoreBroken(
                f"the store is newer than this program: it has {name}, we know {len(migrations)} "
                f"migrations",
                how="install the version of runner that last used this store, or a newer one",
            )
        if known[number].sha256 != sha256:
            raise StoreBroken(
                f"{name} differs from the file this store was made with",
                how="reinstall runner; migrations are never edited after a release",
            )
    return migration is not None and migration.number not in numbers

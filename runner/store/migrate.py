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
from runner.failpoints import Point, hit

_NAME: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_LEDGER: Final = """
CREATE TABLE IF NOT EXISTS migrations (
    number     INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    sha256     TEXT    NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT
"""


class NoStoreYet(StoreBroken):
    """The database is there, and nothing of ours is in it."""


class StoreOlder(StoreBroken):
    """The store lacks migrations; a command that writes applies them."""


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
        StoreBroken: the database is newer than this program, another program's, or an applied file
            was edited.
    """
    applied: list[str] = []
    while True:
        db.execute("BEGIN IMMEDIATE")
        try:
            pending = to_apply(db, migrations)
            if pending:
                _apply(db, pending[0], now)
                applied.append(pending[0].name)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if len(pending) <= 1:
            return applied


def check_current(db: sqlite3.Connection, migrations: list[Migration]) -> None:
    """Check that the database can be read as it is; nothing is changed.

    Raises:
        StoreBroken: it is newer or older than this program, another program's, or was made with an
            edited file.
    """
    pending = to_apply(db, migrations)
    if pending:
        raise not_current(len(pending), len(migrations))


def _apply(db: sqlite3.Connection, migration: Migration, now: datetime) -> None:
    db.execute(_LEDGER)
    for statement in statements(migration):
        db.execute(statement)
    db.execute(
        "INSERT INTO migrations (number, name, sha256, applied_at) VALUES (?, ?, ?, ?)",
        (migration.number, migration.name, migration.sha256, to_ms(now)),
    )
    hit(Point.STORE_MIGRATING)


def to_apply(db: sqlite3.Connection, migrations: list[Migration]) -> list[Migration]:
    """The migrations still to be applied, after checking those that were.

    Raises:
        StoreBroken: as ``migrate``.
    """
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    if not tables:
        return migrations
    columns = {name for (name,) in db.execute("SELECT name FROM pragma_table_info('migrations')")}
    if not columns.issuperset(("number", "name", "sha256", "applied_at")):
        raise StoreBroken(
            "this database belongs to another program",
            how="name another file with --store",
        )
    rows = db.execute("SELECT number, name, sha256 FROM migrations ORDER BY number").fetchall()
    return unapplied(rows, migrations)


def unapplied(applied: list[tuple[int, str, str]], migrations: list[Migration]) -> list[Migration]:
    """The *migrations* that the ledger *applied* (number, name, SHA-256, in order) lacks.

    Raises:
        StoreBroken: it knows more than this program, or another text of a file.
    """
    known = {migration.number: migration for migration in migrations}
    for number, name, sha256 in applied:
        if number not in known:
            raise StoreBroken(
                f"the store is newer than this program: it has {applied[-1][1]}, "
                f"this program ends with {migrations[-1].name}",
                how="install the version of runner that last used this store, or a newer one",
            )
        if known[number].sha256 != sha256:
            raise StoreBroken(
                f"{name} differs from the file this store was made with",
                how="reinstall runner; migrations are never edited after a release",
            )
    done = {number for number, _, _ in applied}
    return [migration for migration in migrations if migration.number not in done]


def not_current(pending: int, all: int) -> StoreBroken:
    """The store lacks *pending* of *all* migrations."""
    if pending == all:
        return NoStoreYet(
            "there is no store in this database yet",
            how="a command that writes makes it: runner run, or load; or runner db copy --to it",
        )
    return StoreOlder(
        f"the store is older than this program: it has {all - pending} of {all} migrations",
        how="a command that writes to the store brings it up to date: runner run",
    )

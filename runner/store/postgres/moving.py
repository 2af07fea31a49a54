"""A whole store from a file to a server, or back: every row as it is, and proof that it arrived.

Both have the same tables and columns. What triggers keep is copied like the rest, so they rest
meanwhile. The copy counts only if each table adds up to the same on both sides.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final, Protocol

from runner.errors import StoreBroken, WrongInput
from runner.store.postgres.connection import Db

_FETCHED_AT_ONCE: Final = 500
_MODULUS: Final = 1 << 128
_STAYS: Final = frozenset({"host", "moved_to"})
"""Of the table ``install``: what is said of the place, not of the store."""

Row = Sequence[object]


@dataclass(frozen=True, slots=True)
class Moved:
    """What was copied."""

    tables: int
    rows: int


@dataclass(frozen=True, slots=True)
class _Sum:
    """How many rows a table has, and the sum of their digests: no order is needed."""

    rows: int
    digests: int


class _Side(Protocol):
    """A store within a transaction."""

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]: ...

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None: ...

    def highest(self) -> int:
        """The highest id that was ever given to a task."""

    def go_on_after(self, tables: Iterable[str], task: int) -> None:
        """Let the next ids be new ones, those of tasks above *task*."""


def to_server(db: Db, path: Path) -> Moved:
    """Copy the store in *path* into the database of *db*, which must be an empty store.

    Raises:
        WrongInput: there is something in it, or a post is under way in *path*.
        StoreBroken: not everything arrived; nothing is kept.
    """
    with closing(_opened(path)) as file:
        file.execute("BEGIN")
        tables = tables_of(file)
        server = Server(db)
        server.prepare(tables)
        for table in tables:
            if db.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0]:
                raise WrongInput(
                    "the database to copy to is not empty",
                    where=f"table {table}",
                    how="name an empty database",
                )
            db.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        moved = _copy(_File(file), server, tables)
        for table in tables:
            db.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        return moved


def to_file(db: Db, path: Path) -> Moved:
    """Copy the store of *db* into the one in *path*, which must be new.

    Raises:
        WrongInput: a post is under way.
        StoreBroken: not everything arrived; nothing is kept.
    """
    with closing(_opened(path)) as file:
        file.execute("PRAGMA synchronous = FULL")
        file.execute("BEGIN IMMEDIATE")
        tables = tables_of(file)
        server = Server(db)
        triggers = file.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            file.execute(f"DROP TRIGGER {name}")
        moved = _copy(server, _File(file), tables)
        for _, sql in triggers:
            file.execute(sql)
        file.execute("COMMIT")
        return moved


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def tables_of(file: sqlite3.Connection) -> dict[str, list[str]]:
    """Every table's columns; a table stands behind those that it refers to."""
    names = file.execute(
        """
        SELECT name FROM sqlite_schema
         WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'migrations' ORDER BY rowid
        """
    ).fetchall()
    refers = {
        name: {to for _, _, to, *_ in file.execute(f"PRAGMA foreign_key_list({name})")} - {name}
        for (name,) in names
    }
    return {
        # 0: neither hidden nor made from others.
        name: [
            column
            for _, column, *_, hidden in file.execute(f"PRAGMA table_xinfo({name})")
            if hidden == 0
        ]
        for name in TopologicalSorter(refers).static_order()
    }


def _copy(source: _Side, target: _Side, tables: dict[str, list[str]]) -> Moved:
    if any(state == "posting" for (state,) in source.rows("tasks", ["state"])):
        raise WrongInput(
            "a post is under way in this store, or its engine died in one",
            why="whether it will be paid is not known yet, and two stores would find out",
            how="wait for it, or put it in doubt with: runner poll --wait 0",
        )
    copied = 0
    for table, columns in tables.items():
        target.fill(table, columns, _moving(source, table, columns))
        sent, arrived = (_sum(_moving(side, table, columns)) for side in (source, target))
        if sent != arrived:
            raise StoreBroken(
                f"table {table} did not arrive as it is: {sent.rows} rows there, {arrived.rows}"
                " here, or other values",
                how="nothing was kept; copy again",
            )
        copied += sent.rows
    target.go_on_after(tables, source.highest())
    return Moved(tables=len(tables), rows=copied)


def _moving(side: _Side, table: str, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of *table* that go along."""
    rows = side.rows(table, columns)
    if table == "install":
        name = columns.index("name")
        return (row for row in rows if row[name] not in _STAYS)
    return rows


def _sum(rows: Iterable[Row]) -> _Sum:
    count, digests = 0, 0
    for row in rows:
        # A text's NUL becomes U+FFFD on a server, which has none (``connection``).
        said = repr([v.replace("\x00", "\ufffd") if isinstance(v, str) else v for v in row])
        digest = hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        count, digests = count + 1, (digests + int.from_bytes(digest)) % _MODULUS
    return _Sum(count, digests)


class _File:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        yield from self._db.execute(f"SELECT {', '.join(columns)} FROM {table}")

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        marks = ", ".join("?" * len(columns))
        self._db.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def highest(self) -> int:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'tasks'").fetchone()
        return int(row[0]) if row else 0

    def go_on_after(self, tables: Iterable[str], task: int) -> None:
        self._db.execute("DELETE FROM sqlite_sequence WHERE name = 'tasks'")
        self._db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('tasks', ?)", (task,))


class Server:
    """A store on a server, within a transaction."""

    def __init__(self, db: Db) -> None:
        self._db = db
        # A night's answers take longer than any verb may.
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            db.execute(f"SET LOCAL {name} = 0")

    def prepare(self, tables: Iterable[str]) -> None:
        """Nobody writes here until all of it is saved."""
        self._db.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")

    def rows(self, table: str, columns: Sequence[str], which: str = "true") -> Iterator[Row]:
        """The rows of *table* that *which* is true of, some hundreds in memory at a time."""
        self._db.execute(
            f"DECLARE moving CURSOR FOR SELECT {', '.join(columns)} FROM {table} WHERE {which}"
        )
        while rows := self._db.execute(f"FETCH {_FETCHED_AT_ONCE} FROM moving").fetchall():
            yield from rows
        self._db.execute("CLOSE moving")

    def fill(self, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
        self._db.copy(table, ", ".join(columns), rows)

    def highest(self) -> int:
        last, called = self._db.execute("SELECT last_value, is_called FROM tasks_id_seq").fetchone()
        return int(last) if called else 0

    def go_on_after(self, tables: Iterable[str], task: int) -> None:
        for table, sequence in self._db.execute(
            """
            SELECT table_name, pg_get_serial_sequence(table_name, column_name)
              FROM information_schema.columns
             WHERE table_schema = current_schema() AND is_identity = 'YES'
               AND table_name = ANY(%s::text[])
            """,
            (list(tables),),
        ).fetchall():
            given = task if table == "tasks" else 0
            self._db.execute(
                f"""
                SELECT setval(%s, greatest(max(id), %s)) FROM {table}
                HAVING greatest(max(id), %s) > 0
                """,
                (sequence, given, given),
            )

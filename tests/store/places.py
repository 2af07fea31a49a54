"""Where a store is, for tests that look behind the protocol on either database."""

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol

import psycopg

from runner.store.postgres.store import PostgresStore
from runner.store.postgres.store import open_store as open_postgres
from runner.store.protocol import TaskStore
from runner.store.sqlite.store import SqliteStore
from runner.store.sqlite.store import open_store as open_sqlite
from tests.support.clock import ManualClock
from tests.support.postgres import Server, time_of

AnyStore = SqliteStore | PostgresStore
"""With the verbs that are not the pipeline's."""


class Place(Protocol):
    """One store."""

    def open(self, clock: ManualClock) -> AbstractAsyncContextManager[TaskStore]:
        """As a new start of the program would open it."""

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query of ours finds, past the store's own verbs."""

    def damage(self, sql: str) -> None:
        """Do what no verb does."""

    def watch(self) -> None:
        """Note every change of state that really happens, whichever statement makes it, in the
        table ``moves_seen`` (task_id, old, new)."""


class FilePlace:
    """A store on SQLite."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @contextmanager
    def made(cls) -> Iterator["FilePlace"]:
        folder = tempfile.mkdtemp()
        try:
            yield cls(Path(folder) / "runner.db")
        finally:
            shutil.rmtree(folder)

    def open(self, clock: ManualClock) -> AbstractAsyncContextManager[TaskStore]:
        return open_sqlite(self.path, clock=clock)

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute(sql).fetchall()

    def damage(self, sql: str) -> None:
        with closing(sqlite3.connect(self.path)) as db, db:
            db.execute(sql)

    def watch(self) -> None:
        with closing(sqlite3.connect(self.path)) as db:
            db.executescript(
                """
                CREATE TABLE moves_seen (task_id INTEGER, old TEXT, new TEXT);
                CREATE TRIGGER watch_moves AFTER UPDATE OF state ON tasks
                WHEN OLD.state <> NEW.state
                BEGIN
                    INSERT INTO moves_seen VALUES (OLD.id, OLD.state, NEW.state);
                END;
                """
            )


class ServerPlace:
    """A store on PostgreSQL."""

    server: ClassVar[Server | None] = None

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    @classmethod
    @contextmanager
    def made(cls) -> Iterator["ServerPlace"]:
        assert cls.server is not None
        with cls.server.database() as dsn:
            yield cls(dsn)

    def open(self, clock: ManualClock) -> AbstractAsyncContextManager[TaskStore]:
        return open_postgres(self.dsn, clock=clock, time_of=time_of(clock), may_lose=True)

    def read(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.dsn, autocommit=True) as db:
            return db.execute(sql.encode()).fetchall()

    def damage(self, sql: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as db:
            db.execute(re.sub(r"x'(..)'", r"'\\\\x\1'", sql).encode())

    def watch(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as db:
            # The database may have been watched before, and was emptied since.
            db.execute(
                """
                CREATE TABLE IF NOT EXISTS moves_seen (task_id bigint, old text, new text);
                CREATE OR REPLACE FUNCTION watch_moves() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    INSERT INTO moves_seen VALUES (OLD.id, OLD.state, NEW.state);
                    RETURN NULL;
                END $$;
                CREATE OR REPLACE TRIGGER watch_moves AFTER UPDATE ON tasks
                    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION watch_moves();
                TRUNCATE moves_seen;
                """
            )

"""One SQLite connection on aiosqlite, used a whole transaction at a time.

    stage ── await write(verb, …) ──▶ the connection's thread: BEGIN IMMEDIATE · verb · COMMIT

A verb is a plain function of a ``sqlite3.Connection``: one thread hop however many statements it
runs (an await per statement costs 4 to 8 times the CPU), and a cancelled caller can never leave a
transaction half-way, because the thread finishes what it began.
"""

import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import aiosqlite
import anyio

from runner.errors import StoreBroken
from runner.store.protocol import StoreUnwritable

P = ParamSpec("P")
T = TypeVar("T")

OLDEST_SQLITE: Final = (3, 37, 0)
"""STRICT tables."""

_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
    }
)
"""Primary result codes under which nothing was changed and a later try may succeed."""


class Connection:
    """Whole transactions, one after the other."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def write(
        self,
        verb: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run *verb* as one durable transaction; all or nothing.

        Raises:
            StoreUnwritable: it could not be saved and may be tried again.
        """
        return await self._run(_transaction, "BEGIN IMMEDIATE", verb, args, kwargs)

    async def read(
        self,
        query: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run *query* on one consistent view of the data."""
        return await self._run(_transaction, "BEGIN", query, args, kwargs)

    async def call(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run *work*, which makes transactions of its own."""
        return await self._run(_call, work, args, kwargs)

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        # The only use of a private name of aiosqlite: it has no public way to run a function of
        # ours in the connection's thread. Pinned below 1.0 in pyproject.toml and tested.
        run: Callable[..., Awaitable[T]] = self._db._execute
        with anyio.CancelScope(shield=True):
            return await run(call, self._db._conn, *args)


def _call(
    db: sqlite3.Connection,
    work: Callable[..., T],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> T:
    return work(db, *args, **kwargs)


def _transaction(
    db: sqlite3.Connection,
    begin: str,
    verb: Callable[..., T],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> T:
    try:
        db.execute(begin)
        try:
            result = verb(db, *args, **kwargs)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in _PASSING:
            raise StoreUnwritable(f"the store cannot be written: {error}") from error
        raise
    return result


@asynccontextmanager
async def connect(path: Path, *, read_only: bool = False) -> AsyncIterator[Connection]:
    """Open the database file; it is created with mode 0600.

    Raises:
        StoreBroken: SQLite is too old, the file is no database, or cannot be opened.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreBroken(
            f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed",
            how="use a Python that brings a newer SQLite",
        )
    if not read_only:
        _create_private(path)
    try:
        async with aiosqlite.connect(
            f"{path.resolve().as_uri()}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            isolation_level=None,
            cached_statements=256,
        ) as db:
            await db.execute("PRAGMA busy_timeout = 10000")
            await db.execute("PRAGMA foreign_keys = ON")
            await db.execute("PRAGMA cache_size = -8192")
            if not read_only:
                await db.execute("PRAGMA journal_mode = WAL")
                await db.execute("PRAGMA synchronous = FULL")
                await db.execute("PRAGMA temp_store = MEMORY")
            yield Connection(db)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) in (
            sqlite3.SQLITE_NOTADB,
            sqlite3.SQLITE_CORRUPT,
        ):
            raise StoreBroken(f"{path} is not a usable runner store: {error}") from error
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CANTOPEN:
            raise StoreBroken(
                f"cannot open the store {path}", how="check that the folder exists and is writable"
            ) from error
        raise


def _create_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreBroken(
            f"cannot create the store {path}: {error.strerror}",
            how="check that the folder exists and is writable, or name another file with --store",
        ) from error

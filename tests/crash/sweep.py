"""Dies at one failpoint, starts again without it, and asks the account what was paid."""

import asyncio
import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Final

from runner.failpoints import Point
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault, Strike
from runner.simulator.latency import Latency, Shape
from runner.simulator.scenario import Scenario
from runner.simulator.server import SimulatorServer, serve
from runner.simulator.timing import ScaledClock
from tests.support.commands import JOB, QUESTIONS, brands_csv
from tests.support.lives import KILLED, Books, Home, books
from tests.support.postgres import Server
from tests.support.warm import Warm

TASKS: Final = 2 * len(QUESTIONS)
AT_ONCE: Final = 16
"""Cases under way together: they mostly wait."""


class Fate(Enum):
    """What becomes of the run's first post."""

    TAKEN = None
    NOT_TAKEN = Fault.DROP_BEFORE
    ANSWER_LOST = Fault.DROP_AFTER


@dataclass(frozen=True)
class Case:
    """One death."""

    point: Point
    fate: Fate
    before: Point | None = None
    """Where an earlier life ended."""
    held_back: bool = False
    """No answer is there before the death, and the day's audit is made: only the reconciler can
    find what is in doubt, and the run cannot end before it has."""

    def __str__(self) -> str:
        return f"{self.point} · {self.fate.name.lower()}"


_HELD_BACK: Final = Latency(Shape.CONSTANT, 60.0)


class Kept(Enum):
    """Where the store is."""

    FILE = "a file"
    SERVER = "a server"


@dataclass(frozen=True)
class Means:
    """What all cases share."""

    server: Server
    warm: Warm

    @contextmanager
    def home(
        self, kept: Kept, folder: Path, api: SimulatorServer, *, empty: bool = False
    ) -> Iterator[Home]:
        """A home whose commands call *api*; *empty*: on a server even the tables are missing."""
        with ExitStack() as stack:
            dsn = None
            if kept is Kept.SERVER:
                dsn = stack.enter_context(self.server.database(empty=empty))
            yield Home(folder=folder, url=api.url, dsn=dsn, warm=self.warm)


Wrong = tuple[Case, Kept, str]


async def sweep(folder: Path, cases: Iterable[Case], means: Means) -> list[Wrong]:
    """Carry out all *cases* on both stores, some at a time; what went wrong in which."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case, kept: Kept) -> Wrong | None:
        own = folder / f"{case.point}-{case.fate.name}-{kept.name}"
        async with free:
            said = await _carry_out(own, case, kept, means)
        return None if said is None else (case, kept, said)

    ended = await asyncio.gather(*(one(case, kept) for case in cases for kept in Kept))
    return [wrong for wrong in ended if wrong is not None]


async def _carry_out(folder: Path, case: Case, kept: Kept, means: Means) -> str | None:
    folder.mkdir()
    (folder / "brands.toml").write_text(JOB, encoding="utf-8")
    (folder / "brands.csv").write_text(brands_csv(), encoding="utf-8")
    making = case.point is Point.STORE_MIGRATING
    with account_of_a_moment() as account:
        if case.held_back:
            account.change(replace(account.scenario, latency=_HELD_BACK))
        if case.fate.value is not None:
            account.faults.arm(Strike(fault=case.fate.value, call=CallKind.TASK_POST))
        async with serve(account) as api:
            with means.home(kept, folder, api, empty=making) as home:
                if wrong := await _die_and_go_on(home, case, account):
                    return wrong
                found = await books(home, account.ledger.entries(account.now_ms()))
    return complaint(found) or _about_the_export(folder / "out" / "brands.csv")


async def _die_and_go_on(home: Home, case: Case, account: Account) -> str | None:
    if case.held_back:
        for command in (("load", "brands.toml"), ("cost", "--reconcile")):
            code, said = await home.live(*command)
            if code != 0:
                return f"{command} ended with {code}: {said}"
    if case.before is not None:
        code, said = await home.live("run", "brands.toml", die_at=case.before)
        if code != KILLED:
            return f"the life before it ended with {code}: {said}"
    code, said = await home.live("run", "brands.toml", die_at=case.point)
    if code != KILLED:
        return f"never reached; the run ended with {code}: {said}"
    if case.held_back:
        pass_time(account, timedelta(seconds=_HELD_BACK.seconds))
    code, said = await home.live("run", "brands.toml")
    return f"the next start ended with {code}: {said}" if code != 0 else None


def account_of_a_moment() -> Account:
    """An account that answers at once and lets everything through; its time may be moved."""
    account = Account(
        Scenario(latency=Latency(Shape.UNIFORM, 0.0, 0.2), calls_per_minute=100_000),
        clock=ScaledClock(1.0),
    )
    account.deposit(account.scenario.balance)
    return account


def pass_time(account: Account, time: timedelta) -> None:
    """Let *time* pass at once."""
    assert isinstance(account.clock, ScaledClock)
    account.clock.advance(time)


def complaint(found: Books) -> str | None:
    """What is not as it has to be when all is over."""
    checks: dict[str, Callable[[], bool]] = {
        "each task is created once": lambda: (found.created, found.paid_twice) == (TASKS, 0),
        "none is lost": lambda: found.states == {"completed": TASKS},
        "the bill is the ledger's": lambda: found.charged == found.billed,
        "no money is at risk": lambda: found.at_risk == 0,
        "the store agrees with itself": lambda: not found.breaches,
    }
    broken = [name for name, holds in checks.items() if not holds()]
    return f"not so: {'; '.join(broken)}. {found}" if broken else None


def _about_the_export(path: Path) -> str | None:
    with path.open(encoding="utf-8", newline="") as file:
        rows = len(list(csv.reader(file)))
    left = [part.name for part in path.parent.glob(".runner-export-*.part")]
    if rows == TASKS + 1 and not left:
        return None
    return f"{path.name} has {rows} rows, and left behind is {left}"

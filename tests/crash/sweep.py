"""Dies at one failpoint, starts again without it, and asks the account what was paid."""

import asyncio
import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from runner.clock import SystemClock
from runner.failpoints import Point
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault, Strike
from runner.simulator.latency import Latency, Shape
from runner.simulator.scenario import Scenario
from runner.simulator.server import serve
from tests.support.commands import JOB, QUESTIONS, brands_csv
from tests.support.lives import KILLED, Books, Home, books

TASKS: Final = 2 * len(QUESTIONS)
AT_ONCE: Final = 8
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

    def __str__(self) -> str:
        return f"{self.point} · {self.fate.name.lower()}"


Wrong = tuple[Case, str]


async def sweep(folder: Path, cases: Iterable[Case]) -> list[Wrong]:
    """Carry out all *cases*, a few at a time; what went wrong in which."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(case: Case) -> Wrong | None:
        async with free:
            said = await _carry_out(folder / f"{case.point}-{case.fate.name}", case)
            return None if said is None else (case, said)

    ended = await asyncio.gather(*(one(case) for case in cases))
    return [wrong for wrong in ended if wrong is not None]


async def _carry_out(folder: Path, case: Case) -> str | None:
    folder.mkdir()
    (folder / "brands.toml").write_text(JOB, encoding="utf-8")
    (folder / "brands.csv").write_text(brands_csv(), encoding="utf-8")
    with account_of_a_moment() as account:
        if case.fate.value is not None:
            account.faults.arm(Strike(fault=case.fate.value, call=CallKind.TASK_POST))
        async with serve(account) as server:
            home = Home(folder=folder, url=server.url)
            if case.before is not None:
                code, said = await home.live("run", "brands.toml", die_at=case.before)
                if code != KILLED:
                    return f"the life before it ended with {code}: {said}"
            code, said = await home.live("run", "brands.toml", die_at=case.point)
            if code != KILLED:
                return f"never reached; the run ended with {code}: {said}"
            code, said = await home.live("run", "brands.toml")
            if code != 0:
                return f"the next start ended with {code}: {said}"
            found = await books(home, account.ledger.entries(account.now_ms()))
    return complaint(found) or _about_the_export(folder / "out" / "brands.csv")


def account_of_a_moment() -> Account:
    """An account that answers at once and lets everything through."""
    account = Account(
        Scenario(latency=Latency(Shape.UNIFORM, 0.0, 0.2), calls_per_minute=100_000),
        clock=SystemClock(),
    )
    account.deposit(account.scenario.balance)
    return account


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

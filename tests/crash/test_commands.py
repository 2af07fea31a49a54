"""Death inside the commands of a person, and inside the last verdict of all.

Each of these is one transaction: it has happened or it has not, and the same command can be given
again.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from runner.failpoints import Point
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault, Strike
from runner.simulator.server import serve
from tests.crash.sweep import TASKS, Kept, Means, account_of_a_moment, pass_time
from tests.support.commands import JOB, brands_csv
from tests.support.lives import KILLED, Home, books
from tests.support.waiting import until


@dataclass(frozen=True)
class Place:
    """A home and the account that it uses."""

    home: Home
    account: Account

    def arm(self, fault: Fault, *, times: int = 1, match: str | None = None) -> None:
        self.account.faults.arm(
            Strike(fault=fault, call=CallKind.TASK_POST, times=times, match=match)
        )

    async def killed(self, point: Point, *arguments: str) -> None:
        code, said = await self.home.live(*arguments, die_at=point)
        assert code == KILLED, said

    async def ends(self, code: int, *arguments: str) -> None:
        ended, said = await self.home.live(*arguments)
        assert ended == code, said

    async def check_books(self, created: int) -> None:
        found = await books(self.home, self.account.ledger.entries(self.account.now_ms()))
        assert (found.created, found.charged) == (created, found.billed)
        assert not found.breaches


@dataclass(frozen=True)
class Ground:
    """Where a test takes place."""

    folder: Path
    kept: Kept
    means: Means

    @asynccontextmanager
    async def prepared(self) -> AsyncIterator[Place]:
        """The job ``brands`` and the account that it asks."""
        (self.folder / "brands.toml").write_text(JOB, encoding="utf-8")
        (self.folder / "brands.csv").write_text(brands_csv(), encoding="utf-8")
        with account_of_a_moment() as account:
            async with serve(account) as api:
                with self.means.home(self.kept, self.folder, api) as home:
                    yield Place(home, account)


@pytest.fixture(params=Kept, ids=lambda kept: kept.name.lower())
def ground(request: pytest.FixtureRequest, tmp_path: Path, means: Means) -> Ground:
    """Each of these tests takes place on both stores."""
    return Ground(tmp_path, request.param, means)


async def test_a_retry_that_died_has_put_nothing_back(ground: Ground) -> None:
    """Half a retry would ask some of the tasks in a night when nobody expects it."""
    async with ground.prepared() as here:
        here.arm(Fault.TASK_REFUSED, times=2, match="wide feet")
        await here.ends(1, "run", "brands.toml")
        await here.killed(Point.RETRY_INSIDE, "retry", "--error", "40501")
        assert here.home.states() == {"completed": TASKS - 2, "failed": 2}
        await here.ends(0, "retry", "--error", "40501")
        assert here.home.states() == {"completed": TASKS}
        await here.check_books(TASKS)


async def test_a_pause_a_resume_and_a_cancel_that_died_have_not_happened(
    ground: Ground,
) -> None:
    """Whoever saw no answer gives the command again; nothing is half paused or half dropped."""
    async with ground.prepared() as here:
        here.arm(Fault.PAYMENT_REQUIRED, times=99)
        await here.ends(4, "run", "brands.toml")
        here.account.faults.disarm()
        await here.killed(Point.PAUSE_INSIDE, "pause", "brands")
        assert here.home.rows("SELECT count(*) FROM pauses") == [(0,)]
        await here.ends(0, "pause", "brands")
        await here.killed(Point.RESUME_INSIDE, "resume", "brands")
        assert here.home.rows("SELECT count(*) FROM pauses") == [(1,)]
        await here.ends(3, "run", "brands.toml")
        await here.ends(0, "resume", "brands")
        await here.killed(Point.CANCEL_INSIDE, "cancel", "brands", "--yes")
        assert here.home.states() == {"pending": TASKS}
        await here.ends(0, "cancel", "brands", "--yes")
        assert here.home.states() == {"cancelled": TASKS}
        await here.check_books(0)


async def test_a_decision_about_edits_that_died_asks_nothing(
    ground: Ground,
) -> None:
    """`--changed ask` pays for a second answer: all that was meant, or none."""
    async with ground.prepared() as here:
        await here.ends(0, "run", "brands.toml")
        job = here.home.folder / "brands.toml"
        job.write_text(JOB.replace("0.3", "0.4"), encoding="utf-8")
        again = ("run", "brands.toml", "--changed", "ask")
        await here.killed(Point.CHANGES_INSIDE, *again)
        assert here.home.states() == {"completed": TASKS}
        assert len(here.account.ledger.tasks) == TASKS
        await here.ends(0, *again)
        assert here.home.states() == {"completed": TASKS}
        await here.check_books(TASKS + TASKS // 2)


@pytest.mark.parametrize("point", [Point.QUARANTINE_INSIDE, Point.QUARANTINED])
async def test_a_last_verdict_that_died_is_spoken_again_and_pays_nothing(
    ground: Ground, point: Point
) -> None:
    """Without a listing nothing is ever sent again, however often the process dies over it."""
    async with ground.prepared() as here:
        here.account.change(
            replace(
                here.account.scenario, listing=False, user_data_per_minute=99, ready_per_minute=99
            )
        )
        here.arm(Fault.DROP_BEFORE)
        first = await here.home.begin("run", "brands.toml")
        await until(lambda: here.home.rows("SELECT 1 FROM batches WHERE seen_api_at NOTNULL"))
        await until(lambda: here.home.states()["completed"] == TASKS // 2)
        first.kill()
        await first.wait()
        pass_time(here.account, timedelta(hours=80))
        here.home.forget_calls()
        await here.killed(point, "run", "brands.toml")
        half = TASKS // 2
        held = "quarantined" if point is Point.QUARANTINED else "unknown"
        assert here.home.states() == {"completed": half, held: half}
        here.home.forget_calls()
        await here.ends(1, "run", "brands.toml")
        assert here.home.states() == {"completed": half, "quarantined": half}
        found = await books(here.home, here.account.ledger.entries(here.account.now_ms()))
        assert (found.created, found.paid_twice) == (half, 0)
        assert found.at_risk > 0

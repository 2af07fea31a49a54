"""A worker that is cut off while its post is in flight: from the store, and from the API.

It is alive and cannot be told from a dead one. What it was posting is in doubt until the account's
listing has shown it, and an answer that it brings late is booked once (FAULTS.md 34).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from runner.errors import Exit
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault, Strike
from runner.simulator.server import serve
from runner.store.postgres.late_replies import TAKEN_FOR_DEAD
from tests.crash.sweep import TASKS, account_of_a_moment, complaint
from tests.support.commands import JOB, brands_csv
from tests.support.lives import Home, books
from tests.support.machines import Machine, machines
from tests.support.postgres import Server
from tests.support.relay import Relay, relay
from tests.support.waiting import until

CHANGES = {"hurry": 10.0}
"""A minute's silence is six seconds."""

IN_FLIGHT_S = 3.0
"""How long the API keeps the first post waiting for its reply."""

VARIABLES = (("RUNNER_SETTLE_SECONDS", "1"), ("RUNNER_POST_TIMEOUT_SECONDS", "6"))

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Ground:
    """A job that is loaded, its account, and the wires of the worker that is cut off."""

    home: Home
    account: Account
    to_store: Relay
    to_api: Relay

    @property
    def far(self) -> Machine:
        """The machine at the end of the wires."""
        assert self.home.dsn is not None
        port = str(urlsplit(self.home.dsn).port)
        dsn = self.home.dsn.replace(f":{port}/", f":{self.to_store.port}/")
        return Machine(self.home, 1, changes=CHANGES, variables={"RUNNER_STORE": dsn})

    def near(self, *options: str) -> Machine:
        """Another one."""
        return Machine(self.home, 2, changes=CHANGES, options=options)

    async def until_in_flight(self) -> None:
        """Until the API has taken the post that it answers late."""
        await until(lambda: self.account.faults.struck.get(Fault.SLOW), within_s=60)

    async def until_all_answered(self) -> None:
        await seen(lambda: self.home.states() == {"completed": TASKS})

    async def check_books(self) -> None:
        found = await books(self.home, self.account.ledger.entries(self.account.now_ms()))
        assert complaint(found) is None
        assert self.home.rows("SELECT kind, message FROM incidents") == []


@asynccontextmanager
async def ground(folder: Path, server: Server) -> AsyncIterator[Ground]:
    (folder / "brands.toml").write_text(JOB, encoding="utf-8")
    (folder / "brands.csv").write_text(brands_csv(), encoding="utf-8")
    with account_of_a_moment() as account, server.database() as dsn:
        slow = Strike(fault=Fault.SLOW, call=CallKind.TASK_POST, seconds=IN_FLIGHT_S)
        account.faults.arm(slow)
        async with (
            serve(account) as api,
            relay(urlsplit(dsn).port or 0) as to_store,
            # All of them know the API by one address.
            relay(urlsplit(api.url).port or 0) as to_api,
        ):
            url = f"http://127.0.0.1:{to_api.port}"
            home = Home(folder=folder, url=url, dsn=dsn, variables=VARIABLES)
            code, said = await home.live("load", "brands.toml")
            assert code == Exit.DONE, said
            yield Ground(home, account, to_store, to_api)


async def seen(condition: Callable[[], object]) -> None:
    """Wait until *condition*, which asks the store, holds."""
    await until(condition, within_s=90, step_s=0.1)


def lost_batches(home: Home) -> int:
    """Posts whose worker was taken for dead."""
    return len(home.rows(f"SELECT 1 FROM batches WHERE message = '{TAKEN_FOR_DEAD}'"))


@pytest.mark.parametrize(
    "roles",
    [
        pytest.param(("--role", "submit"), id="still_in_doubt"),
        pytest.param((), id="found_meanwhile"),
    ],
)
async def test_a_reply_that_reaches_a_worker_cut_off_from_the_store_is_booked_once(
    tmp_path: Path, durable_postgres: Server, roles: tuple[str, ...]
) -> None:
    """F33 and F34: others take it for dead, its post is in doubt, then found or brought by itself:
    in neither case is anything sent or booked again."""
    async with ground(tmp_path, durable_postgres) as here:
        async with machines(here.far):
            await here.until_in_flight()
            here.to_store.cut()
            async with machines(here.near(*roles)):
                await seen(lambda: lost_batches(here.home))
                if roles:
                    assert here.home.states()["unknown"] > 0
                else:
                    await here.until_all_answered()
                here.to_store.heal()
                await here.until_all_answered()
        await here.check_books()


async def test_a_post_that_is_cut_off_from_the_api_is_found_in_the_listing(
    tmp_path: Path, durable_postgres: Server
) -> None:
    """The API has taken it and its reply never comes: the doubt ends when the API can be asked,
    and until then nothing is sent again."""
    async with ground(tmp_path, durable_postgres) as here:
        async with machines(here.far, here.near()):
            await here.until_in_flight()
            here.to_api.cut()
            await seen(lambda: here.home.states()["unknown"])
            posts = here.account.calls.counts[CallKind.TASK_POST]
            here.to_api.heal()
            await here.until_all_answered()
            assert here.account.calls.counts[CallKind.TASK_POST] <= max(posts, 2)
        await here.check_books()

"""One limit for all hosts: four workers whose clocks are far apart, counted by the API itself."""

import asyncio
import json
import time
from pathlib import Path
from typing import Final

import pytest

from runner.errors import Exit
from tests.soak.api import Api
from tests.support.commands import simulated
from tests.support.lives import Home
from tests.support.machines import Machine, machines
from tests.support.postgres import Server
from tests.support.waiting import until

LIMIT: Final = 600
TASKS: Final = 3_000
"""More than can be asked for in the time."""

AHEAD_S: Final = (0.0, 600.0, -600.0, 1_200.0)
FIRST_S: Final = 15.0
"""Until all of them are at work."""

MINUTE_S: Final = 60.0
MINUTES: Final = 3
"""At most: in some of them the machine may do something else for seconds on end."""

JOB: Final = """\
name = "limit"
[input]
file = "limit.csv"
[prompt]
column = "question"
[[targets]]
provider = "gemini"
model = "gemini-2.5-flash"
"""


@pytest.mark.timeout(400)
async def test_four_workers_whose_clocks_differ_use_the_limit_and_never_break_it(
    tmp_path: Path, durable_postgres: Server
) -> None:
    """F77: the API counts each call of the account, whoever made it, in each 60 s; only the
    server's clock can say how many of them are left."""
    (tmp_path / "limit.toml").write_text(JOB, encoding="utf-8")
    rows = "".join(f"What is known about number {n}?\n" for n in range(TASKS))
    (tmp_path / "limit.csv").write_text(f"question\n{rows}", encoding="utf-8")
    options = ("--calls-per-minute", str(LIMIT), "--latency", "200ms")
    with simulated(tmp_path, *options) as served, durable_postgres.database() as dsn:
        api = Api(served.url)
        home = Home(folder=tmp_path, url=served.url, dsn=dsn)
        code, said = await home.live("load", "limit.toml")
        assert code == Exit.DONE, said
        every = [
            Machine(
                home,
                number,
                changes={"ahead_s": ahead_s},
                variables={"RUNNER_CALLS_PER_MINUTE": str(LIMIT)},
            )
            for number, ahead_s in enumerate(AHEAD_S, 1)
        ]
        async with machines(*every):
            await until(lambda: len(asking(home)) == len(every), within_s=60, step_s=0.2)
            await asyncio.sleep(FIRST_S)
            for _ in range(MINUTES):
                before, began = calls_in(await api.ledger()), time.monotonic()
                await asyncio.sleep(MINUTE_S)
                counted = await api.ledger()
                minutes = (time.monotonic() - began) / MINUTE_S
                used = calls_in(counted) - before
                if used / minutes >= 0.95 * LIMIT:
                    break
            assert home.states()["completed"] < TASKS, "there was work all the time"
            codes = [await machine.stop() for machine in every]
        assert sum(counted["calls_over_limit"].values()) == 0
        assert counted["largest_minute"] <= LIMIT
        assert used / minutes >= 0.95 * LIMIT
        assert codes == [Exit.TERMINATED] * len(every)
        assert len(await api.tasks()) <= TASKS


def asking(home: Home) -> list[str]:
    """The hosts that have asked for a part of the limit; who has loaded was one under another."""
    rows = home.rows("SELECT hosts::text FROM account_rates")
    hosts = json.loads(rows[0][0]) if rows else {}
    return [host for host, seen in hosts.items() if seen["setting"] == LIMIT]


def calls_in(ledger: dict[str, dict[str, int]]) -> int:
    """Calls that the account has counted."""
    return sum(ledger["calls"].values())

"""Four workers on one store, while they and the server's backends are being killed (F32)."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from runner.errors import Exit
from tests.soak.__main__ import main, read_plan
from tests.soak.api import simulated
from tests.soak.killing import TARGETS, Plan, write_job, write_rows
from tests.soak.workers import Toll, report
from tests.support.lives import Books, Home, books
from tests.support.machines import terminate_a_backend
from tests.support.postgres import Server

ROWS = 300


def lines_of(said: str) -> dict[str, str]:
    """The report, name by name."""
    return {line[:14].strip(): line[15:] for line in said.splitlines()}


@pytest.mark.timeout(360)
def test_four_workers_that_are_killed_every_second_pay_nothing_twice_and_lose_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any host may die at any moment, and any connection break: the others go on, and the ledger
    of the API is the witness."""
    plan = ["--workers", "4", "--tasks", "5000", "--kills", "50", "--faults", "none", "--seed", "3"]
    code = main([*plan, "--minutes", "5", "--keep", str(tmp_path / "soak")])
    said = capsys.readouterr()
    assert code == 0, said.out + said.err
    found = lines_of(said.out)
    assert (found["tasks"], found["completed"], found["created"]) == ("5000", "5000", "5000")
    assert (found["paid twice"], found["posted by two"], found["lost"]) == ("0", "0", "0")
    assert found["charged"] == found["ledger"]
    assert (found["verify"], found["wrong ends"]) == ("ok", "none")
    assert int(found["kills"]) >= 10
    assert int(found["backends"]) >= 10
    assert int(found["while posting"]) >= 1


@pytest.mark.timeout(240)
async def test_a_run_whose_connections_are_ended_all_the_time_asks_each_task_once(
    tmp_path: Path, durable_postgres: Server
) -> None:
    """F32 and F33: a server that restarts, fails over or ends a session costs time, and neither a
    task nor a cent, in whichever statement or COMMIT it happens."""
    random, ended = Random(7), 0
    write_job(tmp_path)
    write_rows(tmp_path, ROWS)
    with durable_postgres.database() as dsn:
        async with simulated(tmp_path, seed=7, faults=False, listing=True) as api:
            home = Home(folder=tmp_path, url=api.url, dsn=dsn)
            run = asyncio.create_task(home.live("run", "soak.toml"))
            while not run.done():
                ended += terminate_a_backend(home, random)
                await asyncio.sleep(random.uniform(0.1, 0.4))
            code, said = await run
            found = await books(home, await api.tasks())
    assert code == Exit.DONE, said
    assert ended >= 5
    tasks = ROWS * len(TARGETS)
    assert (found.states, found.created, found.paid_twice) == ({"completed": tasks}, tasks, 0)
    assert (found.charged, found.at_risk, found.breaches) == (found.billed, 0, ())


KEPT = Books(
    states=Counter(completed=8),
    created=8,
    paid_twice=0,
    charged=80,
    billed=80,
    at_risk=0,
    breaches=(),
    quarantined_why=Counter(),
)
PLAN = Plan(kills=1, seed=1, tasks=8, faults=True, listing=True, minutes=1, workers=2)


@pytest.mark.parametrize(
    ("toll", "broken"),
    [
        ({}, {"paid_twice": 1}),
        ({"over": False}, {"paid_twice": 1}),
        ({}, {"states": Counter(completed=7, quarantined=1)}),
        ({}, {"created": 9}),
        ({}, {"charged": 79}),
        ({}, {"at_risk": 1}),
        ({}, {"breaches": ("a reserve without an attempt",)}),
        ({"posted_by_two": 1}, {}),
        ({"wrong_ends": [70]}, {}),
    ],
)
def test_a_promise_that_workers_broke_is_not_called_kept(
    toll: dict[str, Any], broken: dict[str, Any]
) -> None:
    """A soak that cannot fail would prove nothing."""
    assert report(PLAN, Toll(over=True), KEPT, 1.0) == 0
    assert report(PLAN, Toll(**{"over": True, **toll}), replace(KEPT, **broken), 1.0) == 1


def test_a_soak_of_workers_whose_time_is_up_says_so() -> None:
    """Not over is neither kept nor broken."""
    assert report(PLAN, Toll(), replace(KEPT, states=Counter(completed=7, posted=1)), 1.0) == 3


def test_workers_are_not_asked_to_do_without_a_listing() -> None:
    """What it would show stands in the soak of a single run."""
    with pytest.raises(SystemExit):
        read_plan(["--workers", "4", "--listing", "off"])

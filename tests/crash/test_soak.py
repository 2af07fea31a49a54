"""A short soak in CI; the long one is ``python3 -m runner.dev soak`` (docs/guarantees.md)."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.soak.__main__ import main
from tests.soak.killing import Plan, Toll, report
from tests.support.commands import ROOT, environment
from tests.support.lives import Books


def lines_of(said: str) -> dict[str, str]:
    """The report, name by name."""
    return {line[:14].strip(): line[15:] for line in said.splitlines()}


@pytest.mark.timeout(300)
def test_killed_eight_times_with_every_fault_on_nothing_is_paid_twice_or_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The promise that sells the product, with the simulator's ledger as the witness."""
    plan = ["--kills", "8", "--tasks", "160", "--seed", "11", "--minutes", "4"]
    code = main([*plan, "--keep", str(tmp_path / "soak")])
    said = capsys.readouterr()
    assert code == 0, said.out + said.err
    found = lines_of(said.out)
    assert found["kills"] == "8"
    assert (found["tasks"], found["created"]) == ("160", "160")
    assert (found["paid twice"], found["lost"], found["quarantined"]) == ("0", "0", "0")
    assert found["charged"] == found["ledger"]
    assert found["verify"] == "ok"


@pytest.mark.timeout(300)
def test_without_a_listing_nothing_is_paid_twice_and_the_doubtful_are_held_with_their_money(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing can be proven, a person decides; `run` says so and exits 1."""
    plan = ["--kills", "4", "--tasks", "120", "--seed", "5", "--listing", "off", "--minutes", "4"]
    code = main([*plan, "--keep", str(tmp_path / "soak")])
    said = capsys.readouterr()
    assert code == 0, said.out + said.err
    found = lines_of(said.out)
    assert (found["paid twice"], found["lost"]) == ("0", "0")
    held = int(found["quarantined"])
    assert held == 120 - int(found["completed"])
    assert found["last exit"] == ("1" if held else "0")
    assert (float(found["at risk"][1:]) > 0) == (held > 0)


def test_a_soak_that_is_stopped_leaves_no_process_behind(tmp_path: Path) -> None:
    """It starts a server and kills what it started: nobody may have to clean up after it."""
    folder = tmp_path / "soak"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.soak", "--kills", "99", "--keep", str(folder)],
        cwd=ROOT,
        env=environment(),
        start_new_session=True,
    ) as process:
        asyncio.run(_until_there(folder / "runner.db"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


async def _until_there(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(f"{path.name} was never made")


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


@pytest.mark.parametrize(
    ("listing", "last_exit", "broken"),
    [
        (True, 0, {"paid_twice": 1}),
        (True, 0, {"states": Counter(completed=7, pending=1)}),
        (True, 1, {"states": Counter(completed=7, quarantined=1), "at_risk": 9}),
        (True, 0, {"charged": 79}),
        (True, 0, {"breaches": ("a reserve without an attempt",)}),
        (True, 1, {}),
        (False, 0, {"states": Counter(completed=7, quarantined=1), "at_risk": 9}),
        (False, 1, {"states": Counter(completed=7, quarantined=1)}),
        (False, 0, {"paid_twice": 1}),
    ],
)
def test_a_broken_promise_is_not_called_kept(
    listing: bool, last_exit: int, broken: dict[str, Any]
) -> None:
    """A soak that cannot fail would prove nothing."""
    plan = Plan(kills=1, seed=1, tasks=8, faults=True, listing=listing, minutes=1)
    assert report(plan, Toll(last_exit=0), KEPT, 1.0) == 0
    assert report(plan, Toll(last_exit=last_exit), replace(KEPT, **broken), 1.0) == 1


def test_a_soak_whose_time_is_up_says_so() -> None:
    """Not over is neither kept nor broken."""
    plan = Plan(kills=1, seed=1, tasks=8, faults=True, listing=True, minutes=1)
    assert report(plan, Toll(last_exit=3), KEPT, 1.0) == 3

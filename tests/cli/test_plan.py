"""What `plan` prints, and that much real money is never spent without a word."""

import shlex
from pathlib import Path

import pytest

from runner.errors import Exit
from runner.store.listing import Selection
from tests.cli.calling import call, call_on_terminal
from tests.reports.filling import filled

JOB = """\
name = "brands"
[input]
file = "q.csv"
[[targets]]
provider = "claude"
model = "claude-sonnet-4-0"
[limits]
budget_usd = 0.05
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "q.csv").write_text("prompt\nwhy?\nhow?\n")
    (tmp_path / "brands.toml").write_text(JOB)
    return tmp_path


def test_a_plan_for_programs_says_unknown_and_holds_in_exact_dollars(folder: Path) -> None:
    """A 0 in place of what nobody knows would be added up by somebody's script."""
    store = str(folder / "s.db")
    found = call("plan", str(folder / "brands.toml"), "--api", "sim", "--store", store, "--json")
    assert found.code == Exit.DONE, found.err
    document = found.document
    assert document["schema"] == "runner.plan/1"
    assert (document["to_post"], document["cost"], document["hold"]) == (2, None, "0.020400000")
    assert [each["prompt"] for each in document["samples"]] == ["why?", "how?"]
    assert not (folder / "s.db").exists()


def test_a_plan_that_a_budget_would_stop_ends_with_4_and_names_it(folder: Path) -> None:
    """A script asks before it starts the night's run."""
    job = str(folder / "brands.toml")
    found = call("plan", job, "--api", "sim", "--store", str(folder / "s.db"), "--budget", "0.01")
    assert found.code == Exit.MONEY
    assert "verdict=budget_usd" in found.out
    assert "budget_usd would stop this run" in found.err
    shared = shlex.join(["--api", "sim", "--store", str(folder / "s.db")])
    command = f"runner {shared} run {shlex.quote(job)} --budget 0.03"
    assert f"go on with: {command}   (or raise it in the job file" in found.err
    enough = call("plan", job, *shlex.split(shared), "--budget", "0.03")
    assert enough.code == Exit.DONE


@pytest.fixture
async def dropped(folder: Path) -> Path:
    """The store of a job whose only task was cancelled, and whose input has two others now."""
    store = folder / "s.db"
    (folder / "q.csv").write_text("q,prompt\n1,why?\n2,how?\n")
    async with filled(store, [{"prompt": "why?"}], job="brands", api="sim", post=None) as f:
        await f.store.cancel(Selection())
    return store


def test_what_was_cancelled_is_not_told_as_done(folder: Path, dropped: Path) -> None:
    """A person dropped it: nobody has an answer to it."""
    asked = ("plan", str(folder / "brands.toml"), "--api", "sim", "--store", str(dropped))
    people = call_on_terminal(*asked).out
    assert "0 already done, 1 cancelled, 2 to post\n" in people


def test_a_plan_leaves_out_the_bad_rows_that_a_run_would(folder: Path) -> None:
    """Else an input with one long row has no price before it is paid."""
    (folder / "q.csv").write_text("prompt\nwhy?\n" + "x" * 501 + "\n")
    asked = ("plan", str(folder / "brands.toml"), "--api", "sim", "--store", str(folder / "s.db"))
    refused = call(*asked)
    assert (refused.code, refused.out) == (Exit.WRONG_INPUT, "")
    rejects = folder / "bad.csv"
    found = call(*asked, "--skip-bad", str(rejects), "--json")
    assert found.code == Exit.DONE, found.err
    assert found.events[-1]["to_post"] == 1
    assert "501 characters" in found.err
    assert not rejects.exists()


@pytest.fixture
async def big(tmp_path: Path) -> Path:
    """A store with 500 tasks to post."""
    store = tmp_path / "runner.db"
    async with filled(store, [{"prompt": f"{n}?"} for n in range(500)], job="big", post=None):
        pass
    return store


def test_without_a_terminal_a_dear_submit_ends_with_2_naming_the_flag(big: Path) -> None:
    """It neither hangs nor posts: five hundred advances are more than $5."""
    store = big
    found = call("submit", "big", "--store", str(store))
    assert found.code == Exit.WRONG_INPUT
    assert "--yes" in found.err
    assert "nothing was sent" in found.err
    assert "500 tasks stay queued" in found.err
    assert "holding $5.10, expected cost unknown" in found.err
    assert f"runner --store {store} cancel big" in found.err
    # Ten of them are ten cents: nobody is asked, and the next thing is the login.
    assert call("submit", "big", "--limit", "10", "--store", str(store)).code == Exit.CREDENTIALS
    assert call("submit", "big", "--yes", "--store", str(store)).code == Exit.CREDENTIALS

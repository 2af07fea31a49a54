"""Starts of a store that cannot be taken at its word: copied, put back, killed again and again."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.support.commands import QUESTIONS, Workspace, brands_csv, workspace
from tests.whole_runs.test_reconciling import QUICK, rows, states

POISON = "poison"

KILLED_BY_POISON = f"""
import os, signal, sys
from runner.api.client import LlmResponses

send = LlmResponses.send

async def deadly(self, post, **how):
    if b"{POISON}" in post.body:
        os.kill(os.getpid(), signal.SIGKILL)
    return await send(self, post, **how)

LlmResponses.send = deadly
from runner.cli import main
sys.exit(main())
"""
"""`runner`, but the process dies whenever a certain question is about to be sent."""


def test_yesterday_s_copy_of_the_store_pays_for_nothing_twice(tmp_path: Path) -> None:
    """F28: a restore is when people are least able to check what was already paid for."""
    with workspace(tmp_path) as work:
        loaded = work.runner("load", "brands.toml", **QUICK)
        assert loaded.returncode == 0, loaded.stderr
        first = work.runner("submit", "--limit", "2", **QUICK)
        assert first.returncode == 0, first.stderr
        kept = work.runner("db", "backup", "yesterday.db")
        assert kept.returncode == 0, kept.stderr
        work.write("brands.csv", brands_csv([*QUESTIONS, "Which one is new today?"]))
        night = work.runner("run", "brands.toml", **QUICK)
        assert night.returncode == 0, night.stderr
        assert work.api.ledger()["created"] == 14
        shutil.copy(work.folder / "yesterday.db", work.folder / "runner.db")
        newer = [*QUESTIONS, "Which one is new today?", "And which one is newer?"]
        work.write("brands.csv", brands_csv(newer))
        hasty = work.runner("run", "brands.toml", "--wait", "0", **(QUICK | SLOW))
        assert hasty.returncode == 3, hasty.stdout + hasty.stderr
        assert "an older copy of it was put back" in hasty.stderr
        again = work.runner("run", "brands.toml", **QUICK)
        assert again.returncode == 0, again.stdout + again.stderr
        assert states(work) == {"completed": 16}
        ledger = work.api.ledger()
        assert (ledger["created"], ledger["duplicate_tags"]) == (16, 0)
        assert rows(work, "SELECT count(*) FROM incidents") == [(0,)]
        listings = ledger["calls"]["id_list"]
        work.runner("run", "brands.toml", **QUICK)
        assert work.api.ledger()["calls"]["id_list"] == listings


SLOW = {"RUNNER_SETTLE_SECONDS": "900"}


def test_a_store_of_another_host_is_refused_until_it_is_claimed(tmp_path: Path) -> None:
    """F15: two copies that both go on pay twice for every question."""
    with workspace(tmp_path) as work:
        here = QUICK | {"RUNNER_HOST_ID": "here"}
        there = QUICK | {"RUNNER_HOST_ID": "there"}
        work.runner("load", "brands.toml", **here)
        assert work.runner("submit", "--limit", "4", **here).returncode == 0
        refused = work.runner("run", "brands.toml", **there)
        assert refused.returncode == 2
        assert "runner db claim" in refused.stderr
        assert work.api.ledger()["created"] == 4
        claimed = work.runner("db", "claim", **there)
        assert claimed.returncode == 0, claimed.stderr
        ended = work.runner("run", "brands.toml", **there)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert states(work) == {"completed": 12}
        assert (work.api.ledger()["created"], work.api.ledger()["duplicate_tags"]) == (12, 0)
        assert work.runner("run", "brands.toml", **here).returncode == 2


def test_a_store_that_no_listing_clears_is_taken_at_its_word_when_somebody_says_so(
    tmp_path: Path,
) -> None:
    """UNKNOWN §7: whether id_list exists for this API. The amount is named before it is risked."""
    (tmp_path / "sim.toml").write_text("listing = false\n", encoding="utf-8")
    with workspace(tmp_path, "--scenario", "sim.toml") as work:
        work.runner("load", "brands.toml", **QUICK)
        assert work.runner("submit", "--limit", "2", **QUICK).returncode == 0
        (work.folder / "runner.db.newest").unlink()
        waits = work.runner("run", "brands.toml", "--wait", "20s", "-q", **QUICK)
        assert waits.returncode == 2, waits.stdout + waits.stderr
        assert "runner db trust" in waits.stderr
        refused = work.runner("db", "trust")
        assert refused.returncode == 2
        assert "10 tasks wait" in refused.stderr
        assert "--pay-again" in refused.stderr
        assert work.runner("db", "claim", "--pay-again").returncode == 2
        trusted = work.json("db", "trust", "--pay-again")
        assert (trusted["tasks"], trusted["reserve"]) == (10, "0.102000000")
        assert work.api.ledger()["created"] == 2
        ended = work.runner("run", "brands.toml", **QUICK)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert states(work) == {"completed": 12}
        assert work.json("db", "trust")["doubted"] is False


def deadly_run(work: Workspace) -> int:
    return subprocess.run(
        [sys.executable, "-c", KILLED_BY_POISON, "run", "brands.toml"],
        cwd=work.folder,
        env=work.variables(**QUICK),
        capture_output=True,
        timeout=100,
        check=False,
        stdin=subprocess.DEVNULL,
    ).returncode


def test_one_task_that_kills_the_process_is_held_and_the_rest_is_answered(tmp_path: Path) -> None:
    """F17: whoever restarts it by a timer must not have it die for ever at the same question."""
    with workspace(tmp_path) as work:
        work.write("brands.csv", brands_csv([*QUESTIONS, POISON]))
        work.write(
            "brands.toml",
            (work.folder / "brands.toml").read_text().split("[[targets]]")[0]
            + '[[targets]]\nprovider = "claude"\nmodel = "claude-sonnet-4-0"\n',
        )
        work.runner("load", "brands.toml", **QUICK)
        # Five deaths, each with its settle time, are a matter of a minute: tests/store has them.
        with closing(sqlite3.connect(work.folder / "runner.db")) as db, db:
            db.execute("INSERT INTO deaths (task_id, posting) SELECT max(id), 5 FROM tasks")
        assert deadly_run(work) == -signal.SIGKILL
        assert states(work)["posting"] == 1
        assert deadly_run(work) == 1
        assert states(work) == {"completed": 6, "quarantined": 1}
        assert rows(work, "SELECT reason FROM tasks WHERE state = 'quarantined'") == [("poison",)]
        assert work.api.ledger()["created"] == 6


def test_a_store_that_cannot_be_written_is_no_bug_of_ours(tmp_path: Path) -> None:
    """A full or locked disk passes: 75 tells cron so, and 70 would ask for a bug report."""
    with workspace(tmp_path) as work:
        work.runner("load", "brands.toml", **QUICK)
        blocker = work.folder / "runner.db.newest"
        blocker.unlink(missing_ok=True)
        blocker.mkdir()
        for command in (["submit"], ["poll"], ["work", "--drain"], ["run", "brands.toml"]):
            ended = work.runner(*command, **QUICK)
            assert ended.returncode == 75, (command, ended.stderr)
            assert "cannot be written" in ended.stderr
        assert not os.listdir(blocker)
        assert work.api.ledger()["created"] == 0

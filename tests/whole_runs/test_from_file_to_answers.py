"""A prompt file goes in, answers and costs come out; the same command again asks what is new."""

import base64
import csv
import json
import re
import shlex
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest

from tests.support.commands import JOB, PASSWORD, QUESTIONS, Workspace, brands_csv, workspace


def exported(work: Workspace) -> list[dict[str, str]]:
    with (work.folder / "out" / "brands.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_prompt_is_answered_once_and_the_bills_agree_to_the_nano_dollar(
    tmp_path: Path,
) -> None:
    """The main job: nothing lost, nothing twice, every cent accounted for."""
    with workspace(tmp_path) as work:
        done = work.runner("run", "brands.toml")
        assert done.returncode == 0, done.stderr
        assert "done=12" in done.stdout.splitlines()[-1]

        rows = exported(work)
        assert [row["question"] for row in rows] == [q for q in QUESTIONS for _ in range(2)]
        assert list(rows[0])[:4] == ["id", "brand", "question", "note"]
        assert {row["provider"] for row in rows} == {"claude", "gemini"}
        assert all(row["answer"] and row["state"] == "completed" for row in rows)
        assert rows[0]["note"] == "'=1+1"

        lines = (tmp_path / "out" / "brands.jsonl").read_text(encoding="utf-8").splitlines()
        first = json.loads(lines[0])
        assert first["input"]["note"] == "=1+1"
        assert len(lines) == 12

        ledger = work.api.ledger()
        totals = work.json("cost")["totals"]
        assert ledger["created"] == 12
        assert ledger["duplicate_tags"] == 0
        assert Decimal(totals["charged"]) * 10**9 == ledger["charged_nanousd"]
        assert Decimal(totals["advanced"]) * 10**9 == ledger["taken_nanousd"]
        assert sum(Decimal(row["cost_usd"]) for row in rows) == Decimal(totals["charged"])


def test_starting_again_makes_no_call_and_asks_nothing(tmp_path: Path) -> None:
    """Cron starts the same command every night; people start it twice by mistake."""
    with workspace(tmp_path) as work:
        work.runner("run", "brands.toml")
        before = work.api.ledger()["calls"]
        again = work.runner("run", "brands.toml")
        assert again.returncode == 0, again.stderr
        assert work.api.ledger()["calls"] == before


def test_only_new_rows_are_asked_after_the_file_was_sorted_and_one_row_put_on_top(
    tmp_path: Path,
) -> None:
    """A row is known by its question, never by its line."""
    with workspace(tmp_path) as work:
        work.runner("run", "brands.toml")
        work.write("brands.csv", brands_csv(sorted(QUESTIONS)))
        assert work.runner("run", "brands.toml").returncode == 0
        assert work.api.ledger()["created"] == 12
        assert [row["question"] for row in exported(work)][::2] == sorted(QUESTIONS)

        new = ["Which brand is new here?", *sorted(QUESTIONS)]
        work.write("brands.csv", brands_csv(new))
        assert work.runner("run", "brands.toml").returncode == 0
        assert work.api.ledger()["created"] == 14
        assert [row["question"] for row in exported(work)][::2] == new


def test_a_changed_parameter_is_reported_and_costs_nothing_until_somebody_says_ask(
    tmp_path: Path,
) -> None:
    """An edit of the job file must never make anybody pay again unasked."""
    with workspace(tmp_path) as work:
        work.runner("run", "brands.toml")
        work.write("brands.toml", JOB.replace("temperature = 0.3", "temperature = 0.4"))
        told = work.runner("run", "brands.toml")
        assert told.returncode == 0, told.stderr
        assert "changed" in told.stdout + told.stderr
        assert work.api.ledger()["created"] == 12
        assert work.json("status")["runs"][0]["changed"] == 6

        asked = work.runner("run", "brands.toml", "--changed", "ask")
        assert asked.returncode == 0, asked.stderr
        assert work.api.ledger()["created"] == 18
        assert work.json("status")["runs"][0]["changed"] == 0


def test_fresh_asks_everything_anew_once_the_run_is_finished(tmp_path: Path) -> None:
    """Nightly tracking wants the same questions again, on purpose."""
    with workspace(tmp_path) as work:
        work.runner("run", "brands.toml")
        fresh = work.runner("run", "brands.toml", "--fresh")
        assert fresh.returncode == 0, fresh.stderr
        assert work.api.ledger()["created"] == 24
        assert len(work.json("status")["runs"]) == 2


def test_bad_rows_are_all_named_and_skip_bad_asks_the_others(tmp_path: Path) -> None:
    """One bad row must be named, and one flag keeps it from costing the others."""
    with workspace(tmp_path) as work:
        work.write("brands.csv", brands_csv([*QUESTIONS, "x" * 501, ""]))
        refused = work.runner("run", "brands.toml")
        assert refused.returncode == 2
        assert "brands.csv:8:" in refused.stderr
        assert "501 characters" in refused.stderr
        assert "brands.csv:9:" in refused.stderr
        assert work.api.ledger()["created"] == 0

        skipped = work.runner("run", "brands.toml", "--skip-bad", "rejects.csv")
        assert skipped.returncode == 1, skipped.stderr
        assert work.api.ledger()["created"] == 12
        assert (tmp_path / "rejects.csv").read_text(encoding="utf-8").count("\n") == 3


LOUD: Final = ("-vv", "--log-file", "log.jsonl", "--log-format", "json")

TELLING: Final = """
import sys
from runner.pipeline import poller

async def broken(engine, task):
    raise ZeroDivisionError(f"{PASSWORD} {BASIC} {engine.api!r} {engine!r}")

poller.fetch = broken
from runner.cli import main
sys.exit(main())
"""
"""`runner` with a bug whose error repeats the secret in every form, in the stage that fetches."""


@pytest.mark.parametrize("ends", [0, 5, 70])
def test_no_output_file_or_store_ever_holds_the_password(tmp_path: Path, ends: int) -> None:
    """What is planted in the environment must be nowhere afterwards, and nor must what is sent for
    it (F78): after a night that went well, one that was refused, and one with a bug."""
    basic = [
        encode(f"someone@example.com:{PASSWORD}".encode()).decode().rstrip("=")
        for encode in (base64.b64encode, base64.urlsafe_b64encode)
    ]
    other = ["--login", "someone@example.com", "--password", "another"] if ends == 5 else []
    with workspace(tmp_path, *other) as work:
        program = ["-m", "runner"]
        if ends == 70:
            telling = TELLING.replace("{PASSWORD}", PASSWORD).replace("{BASIC}", basic[0])
            program = ["-c", telling]
        ended = subprocess.run(
            [sys.executable, *program, "run", "brands.toml", "--wait", "60s", *LOUD],
            cwd=tmp_path,
            env=work.variables(),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert ended.returncode == ends, ended.stderr
        assert bool(list((tmp_path / "logs").glob("bug-*.txt"))) == (ends == 70)
        written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert {"log.jsonl", "runner.db"} <= {path.name for path in written}
        for form in (PASSWORD, *basic):
            assert form not in ended.stdout + ended.stderr
            for path, content in written.items():
                assert form.encode() not in content, path.name


def test_what_a_run_of_a_data_file_prints_asks_its_failures_again(tmp_path: Path) -> None:
    """No job file says whom to ask, and nobody should have to say it twice."""
    with workspace(tmp_path) as work:
        work.write("f.csv", "prompt\nWhy?\nHow?\n")
        work.api.control(arm=[{"fault": "task_fails", "call": "task_post", "code": 40101}])
        claude = ["--provider", "claude", "--model", "claude-sonnet-4-0"]
        failed = work.runner("--store", "my store.db", "run", "f.csv", *claude)
        assert failed.returncode == 1, failed.stderr
        (command,) = re.findall(r"· (runner .*)", failed.stderr)
        again = work.runner(*shlex.split(command)[1:])
        assert again.returncode == 0, again.stderr
        assert " done=2 " in again.stdout.splitlines()[-1]
        nothing = work.runner(*shlex.split(command)[1:])
        assert nothing.returncode == 0
        assert "0 tasks of f to ask again" in nothing.stderr

"""Two accounts in one workspace, each at an API of its own, asked by one command."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Simulated, Workspace, brands_csv, simulated
from tests.support.postgres import serving

SECRETS = {"agency": "s3cret-of-the-agency", "brand": "s3cret-of-the-brand"}
JOB = """\
name = "brands"

[input]
file = "brands.csv"

[prompt]
column = "question"

[[targets]]
provider = "claude"
model = "claude-sonnet-4-0"

[[targets]]
provider = "gemini"
model = "gemini-2.5-flash"
account = "brand"
"""
QUESTIONS = [f"Which shop number {n} is open on Sundays?" for n in range(150)]


@dataclass(frozen=True)
class Two:
    """A workspace with the accounts ``agency`` and ``brand``."""

    work: Workspace
    agency: Simulated
    brand: Simulated

    def environment(self, **more: str) -> dict[str, str]:
        """The logins; the one account of other workspaces is nobody here."""
        given = {"DATAFORSEO_LOGIN": "", "DATAFORSEO_PASSWORD": "", "DATAFORSEO_BASE_URL": ""}
        for name, secret in SECRETS.items():
            given[f"DATAFORSEO_LOGIN_{name.upper()}"] = f"{name}@example.org"
            given[f"DATAFORSEO_PASSWORD_{name.upper()}"] = secret
        return given | more

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        done = self.work.runner(*words, **self.environment(**more))
        for secret in SECRETS.values():
            assert secret not in done.stdout + done.stderr
        return done

    def json(self, *words: str, **more: str) -> dict[str, Any]:
        said = self.run(*words, "--json", **more).stdout
        document: dict[str, Any] = json.loads(said.splitlines()[-1])
        return document

    def check_books(self, **more: str) -> None:
        """Each account's ledger is what we say that it cost, and nothing was asked twice."""
        lines = self.json("cost", "--by", "account", **more)["by"]
        costs = {line["key"]: Decimal(line["charged"]) for line in lines}
        for name, api in (("agency", self.agency), ("brand", self.brand)):
            ledger = api.ledger()
            assert ledger["duplicate_tags"] == 0
            charged = Decimal(ledger["charged_nanousd"]) / 10**9
            assert costs.get(name, Decimal(0)) == charged
        both = [*self.agency.tasks(), *self.brand.tasks()]
        prompts = [(task["provider"], task["prompt"]) for task in both]
        assert len(set(prompts)) == len(prompts)
        assert self.run("verify", **more).returncode == 0


@contextmanager
def two_accounts(folder: Path, *, brand: tuple[str, ...] = ()) -> Iterator[Two]:
    # Two accounts never have one id; two simulators of one seed would.
    with (
        simulated(folder, "--seed", "1") as agency,
        simulated(folder, "--seed", "2", *brand) as other,
    ):
        work = Workspace(folder, agency)
        work.write("brands.toml", JOB)
        work.write("brands.csv", brands_csv(QUESTIONS))
        work.write(
            "runner.toml",
            f'[accounts.agency]\nbase_url = "{agency.url}"\n'
            f'[accounts.brand]\nbase_url = "{other.url}"\n',
        )
        yield Two(work, agency, other)


def test_a_pinned_target_is_one_accounts_and_the_other_is_spread(tmp_path: Path) -> None:
    """Each client's bill has what was asked for that client, and the answers are one export."""
    with two_accounts(tmp_path) as two:
        done = two.run("run", "brands.toml", "--yes")
        assert done.returncode == 0, done.stderr
        assert {task["provider"] for task in two.brand.tasks()} >= {"gemini"}
        assert {task["provider"] for task in two.agency.tasks()} == {"claude"}
        assert len(two.agency.tasks()) + len(two.brand.tasks()) == 2 * len(QUESTIONS)
        two.check_books()
        again = two.run("run", "brands.toml", "--yes")
        assert again.returncode == 0, again.stderr
        two.check_books()
        accounts = two.json("account")["accounts"]
        assert [each["name"] for each in accounts] == ["agency", "brand"]
        assert two.run("cost", "--reconcile").returncode == 0
        shown = two.run("config", "show", "--origin").stdout
        assert "accounts.brand.password" in shown


def test_one_account_out_of_money_leaves_the_rest_to_the_other(tmp_path: Path) -> None:
    """What is nobody's is asked all the same; what is the brand's waits, and code 4 says so."""
    (tmp_path / "poor.toml").write_text("balance_usd = 0\n")
    with two_accounts(tmp_path, brand=("--scenario", "poor.toml")) as two:
        done = two.run("run", "brands.toml", "--yes")
        assert done.returncode == 4, done.stderr
        assert "account brand" in done.stderr
        assert two.brand.tasks() == []
        assert len(two.agency.tasks()) == len(QUESTIONS)
        states = two.json("status")["runs"][0]["states"]
        assert (states["completed"], states["pending"]) == (len(QUESTIONS), len(QUESTIONS))
        two.check_books()


def test_killed_in_the_middle_both_accounts_are_gone_on_with(tmp_path: Path) -> None:
    """What each had taken is looked for where it was taken."""
    with two_accounts(tmp_path) as two:
        quick = {"RUNNER_SETTLE_SECONDS": "1", "RUNNER_POST_TIMEOUT_SECONDS": "1"}
        process = two.work.start("run", "brands.toml", "--yes", **two.environment(**quick))
        give_up = time.monotonic() + 60
        while not (two.agency.tasks() and two.brand.tasks()) and time.monotonic() < give_up:
            time.sleep(0.02)
        process.kill()
        process.communicate()
        done = two.work.runner("run", "brands.toml", "--yes", **two.environment(**quick))
        assert done.returncode == 0, done.stderr
        two.check_books()


def test_a_rehearsal_has_an_account_for_each_name(tmp_path: Path) -> None:
    """A campaign for two clients can be tried without a login of either."""
    with two_accounts(tmp_path) as two:
        done = two.run("run", "brands.toml", "--api", "sim", "--yes")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "runner-sim.agency.account.jsonl").exists()
        assert (tmp_path / "runner-sim.brand.account.jsonl").exists()
        lines = two.json("cost", "--by", "account", "--api", "sim")["by"]
        assert [line["key"] for line in lines] == ["agency", "brand"]
        assert two.run("verify", "--api", "sim").returncode == 0
        assert two.agency.tasks() == two.brand.tasks() == []


def test_an_unknown_account_is_told_where_it_stands(tmp_path: Path) -> None:
    """Before anything is queued or sent."""
    with two_accounts(tmp_path) as two:
        two.work.write("brands.toml", JOB.replace('"brand"', '"brnd"'))
        for command in ("check", "run"):
            done = two.run(command, "brands.toml")
            assert done.returncode == 2
            assert (
                'brands.toml:16:1: targets[1].account: "brnd" is no account; did you mean brand?'
                in done.stderr
            )
        assert not (tmp_path / "runner.db").exists() or two.json("status")["runs"] == []


@pytest.fixture(scope="module")
def queue() -> Iterator[str]:
    """The address of an empty database on a server that saves as a real one does."""
    with serving(durable=True) as server, server.database(empty=True) as dsn:
        yield dsn


def test_on_a_server_two_workers_share_two_accounts(tmp_path: Path, queue: str) -> None:
    """Both hosts have both logins, and still nothing is asked twice or of the wrong account."""
    with two_accounts(tmp_path) as two:
        where = {"RUNNER_STORE": queue}
        loaded = two.work.runner("load", "brands.toml", **two.environment(**where))
        assert loaded.returncode == 0, loaded.stderr
        words = ("work", "--drain", "--yes")
        starts = [two.work.start(*words, **two.environment(**where)) for _ in range(2)]
        for process in starts:
            _, err = process.communicate(timeout=90)
            assert process.returncode == 0, err
        assert {task["provider"] for task in two.agency.tasks()} == {"claude"}
        assert len(two.agency.tasks()) + len(two.brand.tasks()) == 2 * len(QUESTIONS)
        two.check_books(**where)

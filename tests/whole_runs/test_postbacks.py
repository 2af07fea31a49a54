"""Answers that the API delivers by itself, with real processes on both sides."""

import base64
import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from runner.money import nanos
from tests.support.commands import Workspace, workspace

PATIENCE_S = 60.0
SECRET = "planted-secret-of-the-postback-tests"
TASKS = 300
BOTH = """\
name = "both"
[input]
file = "p.csv"
[limits]
confirm_above_usd = 1000
[[targets]]
provider = "claude"
model = "claude-sonnet-4-0"
[[targets]]
provider = "perplexity"
model = "sonar"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(true: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not true() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert true()


def prompts(work: Workspace, count: int = TASKS) -> None:
    lines = ["prompt", *(f"question {n}?" for n in range(count))]
    work.write("p.csv", "\n".join(lines) + "\n")


def asked(port: int, *more: str) -> tuple[list[str], dict[str, str]]:
    """A start over the prompts whose answers are delivered to *port*."""
    variables = {"RUNNER_PUBLIC_URL": f"http://127.0.0.1:{port}", "RUNNER_SECRET": SECRET}
    model = ["--provider", "claude", "--model", "claude-sonnet-4-0"]
    return ["run", "p.csv", *model, "--wait", "50s", *more], variables


def serve(work: Workspace, port: int) -> "subprocess.Popen[str]":
    """A receiver in a process of its own, listening."""
    variables = asked(port)[1]
    process = work.start("serve", "--listen", f"127.0.0.1:{port}", "--json", **variables)
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(process.stdout.readline())
    assert told["url"] == f"http://127.0.0.1:{port}"
    return process


def test_a_run_that_listens_collects_without_asking(tmp_path: Path) -> None:
    """Three calls instead of three hundred; the receiver was there before the first post."""
    with workspace(tmp_path) as work:
        prompts(work)
        port = free_port()
        arguments, variables = asked(port, "--listen", f"127.0.0.1:{port}", "--log-file", "log")
        done = work.runner(*arguments, **variables)
        assert done.returncode == 0, done.stderr
        ledger = work.api.ledger()
        assert (ledger["delivered"], ledger["undelivered"]) == (TASKS, 0)
        assert ledger["calls"]["task_get"] <= TASKS // 100
        assert work.runner("verify").returncode == 0
        log = (work.folder / "log").read_text(encoding="utf-8")
        for text in (done.stdout, done.stderr, log):
            assert SECRET not in text
            assert "sig=" not in text


def test_live_calls_beside_delivered_answers_are_made_without_an_address(tmp_path: Path) -> None:
    """One job, both ways of asking: what is posted comes by itself, Live answers in the call."""
    with workspace(tmp_path) as work:
        prompts(work, 40)
        work.write("both.toml", BOTH)
        port = free_port()
        listen = ["--listen", f"127.0.0.1:{port}", "--wait", "50s"]
        done = work.runner("run", "both.toml", *listen, **asked(port)[1])
        assert done.returncode == 0, done.stderr
        ledger = work.api.ledger()
        assert (ledger["delivered"], ledger["live"], ledger["created"]) == (40, 40, 80)
        assert (ledger["duplicate_tags"], ledger["calls"]["task_get"]) == (0, 0)
        charged = Decimal(work.json("cost", "both")["totals"]["charged"])
        assert nanos(charged) == ledger["charged_nanousd"]
        assert work.runner("verify").returncode == 0


def test_a_receiver_killed_in_between_loses_nothing(tmp_path: Path) -> None:
    """F75: what came while it was dead shows on the ready list, and is sent again or fetched."""
    with workspace(tmp_path, "--latency", "lognormal 2s 0.5") as work:
        prompts(work)
        port = free_port()
        receiver = serve(work, port)
        arguments, variables = asked(port)
        start = work.start(*arguments, **variables)
        try:
            until(lambda: work.api.ledger()["delivered"] > TASKS // 10)
            receiver.send_signal(signal.SIGKILL)
            receiver.communicate()
            until(lambda: work.api.ledger()["undelivered"])
            receiver = serve(work, port)
            until(lambda: not work.api.ledger()["running"])
            # What was missed is left on the ready list for minutes; sent again it is there at once.
            ids = [each["id"] for each in work.api.tasks() if not each["collected"]]
            for at in range(0, len(ids), 100):
                resend(work, ids[at : at + 100])
            _, err = start.communicate(timeout=PATIENCE_S)
            assert start.returncode == 0, err
        finally:
            start.kill()
            receiver.terminate()
            receiver.communicate()
        ledger = work.api.ledger()
        assert (ledger["collected"], ledger["duplicate_tags"]) == (TASKS, 0)
        assert work.runner("verify").returncode == 0


def resend(work: Workspace, ids: list[str]) -> None:
    """What a person can do from the API's web page, too."""
    login = base64.b64encode(b"someone@example.com:x").decode()
    request = urllib.request.Request(
        f"{work.api.url}/v3/appendix/webhook_resend",
        json.dumps([{"id": each} for each in ids]).encode(),
        {"Authorization": f"Basic {login}"},
    )
    urllib.request.urlopen(request, timeout=30).close()


def test_a_receiver_says_that_it_made_a_new_store(tmp_path: Path) -> None:
    """Started in the wrong folder it would take answers that another store waits for."""
    with workspace(tmp_path) as work:
        said = []
        for _ in range(2):
            receiver = serve(work, free_port())
            receiver.terminate()
            said.append(receiver.communicate(timeout=PATIENCE_S)[1])
    assert "runner.db is new" in said[0]
    assert "is new" not in said[1]


def test_a_public_url_without_a_secret_ends_with_2(tmp_path: Path) -> None:
    """Before anything is sent: else anybody could answer in the API's name."""
    with workspace(tmp_path) as work:
        done = work.runner("run", "brands.toml", RUNNER_PUBLIC_URL="https://runner.example.com")
        assert done.returncode == 2
        assert "RUNNER_SECRET" in done.stderr
        assert work.api.ledger()["created"] == 0

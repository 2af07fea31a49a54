"""Jobs together, steps one by one, the daemon, and two cron lines in one workspace."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.commands import JOB, Simulated, Workspace, simulated, workspace

OTHER = JOB.replace('name = "brands"', 'name = "prices"')


@contextmanager
def ended(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """No process stays behind, however the test goes."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def until_asked(tasks: int, process: "subprocess.Popen[str]", api: Simulated) -> None:
    """Wait until the API has so many tasks, while *process* is at work."""
    give_up = time.monotonic() + 60
    while len(api.tasks()) < tasks:
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workspace]:
    """The jobs ``brands`` and ``prices``, of 12 tasks each."""
    with workspace(tmp_path) as made:
        made.write("prices.toml", OTHER)
        yield made


def test_two_jobs_in_one_start_have_a_line_each_and_one_for_both(place: Workspace) -> None:
    """`tail -1` of the cron log answers for the whole night."""
    done = place.runner("run", "brands.toml", "prices.toml")
    lines = [line.split()[2:] for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["run.end", "run.end", "runs.end"]
    assert [line[1] for line in lines] == ["run=brands", "run=prices", "runs=2"]
    assert "done=24" in lines[-1]
    assert (done.returncode, lines[-1][-1]) == (0, "exit=0")
    assert len(place.api.tasks()) == 24
    events = place.runner("run", "brands.toml", "prices.toml", "--json").stdout.splitlines()
    *others, last = map(json.loads, events)
    assert [each["run"] for each in others if each["event"] == "end"] == ["brands", "prices"]
    assert (last["event"], last["exit"]) == ("result", 0)
    assert [run["run"] for run in last["runs"]] == ["brands", "prices"]


def test_the_steps_one_by_one_come_to_what_run_does(place: Workspace) -> None:
    """Each has its line, its code, and its JSON."""
    loaded = place.runner("load", "brands.toml")
    assert "load job=brands run=brands rows=6 tasks=12 new=12 known=0" in loaded.stdout
    again = place.runner("load", "brands.toml")
    assert "new=0 known=12" in again.stdout
    place.api.control(set={"latency": "2s"})
    sent = place.runner("submit", "--limit", "7")
    assert "submit calls=2 sent=7 accepted=7 refused=0 unknown=0 pending=5" in sent.stdout
    assert place.runner("submit", "brands").stdout.endswith("exit=0\n")
    early = place.runner("poll")
    late = place.runner("poll", "brands", "--wait", "1m", "--json")
    result = json.loads(late.stdout.splitlines()[-1])
    fetched = int(early.stdout.split("fetched=")[1].split()[0])
    assert (fetched + result["fetched"], result["waiting"]) == (12, 0)
    assert (early.returncode, late.returncode) == (3 if result["fetched"] else 0, 0)
    assert place.runner("poll").stdout == "poll fetched=0 done=0 failed=0 waiting=0 exit=0\n"
    assert len(place.api.tasks()) == 12


def test_the_daemon_says_when_it_is_ready_takes_up_what_is_loaded_and_stops_when_told(
    place: Workspace,
) -> None:
    """As a systemd service of Type=notify."""
    with ExitStack() as stack, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        # Short: the address of such a socket has room for about a hundred bytes.
        address = place.folder / "n"
        notify.bind(str(address))
        notify.settimeout(30)
        daemon = stack.enter_context(ended(place.start("work", NOTIFY_SOCKET=str(address))))
        assert notify.recv(100) == b"READY=1"
        assert place.runner("run", "brands.toml", "-q").returncode == 75
        assert place.runner("load", "brands.toml").returncode == 0
        give_up = time.monotonic() + 30
        while place.json("status")["runs"][0]["states"]["completed"] < 12:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        daemon.send_signal(signal.SIGTERM)
        out, err = daemon.communicate(timeout=30)
        assert notify.recv(100) == b"STOPPING=1"
    assert daemon.returncode == 143
    assert out.splitlines()[-1].split()[2:5] == ["work.end", "runs=0", "ended=12"]
    assert [line.split()[2] for line in err.splitlines() if " info " in line] == [
        "work.start",
        "work.progress",
    ]
    drained = place.runner("work", "--drain")
    assert (drained.returncode, drained.stdout.split()[-1]) == (0, "exit=0")


def test_of_two_cron_lines_one_waits_or_steps_aside(tmp_path: Path) -> None:
    """The lock is the kernel's: a killed holder frees it, and the next starts without help."""
    with simulated(tmp_path, "--latency", "1h") as api, ExitStack() as stack:
        place = Workspace(tmp_path, api)
        place.write("brands.toml", JOB)
        place.write("prices.toml", OTHER)
        place.write("brands.csv", "question\nWhy?\nHow?\n")
        first = stack.enter_context(ended(place.start("run", "brands.toml")))
        until_asked(4, first, api)
        began = time.monotonic()
        aside = place.runner("run", "prices.toml")
        assert aside.returncode == 75
        assert f"pid {first.pid}" in aside.stderr
        assert time.monotonic() - began < 30
        late = place.start("run", "prices.toml", "--wait-lock", "1m")
        waiting = stack.enter_context(ended(late))
        first.kill()
        first.communicate()
        until_asked(8, waiting, api)
        api.control(advance_s=7200)
        out, _ = waiting.communicate(timeout=60)
        assert waiting.returncode == 0, out
        assert place.runner("run", "brands.toml").returncode == 0
        assert len(api.tasks()) == 8


def test_models_and_account_answer_on_a_pipe_and_in_json(place: Workspace) -> None:
    """For a check before the night: is there money, and is the model still there?"""
    models = place.runner("models", "--provider", "claude")
    assert "claude\tclaude-sonnet-4-0\tyes\tyes\tyes" in models.stdout.splitlines()
    document = place.json("models")
    assert {model["provider"] for model in document["models"]} == {
        "chat_gpt",
        "claude",
        "gemini",
        "perplexity",
    }
    account = place.runner("account", "--min", "1")
    assert (account.returncode, account.stdout.split()[0]) == (0, "account")
    poor = place.runner("account", "--min", "999999", "--json")
    assert poor.returncode == 4
    assert json.loads(poor.stdout)["exit"] == 4
    assert "should be $999,999.00" in poor.stderr

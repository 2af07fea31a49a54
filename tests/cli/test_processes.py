"""Real processes: signals, and the simulator as people start it."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

WORKER = """
import asyncio, sys
from runner.cli.stopping import stop_on_signals

async def main():
    asked = asyncio.Event()
    codes = []
    with stop_on_signals(lambda code: (codes.append(code), asked.set()), repaint=False):
        print("ready", flush=True)
        await asked.wait()
        print("stopping", flush=True)
        if "slow" in sys.argv:
            while True:
                pass
    return codes[0]

sys.exit(asyncio.run(main()))
"""


def start(*argv: str, cwd: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_lets_the_work_end(number: signal.Signals, code: int) -> None:
    """What is under way is saved, and the code still tells who stopped it."""
    with start("-c", WORKER) as process:
        assert line_of(process) == "ready"
        process.send_signal(number)
        assert line_of(process) == "stopping"
        assert process.wait(20) == code


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [(signal.SIGINT, signal.SIGINT, 130), (signal.SIGINT, signal.SIGTERM, 143)],
)
def test_the_second_signal_ends_even_a_loop_that_is_stuck(
    first: signal.Signals, second: signal.Signals, code: int
) -> None:
    """F10: who presses Ctrl-C twice means it."""
    with start("-c", WORKER, "slow") as process:
        assert line_of(process) == "ready"
        process.send_signal(first)
        assert line_of(process) == "stopping"
        process.send_signal(second)
        _, err = process.communicate(timeout=20)
        assert process.returncode == code
        assert "error: stopped at once; what was saved is safe" in err
        assert "go on with: the same command" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_simulator_serves_until_it_is_stopped_and_ends_well(
    number: signal.Signals, tmp_path: Path
) -> None:
    """Scripts wait for its one line, use it, and stop it without an error (UX.md §5.5)."""
    with start("-m", "runner", "simulate", "--port", "0", "--seed", "9", cwd=tmp_path) as process:
        said = line_of(process)
        found = re.fullmatch(
            r"simulate\.start port=(\d+) seed=9 url=(http://127\.0\.0\.1:\1)", said
        )
        assert found, said
        with urllib.request.urlopen(f"{found[2]}/simulator/ledger") as reply:
            assert json.load(reply)
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(("host", "here"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")])
def test_a_simulator_for_other_machines_is_announced_and_warned_about(
    host: str, here: str, tmp_path: Path
) -> None:
    """The next container must reach it; elsewhere nobody should open it unaware."""
    argv = ["-m", "runner", "simulate", "--host", host, "--port", "0", "--json"]
    with start(*argv, cwd=tmp_path) as process:
        try:
            said = json.loads(line_of(process))
            with urllib.request.urlopen(f"{said['url']}/simulator/ledger") as reply:
                assert json.load(reply)
        finally:
            process.terminate()
        _, errors = process.communicate(timeout=20)
    assert said["url"] == f"http://{here}:{said['port']}"
    assert errors.startswith("warning: whoever reaches port")
    assert host in errors


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """The simulator of yesterday is still running."""
    with start("-m", "runner", "simulate", "--port", "0", "--json", cwd=tmp_path) as first:
        port = json.loads(line_of(first))["port"]
        with start("-m", "runner", "simulate", "--port", str(port), cwd=tmp_path) as second:
            _, errors = second.communicate(timeout=20)
            assert second.returncode == 2
            assert f"cannot listen on 127.0.0.1:{port}" in errors
        first.terminate()
        assert first.wait(20) == 0

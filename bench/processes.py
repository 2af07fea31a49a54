"""Runs `runner`, its peers and the servers in processes of their own and measures from outside."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Measured:
    """One finished process."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    """Largest resident memory of the process itself, in MB (10⁶ bytes)."""
    said: str = ""
    """What it printed, if that was kept."""


class Failed(Exception):
    """A process that had to succeed did not."""


def environment(**more: str) -> dict[str, str]:
    """The environment for a process: ours without any credentials, and *more*."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DATAFORSEO_", "RUNNER_"))}
    return kept | {"PYTHONPATH": str(ROOT)} | more


def of_api(url: str) -> dict[str, str]:
    """The settings of an account at *url* whose limit is out of the way."""
    return {
        "DATAFORSEO_BASE_URL": url,
        "DATAFORSEO_LOGIN": "bench",
        "DATAFORSEO_PASSWORD": "bench",
        "RUNNER_CALLS_PER_MINUTE": "100000",
    }


def measure_command(
    command: Sequence[str],
    *,
    folder: Path,
    quiet: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Measured:
    """Run *command* in *folder* to its end and keep what it prints; *quiet*: stderr goes away.

    Raises:
        Failed: it could not be started.
    """
    started = monotonic()
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(**variables or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
        )
    except OSError as error:
        raise Failed(f"{command[0]}: {error}") from error
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    # ru_maxrss is in KiB, but in bytes on macOS.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Measured(
        exit_code=process.returncode,
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mb=peak / 1e6,
        said=said,
    )


def measure(arguments: Sequence[str], *, folder: Path, **variables: str) -> Measured:
    """Run ``runner ARGUMENTS`` in *folder* to its end; what it says on stderr is shown."""
    command = [sys.executable, "-m", "runner", *arguments]
    return measure_command(command, folder=folder, variables=variables)


@contextmanager
def _serving(module: Sequence[str], folder: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield str(json.loads(process.stdout.readline())["url"])
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def simulator(folder: Path, *options: str) -> Any:
    """A `runner simulate` on a free port, as a context; yields its base URL."""
    return _serving(["runner", "simulate", "--port", "0", "--json", *options], folder)


def fast_server(folder: Path) -> Any:
    """The server without limits (``bench.server``), as a context; yields its base URL."""
    return _serving(["bench.server"], folder)


def receiver(folder: Path, how: str) -> Any:
    """The receiver of postbacks (``bench.receiving``), as a context; yields its base URL."""
    return _serving(["bench.receiving", str(folder), how], folder)


def ask_json(url: str) -> dict[str, Any]:
    """What a server says at *url*."""
    with urllib.request.urlopen(url, timeout=60) as reply:
        said: dict[str, Any] = json.load(reply)
        return said


def ledger(url: str) -> dict[str, Any]:
    """What the simulator counted."""
    return ask_json(f"{url}/simulator/ledger")


def prompt(number: int) -> str:
    """The text of one row: 40 to 440 characters, each different."""
    words = f"Question {number}: which of the vendors would you choose, and why? "
    return f"{number} {(words * 8)[: 40 + number * 7919 % 400]}"


def write_prompts(path: Path, rows: int) -> None:
    """A JSON Lines file of *rows* different prompts."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            file.write(json.dumps({"id": number, "prompt": prompt(number)}) + "\n")


def write_job(path: Path, *, data: str, targets: int = 1, key: str = "") -> None:
    """A job over *data*; *key*: which run it is."""
    models = [
        ("claude", "claude-sonnet-4-0"),
        ("chat_gpt", "gpt-4o-mini"),
        ("gemini", "gemini-2.5-flash"),
    ]
    lines = ['name = "bench"\n']
    if key:
        lines.append(f'[run]\nkey = "{key}"\n')
    lines.append(f'[input]\nfile = "{data}"\n')
    for provider, model in models[:targets]:
        lines.append(f'[[targets]]\nprovider = "{provider}"\nmodel = "{model}"\n')
    path.write_text("".join(lines), encoding="utf-8")

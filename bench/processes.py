"""Runs `runner` in processes of its own and measures them from outside."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any


@dataclass(frozen=True, slots=True)
class Measured:
    """One finished process."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    """Largest resident memory of the process itself, in MB (10⁶ bytes)."""


def environment(**more: str) -> dict[str, str]:
    """The environment for a process: ours without any credentials, and *more*."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DATAFORSEO_", "RUNNER_"))}
    return kept | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)} | more


def measure(arguments: Sequence[str], *, folder: Path, **variables: str) -> Measured:
    """Run ``runner ARGUMENTS`` in *folder* to its end; what it says on stderr is shown."""
    started = monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *arguments],
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    # ru_maxrss is in KiB, but in bytes on macOS.
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Measured(
        exit_code=process.returncode,
        wall_s=monotonic() - started,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mb=peak / 1e6,
    )


@contextmanager
def simulator(folder: Path, *options: str) -> Iterator[str]:
    """A `runner simulate` on a free port; yields its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "simulate", "--port", "0", "--json", *options],
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


def ledger(url: str) -> dict[str, Any]:
    """What the simulator counted."""
    with urllib.request.urlopen(f"{url}/simulator/ledger", timeout=60) as reply:
        counted: dict[str, Any] = json.load(reply)
        return counted


def write_prompts(path: Path, rows: int) -> None:
    """A JSON Lines file of *rows* different prompts of 40 to 440 characters."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            words = f"Question {number}: which of the vendors would you choose, and why? "
            prompt = (words * 8)[: 40 + number * 7919 % 400]
            file.write(json.dumps({"id": number, "prompt": f"{number} {prompt}"}) + "\n")


def write_job(path: Path, *, data: str, targets: int = 1) -> None:
    """A job over *data*."""
    models = [
        ("claude", "claude-sonnet-4-0"),
        ("chat_gpt", "gpt-4o-mini"),
        ("gemini", "gemini-2.5-flash"),
    ]
    lines = [f'name = "bench"\n[input]\nfile = "{data}"\n']
    for provider, model in models[:targets]:
        lines.append(f'[[targets]]\nprovider = "{provider}"\nmodel = "{model}"\n')
    path.write_text("".join(lines), encoding="utf-8")

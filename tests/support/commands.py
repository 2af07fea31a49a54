"""`runner` as a user types it: processes of their own, in a folder of their own."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "pa55-planted-in-the-environment"


@dataclass(frozen=True)
class Simulated:
    """A `runner simulate` in another process."""

    url: str

    def ledger(self) -> dict[str, Any]:
        """What it counted."""
        return self._ask("ledger")

    def tasks(self) -> list[dict[str, Any]]:
        """Every task that it created, in order."""
        found: list[dict[str, Any]] = self._ask("ledger/tasks?offset=0&limit=1000")["tasks"]
        return found

    def control(self, **message: object) -> None:
        """Order faults or change settings (`runner/simulator/control.py`)."""
        self._ask("control", json.dumps(message).encode())

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/simulator/{path}", body, timeout=30) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer


@contextmanager
def simulated(folder: Path, *options: str) -> Iterator[Simulated]:
    """A simulator on a free port until the end of the block; quick answers, a high limit."""
    arguments = ["simulate", "--port", "0", "--json", "--latency", "50ms"]
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *arguments, "--calls-per-minute", "100000", *options],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Simulated(json.loads(process.stdout.readline())["url"])
    finally:
        process.terminate()
        process.communicate()


def environment(**variables: str) -> dict[str, str]:
    """Ours without anything that runner reads, and *variables*."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DATAFORSEO_", "RUNNER_"))}
    return kept | {"PYTHONPATH": str(ROOT)} | variables


@dataclass(frozen=True)
class Workspace:
    """A folder with a job in it, and an API to call."""

    folder: Path
    api: Simulated

    def variables(self, **more: str) -> dict[str, str]:
        """The environment that its commands see."""
        given = {
            "DATAFORSEO_BASE_URL": self.api.url,
            "DATAFORSEO_LOGIN": "someone@example.com",
            "DATAFORSEO_PASSWORD": PASSWORD,
            "RUNNER_CALLS_PER_MINUTE": "100000",
        }
        return environment(**(given | more))

    def runner(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "runner", *arguments],
            cwd=self.folder,
            env=self.variables(**variables),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start one command and let it run."""
        return subprocess.Popen(
            [sys.executable, "-m", "runner", *arguments],
            cwd=self.folder,
            env=self.variables(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    def json(self, *arguments: str) -> dict[str, Any]:
        """Run one command with ``--json`` and read its document."""
        document: dict[str, Any] = json.loads(self.runner(*arguments, "--json").stdout)
        return document

    def write(self, name: str, text: str) -> Path:
        """Put a file into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


JOB = """\
name = "brands"

[input]
file = "brands.csv"

[prompt]
column = "question"

[[targets]]
provider = "claude"
model = "claude-sonnet-4-0"
temperature = 0.3

[[targets]]
provider = "gemini"
model = "gemini-2.5-flash"
"""

QUESTIONS = [
    "Which bakery in Lyon is open on Sundays?",
    "Is Café Noir a good place to work from?",
    "What do people say about Étoile Shoes?",
    "Which running shoes suit wide feet, and why?",
    "東京で一番静かなカフェはどこですか。",
    "Which brand makes the quietest espresso grinder?",
]


def brands_csv(questions: list[str] = QUESTIONS) -> str:
    """A prompt file with other columns beside the prompt."""
    lines = ["id,brand,question,note"]
    for number, question in enumerate(questions, 1):
        lines.append(f'{number},"Brand ""{number}""","{question}",=1+{number}')
    return "\n".join(lines) + "\n"


@contextmanager
def workspace(folder: Path, *options: str) -> Iterator[Workspace]:
    """A folder with the job ``brands`` (6 rows × 2 targets) and a simulator with *options*."""
    with simulated(folder, *options) as api:
        made = Workspace(folder, api)
        made.write("brands.toml", JOB)
        made.write("brands.csv", brands_csv())
        yield made

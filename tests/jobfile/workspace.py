"""A workspace on disk in which a test writes job files and inputs."""

from pathlib import Path

import pytest

from runner.errors import WrongInput
from runner.jobfile import Job, Overrides, load_job

ROWS = "id,brand,prompt\n1,Halvane,Is Halvane any good?\n2,Velmora,Is Velmora any good?\n"

MINIMAL = """\
name = "x"
[input]
file = "../rows.csv"
[[targets]]
provider = "claude"
model = "claude-sonnet-4-0"
"""
"""The smallest job: six lines, so what a test adds begins on line 7."""


class Workspace:
    """The current folder, with ``rows.csv`` and a folder for jobs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("rows.csv", ROWS)

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(self, ref: str, overrides: Overrides | None = None) -> Job:
        return load_job(ref, workspace=self.root, overrides=overrides)

    def job(self, text: str | bytes, overrides: Overrides | None = None) -> Job:
        """The job that ``jobs/x.toml`` describes when it holds *text*."""
        self.write("jobs/x.toml", text)
        return self.load("jobs/x.toml", overrides)

    def refusal(self, ref: str, overrides: Overrides | None = None) -> WrongInput:
        """The error of loading what cannot be loaded."""
        with pytest.raises(WrongInput) as caught:
            self.load(ref, overrides)
        return caught.value

    def mistakes(self, text: str | bytes) -> list[str]:
        """What is wrong with ``jobs/x.toml`` when it holds *text*, line by line as printed."""
        self.write("jobs/x.toml", text)
        return [str(problem) for problem in self.refusal("jobs/x.toml").problems]

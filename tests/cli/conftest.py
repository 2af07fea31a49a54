"""A workspace of one data file to call the command line in."""

from pathlib import Path

import pytest

from tests.cli.calling import FakeApp, install


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: ``prompts.csv`` with three prompts, and a job file that asks them."""
    (tmp_path / "prompts.csv").write_text("prompt\nwhy?\nhow?\nwhen?\n", "utf-8")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "prompts.toml").write_text(
        'name = "prompts"\n[input]\nfile = "../prompts.csv"\n'
        '[[targets]]\nprovider = "claude"\nmodel = "claude-sonnet-4-0"\n'
        '[output]\ndir = "../out"\nformats = ["csv"]\n',
        "utf-8",
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeApp:
    """An app that sends nothing."""
    return install(FakeApp(), monkeypatch)

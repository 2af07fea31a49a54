"""With -q: not a byte for the codes 0, 3 and 75, the error for every other (UX.md §10, check 4)."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from runner.cli.catalogue import BY_NAME
from runner.cli.exit_codes import QUIET
from runner.errors import Exit, Problem, RunnerError, WrongInput
from tests.cli.calling import FakeApp, call, call_on_terminal, status_of
from tests.reports.filling import accepted, filled, refused

CELLS: Final = [{"prompt": prompt} for prompt in ("why?", "how?", "when?")]

WORKING: Final = {
    "check": ["prompts"],
    "run": ["prompts"],
    "load": ["prompts", "--fresh"],
    "retry": ["prompts"],
    "cancel": ["prompts", "--dry-run"],
    "plan": ["prompts", "--fresh"],
    "prune": ["--older-than", "0", "--yes"],
    "show": ["1"],
    "schedule": ["cron", "prompts"],
    "completion": ["bash"],
    "config": ["show"],
    "db": ["backup", "copy.db"],
}
"""What a command needs to be parsed and to do something; without a line here nothing."""

ALWAYS_SPEAKS: Final = frozenset({"help"})
"""It is asked for nothing but its text."""


@pytest.fixture
async def store(folder: Path) -> Path:
    """A run with answers and failures in the folder of the job ``prompts``."""
    path = folder / "runner.db"
    async with filled(
        path,
        CELLS,
        job="prompts",
        post=lambda number, tag: (accepted if number else refused)(number, tag),
    ):
        pass
    return path


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which `simulate` and `serve` cannot listen, or they would serve for ever."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def arguments(name: str, port: int) -> list[str]:
    served = {"simulate": ["--port", str(port)], "serve": ["--listen", f"127.0.0.1:{port}"]}
    return served.get(name) or WORKING.get(name, [])


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - ALWAYS_SPEAKS))
@pytest.mark.usefixtures("store", "fake")
def test_a_command_that_works_is_silent_and_one_that_fails_says_why(
    name: str, taken_port: int
) -> None:
    """Classic cron mails on any output, whatever the exit code."""
    ended = call("-q", name, *arguments(name, taken_port))
    assert ended.out == ""
    assert (ended.err == "") == (ended.code in QUIET)


@pytest.mark.parametrize("name", WORKING)
@pytest.mark.usefixtures("store", "fake")
def test_the_commands_above_do_work(name: str, taken_port: int) -> None:
    """Or the test above would only look at how they fail."""
    assert call("-q", name, *arguments(name, taken_port)).code is Exit.DONE


@pytest.mark.parametrize("code", Exit)
@pytest.mark.parametrize("name", BY_NAME)
def test_an_error_of_any_command_is_told_unless_its_code_says_that_nobody_is_needed(
    name: str, code: Exit, folder: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command may have an ending of its own that -q hides, or does not hide."""

    def ends(*_: object, **__: object) -> Exit:
        error = RunnerError("planted", where="here", how="runner help")
        error.exit_code = code
        raise error

    monkeypatch.setattr(import_module(BY_NAME[name].module).command, "callback", ends)
    ended = call("-q", name, *arguments(name, taken_port))
    assert (ended.code, ended.out) == (code, "")
    if code in QUIET:
        assert ended.err == ""
    else:
        label = "bug" if code is Exit.BUG else "error"
        assert f"{label}: planted\n" in ended.err
    assert folder.joinpath("logs").exists() == (code is Exit.BUG)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_wrong_option_is_told(name: str) -> None:
    """The crontab was edited by hand."""
    ended = call("-q", name, "--nonsense")
    assert ended.code is Exit.WRONG_INPUT
    assert "has no option --nonsense" in ended.err


def test_every_mistake_of_a_file_is_told(folder: Path, fake: FakeApp) -> None:
    """2 means that nothing was sent; without the lines nobody could mend it."""
    problems = [Problem("prompts.csv", line, 1, "is empty") for line in (2, 3)]
    fake.raises = WrongInput("bad", problems=problems)
    ended = call("run", "prompts", "-q")
    assert ended.err.splitlines() == [
        "prompts.csv:2:1: is empty",
        "prompts.csv:3:1: is empty",
        "error: bad",
    ]
    assert folder.exists()


@pytest.mark.usefixtures("store", "fake")
@pytest.mark.parametrize("name", WORKING)
def test_a_terminal_makes_no_difference(name: str, taken_port: int) -> None:
    """-q is silence or errors for a person too: no bars, no tables, no hints."""
    ended = call_on_terminal("-q", name, *arguments(name, taken_port))
    assert (ended.out, ended.err) == ("", "")


def test_tasks_that_wait_for_a_decision_are_told(folder: Path, fake: FakeApp) -> None:
    """Nothing failed, and no later start would go on with them: silence would be for ever."""
    fake.status = replace(status_of(completed=1, pending=2, changed=2), undecided=2, held=2)
    fake.exit = Exit.SOME_FAILED
    ended = call("run", "prompts", "-q")
    assert "error: 2 tasks of prompts wait for a decision" in ended.err
    assert "--changed ask" in ended.err
    assert folder.exists()

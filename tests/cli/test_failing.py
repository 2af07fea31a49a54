"""How errors end: the right code, four parts, no secret, no traceback for a person's mistake."""

from pathlib import Path

import pytest

from runner.errors import (
    CredentialsRefused,
    Exit,
    MoneyStopped,
    Problem,
    RunnerError,
    TryLater,
    WrongInput,
)
from tests.cli.calling import SECRET, ClosedPipe, FakeApp, call

ENVIRON = {"DATAFORSEO_LOGIN": "me@example.com", "DATAFORSEO_PASSWORD": SECRET}


@pytest.mark.parametrize(
    "error",
    [
        WrongInput("a"),
        MoneyStopped("b"),
        CredentialsRefused("c"),
        TryLater("d"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_each_kind_of_error_has_its_exit_code_and_no_traceback(
    error: Exception, folder: Path, fake: FakeApp
) -> None:
    """Cron decides by the code whether to mail (UX.md §2.3)."""
    fake.raises = error
    ended = call("run", "prompts", environ=ENVIRON)
    assert ended.code is getattr(error, "exit_code", None)
    assert ended.err.splitlines()[-1] == f"error: {error}"
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert not (folder / "logs").exists()


def test_of_several_errors_at_once_the_gravest_is_told(folder: Path, fake: FakeApp) -> None:
    """Stages run side by side and may fail side by side (DESIGN.md §11)."""
    fake.raises = BaseExceptionGroup(
        "stages", [TryLater("later"), ExceptionGroup("inner", [CredentialsRefused("login")])]
    )
    ended = call("run", "prompts", environ=ENVIRON)
    assert ended.code is Exit.CREDENTIALS
    assert "error: login" in ended.err


def test_a_bug_leaves_a_report_without_secrets_and_without_variables(
    folder: Path, fake: FakeApp
) -> None:
    """A report is attached to a ticket as it is (UX.md §2.11)."""
    fake.raises = KeyError(f"no such thing as {SECRET}")
    ended = call("run", "prompts", "--api", "sim", environ=ENVIRON)
    assert ended.code is Exit.BUG
    assert "bug: unexpected KeyError in" in ended.err
    assert "the tasks are safe in" in ended.err
    (report,) = (folder / "logs").glob("bug-*.txt")
    assert str(report) in ended.err
    text = report.read_text("utf-8")
    assert "KeyError" in text
    assert "command: runner run prompts --api sim" in text
    assert SECRET not in text + ended.err + ended.out
    assert "me@example.com" not in text
    # The value of a local variable of ours would show so.
    assert "reporter =" not in text
    assert report.stat().st_mode & 0o077 == 0


def test_an_error_of_ours_that_stops_everything_is_told_with_its_report(
    folder: Path, fake: FakeApp
) -> None:
    """An error whose class says that it is our bug keeps its own words."""
    fake.raises = RunnerError("the impossible happened", where="batch 7")
    ended = call("run", "prompts", environ=ENVIRON)
    assert ended.code is Exit.BUG
    assert ended.err.startswith("bug: the impossible happened\n  at batch 7\n  report written to ")


def test_a_bug_next_to_an_ordinary_error_is_still_a_bug(folder: Path, fake: FakeApp) -> None:
    """Nothing of ours hides behind "try later"."""
    fake.raises = ExceptionGroup("stages", [TryLater("later"), ZeroDivisionError("oh")])
    ended = call("run", "prompts", environ=ENVIRON)
    assert ended.code is Exit.BUG
    assert "ZeroDivisionError" in next((folder / "logs").iterdir()).read_text("utf-8")


def test_a_report_that_cannot_be_written_is_printed(folder: Path, fake: FakeApp) -> None:
    """A full disk or a read-only folder must not swallow the only trace."""
    (folder / "logs").write_text("a file where the folder would be", "utf-8")
    fake.raises = KeyError(SECRET)
    ended = call("run", "prompts", environ=ENVIRON)
    assert ended.code is Exit.BUG
    assert "Traceback" in ended.err
    assert SECRET not in ended.err


def test_debug_shows_where_an_error_came_from_but_no_secret(folder: Path, fake: FakeApp) -> None:
    """For who wants to know more than the message says."""
    fake.raises = TryLater(f"with {SECRET}")
    ended = call("run", "prompts", "--debug", environ=ENVIRON)
    assert "Traceback" in ended.err
    assert SECRET not in ended.err


def test_with_json_the_error_is_the_one_last_event(folder: Path, fake: FakeApp) -> None:
    """restic's users asked for years; errors included, no exceptions (UX.md §2.4)."""
    problem = Problem("p.csv", 3, 1, "is empty")
    fake.raises = WrongInput("bad", problems=[problem], where="p.csv", how="runner check")
    ended = call("run", "prompts", "--json", environ=ENVIRON)
    assert [event["event"] for event in ended.events] == ["error"]
    assert ended.events[-1] == {
        "schema": "runner.event/1",
        "event": "error",
        "what": "bad",
        "where": "p.csv",
        "why": None,
        "how": "runner check",
        "problems": [{"path": "p.csv", "line": 3, "column": 1, "message": "is empty"}],
        "exit": 2,
    }


def test_a_password_on_the_command_line_is_not_repeated(folder: Path) -> None:
    """Shell history is bad enough."""
    ended = call("simulate", "--password", SECRET, "--latency", f"{SECRET} is no time")
    assert ended.code is Exit.WRONG_INPUT
    assert SECRET not in ended.err


def test_ctrl_c_before_the_work_ends_with_130(folder: Path, fake: FakeApp) -> None:
    """A person who stops it is told nothing but that."""
    fake.raises = KeyboardInterrupt()
    ended = call("run", "prompts", environ=ENVIRON)
    assert ended.code is Exit.INTERRUPTED
    assert ended.err == "error: stopped\n"


def test_a_closed_pipe_ends_quietly(folder: Path) -> None:
    """`runner status | head -1` is no error (UX.md §2.2)."""
    ended = call("status", "--json", stdout=ClosedPipe())
    assert ended.code is Exit.DONE
    assert "rror" not in ended.err


def test_wrong_settings_are_told_with_where_they_stand(folder: Path) -> None:
    """All of them at once, before anything is opened."""
    (folder / "runner.toml").write_text("calls_per_minute = 0\nstroe = 'x'\n", "utf-8")
    ended = call("status")
    assert ended.code is Exit.WRONG_INPUT
    assert f"{folder}/runner.toml:1:1: " in ended.err
    assert f"{folder}/runner.toml:2:1: " in ended.err

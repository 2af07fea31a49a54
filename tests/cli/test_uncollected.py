"""Results that wait too long to be collected: the line that even `-q` prints."""

from datetime import timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from runner.cli import session
from runner.errors import Exit, TryLater
from tests.cli.calling import RUN, FakeApp, call, status_of
from tests.reports.filling import filled, running
from tests.support.clock import START, ManualClock


@pytest.fixture
async def waiting(folder: Path) -> Path:
    """A store whose one task was posted when the clock of the tests began, and still runs."""
    store = folder / "runner.db"
    async with filled(store, [{"prompt": "why?"}], job="prompts", end=running):
        pass
    return store


def at(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Go to so many days after the task was posted."""
    then = ManualClock(START + timedelta(days=days))
    monkeypatch.setattr(session, "SystemClock", lambda: then)


@pytest.mark.parametrize(("days", "word"), [(19, None), (21, "warning"), (28, "alarm")])
@pytest.mark.parametrize("command", ["runs", "cost", "status", "config"])
@pytest.mark.usefixtures("waiting")
def test_any_command_ends_with_the_warning_on_stderr(
    command: str, days: int, word: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks at anything should hear that an answer is about to be lost (DESIGN.md §1.4)."""
    at(monkeypatch, days)
    ended = call(command, *(["show"] if command == "config" else []))
    lines = ended.err.splitlines()
    said = [line for line in lines if "a result has waited" in line]
    assert [line.split(":")[0] for line in said] == ([word] if word else [])
    assert said == lines[-1:] or not word
    assert ended.code is Exit.DONE


@pytest.mark.usefixtures("waiting")
def test_a_document_stays_alone_on_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that reads the JSON must not meet a second document."""
    at(monkeypatch, 28)
    ended = call("status", "--json")
    assert ended.document["schema"] == "runner.status/1"
    assert "alarm: prompts:" in ended.err


@pytest.mark.parametrize(
    ("code", "days", "told"),
    [
        (Exit.DONE, 28, False),
        (Exit.NOT_FINISHED, 28, False),
        (Exit.TRY_LATER, 19, False),
        (Exit.TRY_LATER, 21, True),
        (Exit.SOME_FAILED, 21, True),
    ],
)
@pytest.mark.usefixtures("waiting")
def test_quiet_is_silent_unless_an_answer_may_be_lost_where_nothing_was_collected(
    fake: FakeApp, code: Exit, days: int, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """75 every night for weeks mails nobody, and after thirty days the answers are gone."""
    at(monkeypatch, days)
    if code is Exit.TRY_LATER:
        fake.raises = TryLater("another run is active")
    fake.exit = code
    ended = call("-q", "run", "prompts")
    assert ended.code is code
    assert ended.out == ""
    assert ("a result has waited" in ended.err) == told
    assert (ended.err == "") == (code in (Exit.DONE, Exit.NOT_FINISHED) or not told)


def test_the_warning_stands_before_the_summary_and_after_everything_else(
    folder: Path, fake: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tail -1` of the log is the summary, whatever else there is to say."""
    at(monkeypatch, 21)
    old = status_of(posted=1, failed=2)
    fake.others = (old,)
    fake.status = status_of(run=RUN, completed=3, failed=1)
    ended = call("run", "prompts")
    assert ended.err.splitlines()[-1].startswith("warning: prompts: a result has waited 21 d")
    assert ended.out.splitlines()[-1].split()[2] == "run.end"


def test_a_lock_that_is_held_ends_quietly_with_75(folder: Path) -> None:
    """Two cron lines in one workspace: the second steps aside without a mail."""
    environ = {"DATAFORSEO_LOGIN": "a", "DATAFORSEO_PASSWORD": "b"}
    # As another process would hold it.
    with FileLock(f"{folder / 'runner.db'}.lock", is_singleton=False):
        ended = call("-q", "run", "prompts", environ=environ)
    assert (ended.code, ended.out, ended.err) == (Exit.TRY_LATER, "", "")


@pytest.mark.parametrize("command", ["runs", "status"])
def test_a_store_that_is_no_file_ends_as_the_command_says(command: str, folder: Path) -> None:
    """The look at what is uncollected must not end in a traceback of its own."""
    (folder / "runner.db").mkdir()
    ended = call(command)
    assert ended.code is Exit.WRONG_INPUT
    assert "not a regular file" in ended.err
    assert "Traceback" not in ended.err

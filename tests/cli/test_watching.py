"""What is seen while a run goes on: bars, or a line a minute, or nothing."""

import os
import re
import signal
from pathlib import Path

import pytest

from runner.app import StopSwitch
from runner.cli.actions.rates import Rates
from runner.errors import TryLater
from tests.cli.calling import FakeApp, Stream, call, call_on_terminal, progress_of, status_of

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@pytest.fixture
def minutes(fake: FakeApp) -> FakeApp:
    """A start of two and a half minutes, told twice a second."""
    fake.progress = [
        progress_of(
            status_of(posted=300 - n, completed=n), elapsed_s=n / 2, calls=n, note="API is silent"
        )
        for n in range(301)
    ]
    fake.status = status_of(completed=300)
    return fake


def dies(_: StopSwitch) -> None:
    """The run ends with an error while bars are painted."""
    raise TryLater("gone")


def progress_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if " run.progress " in line]


def test_off_a_terminal_there_is_a_line_a_minute_and_the_last_state(
    folder: Path, minutes: FakeApp
) -> None:
    """Bars fill cron logs, and silence looks like a hang (UX.md §2.7)."""
    lines = progress_lines(call("run", "prompts").err)
    assert [re.findall(r"answered=(\d+)", line) for line in lines] == [["120"], ["240"], ["300"]]
    assert lines[0].split(" ", 1)[1] == (
        "info run.progress run=prompts sent=300 answered=120 failed=0 waiting=180 oldest=60s "
        'spent=0.62400012 held=0.00000018 calls=120 note="API is silent"'
    )


def test_off_a_terminal_there_is_no_control_character(folder: Path, minutes: FakeApp) -> None:
    """Even where bars are asked for, and where colour is not (UX.md §10.3)."""
    for argv in ([], ["--progress", "bar"], ["--json"], ["-v"]):
        ended = call("run", "prompts", *argv)
        assert not CONTROL.search(ended.out + ended.err)
        assert ended.err.endswith("\n")


def test_on_a_terminal_there_are_bars(folder: Path, minutes: FakeApp) -> None:
    """Sent and answered, what waits and how old it is, money and calls (UX.md §5.1)."""
    minutes.progress = list(minutes.progress)[:241]
    minutes.during = dies
    seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", call_on_terminal("run", "prompts").err)
    last = seen[seen.rindex("sent ") :].splitlines()
    assert re.search(r"sent +━+ +300/300 +240 calls", last[0])
    assert re.search(r"answered +[━╺╸]+ +240/300 +80 % +120/min +about 30 s left", last[1])
    assert last[2].startswith("waiting 60 · oldest 2 min (of 72 h) · failed 0 · spent $1.25")
    assert last[2].rstrip().endswith("120 of 2,000 calls/min")
    assert last[3].rstrip() == "! API is silent"


def test_bars_give_the_cursor_back_even_when_the_run_fails(folder: Path, minutes: FakeApp) -> None:
    """A terminal without a cursor is a nuisance for the rest of the day."""
    fails = call_on_terminal("run", "prompts").err
    assert fails.rindex("\x1b[?25h") > fails.rindex("\x1b[?25l")

    minutes.during = dies
    fails = call_on_terminal("run", "prompts").err
    assert fails.rindex("\x1b[?25h") > fails.rindex("\x1b[?25l")
    assert "error:" in fails[fails.rindex("\x1b[?25h") :]


def test_without_colour_bars_have_none(folder: Path, minutes: FakeApp) -> None:
    """NO_COLOR forbids colours, not bars."""
    text = call_on_terminal("run", "prompts", environ={"NO_COLOR": "1"}).err
    assert "━" in text
    assert not re.search(r"\x1b\[[0-9;]*m", text.replace("\x1b[0m", ""))
    assert re.search(r"\x1b\[[0-9;]*m", call_on_terminal("run", "prompts").err)


def test_a_terminal_without_unicode_gets_bars_of_ascii(folder: Path, minutes: FakeApp) -> None:
    """A bar of question marks shows nothing."""
    text = call_on_terminal("run", "prompts", encoding="ascii").err
    assert "sent" in text
    assert text.isascii()


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}])
def test_a_terminal_that_cannot_repaint_gets_lines(
    environ: dict[str, str], folder: Path, minutes: FakeApp
) -> None:
    """Editors' shells are terminals without a cursor."""
    text = call_on_terminal("run", "prompts", environ=environ).err
    assert not CONTROL.search(text)
    assert len(progress_lines(text)) == 3


def test_lines_can_be_had_on_a_terminal_and_nothing_anywhere(
    folder: Path, minutes: FakeApp
) -> None:
    """Three tastes (forcedotcom/cli#327)."""
    assert len(progress_lines(call_on_terminal("run", "prompts", "--progress", "lines").err)) == 3
    for ended in (
        call_on_terminal("run", "prompts", "--progress", "none"),
        call("run", "prompts", "--progress", "none"),
    ):
        assert "run.progress" not in ended.err
        assert "sent" not in ended.err


def test_json_on_a_terminal_is_not_mixed_with_bars(folder: Path, minutes: FakeApp) -> None:
    """Both would paint over each other; with stdout elsewhere bars are fine."""
    assert "\x1b" not in call_on_terminal("run", "prompts", "--json").err
    stderr = Stream(tty=True)
    call("run", "prompts", "--json", stderr=stderr, environ={"TERM": "xterm"})
    assert "━" in stderr.text


def test_what_is_told_stands_above_the_bars_whole(folder: Path, minutes: FakeApp) -> None:
    """What is said while bars are painted must still be there afterwards, and begin its line."""
    minutes.during = lambda _: os.kill(os.getpid(), signal.SIGINT)
    text = call_on_terminal("run", "prompts", "--color", "never").err
    told = text[: text.index("stopping: nothing new is posted")]
    assert told.endswith(("\r\x1b[2K", "\x1b[1A\x1b[2K"))
    after = text[text.index("(the same signal once more leaves at once)") :]
    assert after.splitlines()[1].startswith("sent ")


def test_the_last_picture_is_the_last_state(folder: Path, minutes: FakeApp) -> None:
    """What stays on the screen must agree with the summary below it."""
    minutes.status = status_of(completed=290, failed=10)
    minutes.progress = list(minutes.progress)[:10]
    text = call_on_terminal("run", "prompts", "--color", "never").err
    last = text[text.rindex("sent ") :]
    assert "300/300" in last.splitlines()[1]
    assert "waiting 0" in last
    assert "failed 10" in last
    assert "Ctrl-C" not in last


def test_rates_are_those_of_the_last_minute() -> None:
    """An hour of waiting must not make the last burst look slow."""
    rates = Rates()
    rates.note(progress_of(status_of(posted=100), elapsed_s=0))
    slow = rates.note(progress_of(status_of(posted=100), elapsed_s=3600, calls=10))
    assert slow.answers_per_minute is None
    for second in range(3601, 3661):
        done = second - 3600
        pace = rates.note(
            progress_of(
                status_of(posted=100 - done, completed=done), elapsed_s=second, calls=10 + 2 * done
            )
        )
    assert pace.answers_per_minute == pytest.approx(60)
    assert pace.calls_per_minute == pytest.approx(120, abs=2)
    assert pace.left_s == pytest.approx(40, abs=1)


def test_no_rate_is_made_up_from_a_moment() -> None:
    """Ten answers in the first half second are not 1,200 a minute."""
    rates = Rates()
    rates.note(progress_of(status_of(posted=100), elapsed_s=0))
    pace = rates.note(progress_of(status_of(posted=90, completed=10), elapsed_s=0.5))
    assert pace.answers_per_minute is None
    assert pace.left_s is None

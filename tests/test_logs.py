"""The log: one event one line, whatever the values hold, and never a secret in any form."""

import asyncio
import base64
import errno
import io
import json
import logging
import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import logs
from runner.errors import WrongInput
from runner.lifecycle import State
from runner.logs import printable

SECRET = "pl4nted/s3cret+&é"
NOON = datetime(2026, 11, 21, 2, 15, 1, tzinfo=UTC)


class StillClock:
    """It is always a quarter past two."""

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Terminal(io.StringIO):
    """A stream that calls itself a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _undo() -> Iterator[None]:
    """There is one log in a process: leave it as it was found."""
    yield
    logs.unbind()
    logs.close()


def configured(
    *,
    stream: io.StringIO | None = None,
    verbosity: int = 0,
    format: logs.Format = "auto",
    secrets: tuple[str, ...] = (SECRET,),
    log_file: Path | None = None,
    colour: bool = False,
) -> io.StringIO:
    """A log into memory at a fixed time."""
    out = stream if stream is not None else io.StringIO()
    logs.configure(
        stream=out,
        verbosity=verbosity,
        format=format,
        secrets=secrets,
        log_file=log_file,
        clock=StillClock(),
        colour=colour,
    )
    return out


def test_a_text_line_reads_as_documented() -> None:
    """Cron mails and `grep` live on this shape."""
    out = configured()
    logs.get_logger().info("run.start", run="r42", tasks=3750, cost_usd="0.98", fresh=False)
    assert out.getvalue() == (
        "2026-11-21T02:15:01Z info run.start run=r42 tasks=3750 cost_usd=0.98 fresh=false\n"
    )


def test_a_json_line_is_one_object_with_the_same_words() -> None:
    """Collectors read it line by line."""
    out = configured(format="json")
    logs.get_logger().warning("poller.late", oldest_s=1.5, state=State.POSTED, note=None)
    assert json.loads(out.getvalue()) == {
        "time": "2026-11-21T02:15:01Z",
        "level": "warning",
        "event": "poller.late",
        "oldest_s": 1.5,
        "state": "posted",
        "note": None,
    }
    assert out.getvalue().count("\n") == 1


def test_values_with_spaces_or_quotes_stand_in_quotes() -> None:
    """Else `job=brand watch` would be two words to whoever splits the line."""
    out = configured()
    log = logs.get_logger()
    log.info("a.b", job="brand watch", said='"hi"', empty="", pair="x=y", path="C:\\new")
    assert out.getvalue().endswith(
        r'a.b job="brand watch" said="\"hi\"" empty="" pair="x=y" path="C:\\new"' + "\n"
    )


@pytest.mark.parametrize("format", ["text", "json"])
@given(
    values=st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=5,
        ),
        max_size=4,
    )
)
def test_an_event_is_one_line_whatever_its_values_hold(
    format: logs.Format, values: dict[str, object]
) -> None:
    """F82: a line end in a prompt could forge a log line, an escape could repaint the screen."""
    out = configured(format=format)
    with logs.bound(**values):
        logs.get_logger().info("loader.row_seen")
    text = out.getvalue()
    assert len(text.splitlines()) == 1
    assert text.endswith("\n")
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", text)
    text.encode()
    if format == "json":
        assert json.loads(text)["event"] == "loader.row_seen"


def test_terminal_escapes_are_written_out() -> None:
    """`status` and errors show customers' prompts on a terminal (F81)."""
    hostile = "red\x1b[31m\x07 \u202eback\nnew\x9bline\ud800\u2028"
    assert printable(hostile) == (r"red\x1b[31m\x07 \u202eback\nnew\x9bline\ud800\u2028")
    assert printable("Café 日本語 👩‍👩‍👧") == "Café 日本語 👩‍👩‍👧"


def test_the_secret_shows_in_no_value_at_no_depth() -> None:
    """It may come in through a URL, a header, a nested structure, a key or an exception (F78)."""
    basic = base64.b64encode(f"me:{SECRET}".encode()).decode()
    for format in ("text", "json"):
        out = configured(format=format)
        logs.bind(job=SECRET)
        logs.get_logger().info(
            f"client.sent {SECRET}",
            url=f"https://x/?p={quote(SECRET, safe='')}&q={quote_plus(SECRET)}",
            headers={"Authorization": f"Basic {basic}", SECRET: [{"deep": (SECRET,)}]},
            raw=SECRET.encode(),
            error=ValueError(f"bad password {SECRET!r}"),
            path=Path("/tmp") / SECRET,
            nested=json.dumps({"p": SECRET}),
        )
        text = out.getvalue()
        assert text.count("***") >= 10
        for form in [SECRET, quote(SECRET, safe=""), quote_plus(SECRET), basic, "s3cret"]:
            assert form not in text


@pytest.mark.parametrize("format", ["text", "json"])
def test_a_traceback_stays_on_one_line_without_locals_and_secrets(format: logs.Format) -> None:
    """Local variables in a traceback are how tokens end up on screens."""
    out = configured(format=format)
    local_only = "value-of-a-local" + str(len(SECRET))
    try:
        raise RuntimeError(f"login with {SECRET} failed") from KeyError(SECRET)
    except RuntimeError:
        logs.get_logger().exception("bug.found")
    text = out.getvalue()
    assert text.count("\n") == 1
    assert "RuntimeError: login with *** failed" in text
    assert "KeyError" in text
    assert "test_logs.py" in text
    assert SECRET not in text
    assert local_only not in text


def test_an_exception_is_taken_in_every_way_structlog_knows() -> None:
    """A handler may have only the object, or what `sys.exc_info` gave."""
    out = configured()
    log = logs.get_logger()
    error = ValueError("first")
    log.error("a.failed", exc_info=error)
    log.error("b.failed", exc_info=(ValueError, error, None))
    log.error("c.failed", exc_info=None)
    log.error("d.failed", exc_info=(None, None, None))
    first, second, third, fourth = out.getvalue().splitlines()
    assert "ValueError: first" in first
    assert "ValueError: first" in second
    assert "exception" not in third + fourth


@pytest.mark.parametrize(
    ("verbosity", "seen"),
    [
        (-1, ["error"]),
        (0, ["info", "warning", "error"]),
        (1, ["debug", "info", "warning", "error"]),
        (2, ["debug", "info", "warning", "error"]),
    ],
)
def test_verbosity_decides_what_is_said(verbosity: int, seen: list[str]) -> None:
    """Quiet still says errors; the API's single calls are asked for with -vv."""
    out = configured(verbosity=verbosity)
    log = logs.get_logger()
    log.debug("a.b")
    log.info("a.b")
    log.warning("a.b")
    log.error("a.b")
    assert [line.split()[1] for line in out.getvalue().splitlines()] == seen
    assert logs.calls_logged() == (verbosity == 2)


def test_what_is_filtered_out_is_not_even_looked_at() -> None:
    """Decisions are logged at places that run for every task."""

    class Counted:
        asked = 0

        def __str__(self) -> str:
            Counted.asked += 1
            return "seen"

    out = configured()
    logs.get_logger().debug("a.b", value=Counted())
    assert (out.getvalue(), Counted.asked) == ("", 0)
    logs.get_logger().info("a.b", value=Counted())
    assert "value=seen" in out.getvalue()


def test_a_terminal_gets_short_lines_and_colour_only_when_wanted() -> None:
    """The date is noise to who sits in front of it; control characters never leave a terminal."""
    plain = configured(stream=Terminal())
    logs.get_logger().warning("a.b", n=1)
    assert plain.getvalue() == "02:15:01Z warning a.b n=1\n"
    painted = configured(stream=Terminal(), colour=True)
    logs.get_logger().warning("a.b", n=1)
    assert "\x1b[33mwarning\x1b[0m" in painted.getvalue()
    pipe = configured(colour=True)
    logs.get_logger().warning("a.b", n=1)
    assert "\x1b" not in pipe.getvalue()
    whole = configured(stream=Terminal(), format="text", colour=True)
    logs.get_logger().warning("a.b", n=1)
    assert whole.getvalue() == "2026-11-21T02:15:01Z warning a.b n=1\n"


def test_run_and_job_lead_the_line_and_end_with_their_block() -> None:
    """Bound once in app.py, they must be on every line, always at the same place."""
    out = configured()
    log = logs.get_logger()
    logs.bind(job="brands", worker=7, run="r42")
    log.info("a.b", tasks=1)
    logs.unbind("worker", "job")
    with logs.bound(batch=9):
        log.info("a.b")
    logs.unbind()
    log.info("a.b")
    assert [line.split(" ", 3)[3:] for line in out.getvalue().splitlines()] == [
        ["run=r42 job=brands worker=7 tasks=1"],
        ["run=r42 batch=9"],
        [],
    ]


async def test_what_one_task_binds_another_does_not_show() -> None:
    """Stages run at the same time in one process."""
    out = configured()

    async def stage(name: str) -> None:
        logs.bind(stage=name)
        await asyncio.sleep(0)
        logs.get_logger().info("a.b")

    await asyncio.gather(stage("one"), stage("two"))
    assert sorted(line.split()[3:] for line in out.getvalue().splitlines()) == [
        ["stage=one"],
        ["stage=two"],
    ]


def test_the_log_file_has_what_a_quiet_stream_leaves_out(tmp_path: Path) -> None:
    """`-q --log-file` is the nightly line: no mail, but a record."""
    path = tmp_path / "nightly.jsonl"
    out = configured(verbosity=-1, format="json", log_file=path)
    logs.get_logger().info("run.start", password=SECRET)
    logs.get_logger().debug("a.b")
    assert out.getvalue() == ""
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["password"] == "***"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_log_file_is_added_to_and_a_torn_line_is_ended_first(tmp_path: Path) -> None:
    """A crash may have cut the last line; the next one must not run into it."""
    path = tmp_path / "run.log"
    path.write_text("whole\ntor")
    configured(log_file=path)
    logs.get_logger().info("run.start")
    logs.get_logger().info("run.end")
    assert path.read_text().splitlines() == [
        "whole",
        "tor",
        "2026-11-21T02:15:01Z info run.start",
        "2026-11-21T02:15:01Z info run.end",
    ]


def test_a_log_file_that_cannot_be_opened_is_wrong_input(tmp_path: Path) -> None:
    """Found at the start, not in the morning; what was set up before goes on."""
    out = configured()
    with pytest.raises(WrongInput) as caught:
        configured(log_file=tmp_path / "missing" / "run.log")
    assert caught.value.where == str(tmp_path / "missing" / "run.log")
    assert caught.value.how == f"mkdir -p {tmp_path / 'missing'}"
    with pytest.raises(WrongInput):
        configured(log_file=tmp_path)
    logs.get_logger().info("a.b")
    assert out.getvalue().endswith("a.b\n")


def test_a_full_disk_under_the_log_file_is_told_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store may be on another disk; the line after the disk has space again is whole."""
    path = tmp_path / "run.log"
    out = configured(log_file=path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", _no_space)
        logs.get_logger().info("a.b")
        logs.get_logger().info("c.d")
    logs.get_logger().info("e.f")
    events = [line.split()[2] for line in out.getvalue().splitlines()]
    assert events == ["a.b", "log.output_failed", "c.d", "e.f"]
    assert path.read_text() == "2026-11-21T02:15:01Z info e.f\n"


def _no_space(fd: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


class BrokenPipe(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_a_closed_stream_stops_nothing(tmp_path: Path) -> None:
    """`runner run 2>&1 | head` closes it in the middle of a run."""
    path = tmp_path / "run.log"
    out = configured(log_file=path)
    out.close()
    logs.get_logger().info("a.b")
    assert "a.b" in path.read_text()
    configured(stream=BrokenPipe(), log_file=path)
    logs.get_logger().info("c.d")
    assert "c.d" in path.read_text()


def test_a_stream_that_knows_only_ascii_gets_escapes() -> None:
    """LANG=C under cron must not turn a log line into an exception."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    logs.configure(stream=stream, clock=StillClock())
    logs.get_logger().info("a.b", city="Zürich")
    assert raw.getvalue() == b"2026-11-21T02:15:01Z info a.b city=Z\\xfcrich\n"


def test_what_libraries_log_comes_out_masked_on_one_line() -> None:
    """asyncio and aiohttp report through `logging`, tracebacks and all."""
    out = configured()
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("asyncio").exception("lost: %s\nand more", SECRET)
    logging.getLogger("aiohttp").info("too small to tell")
    (ours,) = our_handlers()
    ours.handle(logging.makeLogRecord({"levelno": 30, "msg": "broken %d", "args": ("format",)}))
    first, second = out.getvalue().splitlines()
    assert "error library.logged library=asyncio" in first
    assert SECRET not in first
    assert 'message="broken %d"' in second
    logs.close()
    assert our_handlers() == []


def our_handlers() -> list[logging.Handler]:
    """What the log has hooked into `logging`."""
    known = logging.getLogger().handlers
    return [handler for handler in known if type(handler).__module__.startswith("runner.")]


def test_before_it_is_set_up_only_warnings_show_and_stdout_stays_clean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """stdout carries answers; a module used by itself must not write there."""
    log = logs.get_logger()
    log.info("a.b")
    log.warning("c.d")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith("warning c.d\n")
    assert said.err.count("\n") == 1


def test_a_kept_logger_follows_a_later_set_up() -> None:
    """Modules fetch it when they are imported, long before flags are read."""
    log = logs.get_logger()
    first = configured()
    log.info("a.b")
    second = configured()
    log.info("c.d")
    assert ("a.b" in first.getvalue(), "c.d" in first.getvalue()) == (True, False)
    assert "c.d" in second.getvalue()


def test_awkward_values_come_out_as_something() -> None:
    """A log line must never fail for what it was given to say."""

    class Unspeakable:
        def __str__(self) -> str:
            raise RuntimeError("no")

    circle: list[object] = []
    circle.append(circle)
    out = configured(format="json")
    logs.get_logger().info(
        "a.b",
        odd=Unspeakable(),
        circle=circle,
        huge=10**5000,
        nan=float("nan"),
        money=Decimal("0.010200000"),
        when=datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        time="mine",
        long="x" * 100_000,
    )
    line = json.loads(out.getvalue())
    assert line["odd"] == "a Unspeakable that cannot be printed"
    assert line["huge"] == "a number of over 300 digits"
    assert (line["nan"], line["money"]) == ("nan", "0.010200000")
    assert line["when"] == "2026-01-01T00:00:00Z"
    assert (line["time"], line["time_"]) == ("2026-11-21T02:15:01Z", "mine")
    assert line["long"].endswith("(+84000 characters)")


def test_a_password_of_digits_is_hidden_in_numbers_too() -> None:
    """And the line stays valid JSON."""
    out = configured(format="json", secrets=("48151623",))
    logs.get_logger().info("a.b", pin=48151623, ratio=0.48151623, n=7)
    line = json.loads(out.getvalue())
    assert (line["pin"], line["ratio"], line["n"]) == ("***", "0.***", 7)

"""`runner status --watch`, `--since` and `--strict`."""

import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.cli import session
from runner.errors import Exit
from tests.cli.calling import ClosedPipe, call, call_on_terminal
from tests.cli.looked_at import CONTROL, fill
from tests.support.clock import START, ManualClock
from tests.support.commands import environment

PAINT = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Eventful(ManualClock):
    """While somebody sleeps, the next thing happens."""

    def __init__(self, *events: Callable[[], object]) -> None:
        super().__init__(START.replace(hour=11))
        self._events = list(events)

    async def sleep(self, seconds: float) -> None:
        self._events.pop(0)()
        await super().sleep(seconds)


@pytest.fixture
async def store(folder: Path) -> Path:
    """A store with a run that ended with failures, and one of which two tasks wait."""
    await fill(folder / "runner.db")
    return folder / "runner.db"


def ends(store: Path, *tasks: int) -> Callable[[], None]:
    """Some tasks are answered."""

    def happen() -> None:
        with sqlite3.connect(store) as db:
            db.executemany(
                "UPDATE tasks SET state = 'completed' WHERE id = ?", [(task,) for task in tasks]
            )
        db.close()

    return happen


def nothing() -> None:
    """A look in vain."""


def interrupt() -> None:
    """Ctrl-C."""
    raise KeyboardInterrupt


def clock_of(monkeypatch: pytest.MonkeyPatch, *events: Callable[[], object]) -> Eventful:
    clock = Eventful(*events)
    monkeypatch.setattr(session, "SystemClock", lambda: clock)
    return clock


def test_in_a_pipe_a_line_comes_whenever_something_changed(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log of a night is not filled with lines that say the same."""
    clock = clock_of(monkeypatch, nothing, ends(store, 5), nothing, ends(store, 6))
    ended = call("status", "--watch")
    assert ended.code is Exit.DONE
    assert [re.findall(r"at=\S+T(\S+)Z run=(\S+)", line)[0] for line in ended.out.splitlines()] == [
        ("11:15:00", "prompts"),
        ("11:15:00", "nightly@2026-11-21"),
        ("11:17:00", "nightly@2026-11-21"),
        ("11:19:00", "nightly@2026-11-21"),
    ]
    assert "done=1 failed=0 waiting=1" in ended.out.splitlines()[2]
    assert clock.slept == [60.0] * 4
    assert not CONTROL.search(ended.out + ended.err)


def test_on_a_terminal_the_table_is_repainted_and_the_last_one_stays(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the cursor comes back."""
    clock = clock_of(monkeypatch, nothing, ends(store, 5, 6))
    ended = call_on_terminal("status", "--watch", "nightly")
    assert ended.code is Exit.DONE
    assert clock.slept == [2.0] * 2
    assert ended.out.count("\x1b[?25l") == ended.out.count("\x1b[?25h") == 1
    assert not re.search(r"\x1b\[[0-9;]*m", ended.out)
    last = PAINT.sub("", ended.out[ended.out.rindex("2026-11-21T11:15:04Z") :]).splitlines()
    assert last[0] == "2026-11-21T11:15:04Z · Ctrl-C to leave"
    assert last[1].split()[:3] == ["JOB", "RUN", "NO"]
    assert last[2].split()[0] == "nightly"
    assert last[2].endswith("finished")
    assert len(last) == 3


def test_json_is_a_document_a_look(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`runner status --watch --json | jq`, also on a terminal."""
    for see in (call, call_on_terminal):
        clock_of(monkeypatch, nothing, ends(store, 5, 6))
        looks = see("status", "--watch", "5", "--json").events
        assert {look["schema"] for look in looks} == {"runner.status/1"}
        assert looks[-1]["runs"][1]["states"]["completed"] == 2
        ends_again = sqlite3.connect(store)
        ends_again.execute("UPDATE tasks SET state = 'posted' WHERE id IN (5, 6)")
        ends_again.commit()
        ends_again.close()
        assert len(looks) == 3


@pytest.mark.parametrize("environ", [{}, {"TERM": "dumb"}])
def test_ctrl_c_ends_it(
    store: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    """With 130, as people and shells expect, and with a cursor."""
    clock_of(monkeypatch, nothing, interrupt)
    ended = call_on_terminal("status", "--watch", environ=environ)
    assert ended.code is Exit.INTERRUPTED
    assert ended.out.count("\x1b[?25l") == ended.out.count("\x1b[?25h") == (not environ)


@pytest.mark.parametrize(
    ("argv", "slept", "runs"),
    [
        (["--watch", "7"], 7.0, 2),
        (["--watch", "1.5"], 1.5, 2),
        (["--watch", "2m"], 120.0, 2),
        (["--watch", "nightly"], 60.0, 1),
        (["nightly", "--watch"], 60.0, 1),
        (["--watch", "7", "nightly"], 7.0, 1),
    ],
)
def test_how_often_and_what_may_stand_in_any_order(
    store: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], slept: float, runs: int
) -> None:
    """`--watch RUN` is what people type first."""
    clock = clock_of(monkeypatch, ends(store, 5, 6))
    ended = call("status", *argv)
    assert ended.code is Exit.DONE
    assert clock.slept == [slept]
    assert len(ended.out.splitlines()) == runs + 1


@pytest.mark.parametrize(
    "argv", [["--watch", "0"], ["--watch", "99999"], ["--watch", "x", "nightly"], ["--watch", "x"]]
)
def test_what_is_no_interval_is_refused(store: Path, argv: list[str]) -> None:
    """Not a busy loop, nor a look in a year."""
    ended = call("status", *argv)
    assert ended.code is Exit.WRONG_INPUT
    assert ended.out == ""


def test_what_has_ended_is_shown_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to wait for."""
    clock_of(monkeypatch)
    assert len(call("status", "prompts", "--watch").out.splitlines()) == 1


def test_nobody_waits_for_a_store_that_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `status` itself."""
    clock_of(monkeypatch)
    ended = call("status", "--watch")
    assert (ended.code, ended.out) == (Exit.DONE, "")


def test_strict_tells_failures_by_the_exit_code(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For monitoring: 1 as from `run` (UX.md §5.1)."""
    assert call("status", "--strict").code is Exit.SOME_FAILED
    assert call("status", "nightly", "--strict").code is Exit.DONE
    clock_of(monkeypatch, ends(store, 5, 6))
    assert call("status", "--watch", "--strict", "--json").code is Exit.SOME_FAILED


def test_since_leaves_out_runs_that_began_before(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This week's nights."""
    clock_of(monkeypatch)
    assert len(call("status", "--since", "1d", "--json").document["runs"]) == 2
    assert call("status", "--since", "2h", "--json").document["runs"] == []
    assert call("status", "--since", "2026-11-22").out == ""


def test_more_runs_than_a_screen_holds_leave_the_newest(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that scrolls cannot be repainted."""
    with sqlite3.connect(store) as db:
        for day in range(40):
            db.execute(
                "INSERT INTO runs (id, job_id, key, fresh, tag_part, api, key_columns, tries,"
                " created_at) SELECT ?, 1, ?, 0, 'x', api, key_columns, tries, created_at"
                " FROM runs WHERE id = 1",
                (100 + day, f"day-{day}"),
            )
            db.execute("INSERT INTO run_money (run_id) VALUES (?)", (100 + day,))
    db.close()
    clock_of(monkeypatch, interrupt)
    shown = PAINT.sub("", call_on_terminal("status", "--watch", environ={"LINES": "12"}).out)
    assert "… and 34 earlier" in shown
    assert "day-39" in shown
    assert "day-31" not in shown


def test_the_reader_may_leave(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`runner status --watch | head -1`."""
    clock_of(monkeypatch, nothing)
    ended = call("status", "--watch", stdout=ClosedPipe())
    assert (ended.code, ended.err) == (Exit.DONE, "")


# -- in a terminal of the system's own -------------------------------------------------------------


def on_a_pty(folder: Path, *argv: str, stop_after: str | None = None) -> tuple[int, str]:
    """Run one command in front of a pseudo-terminal; Ctrl-C once it has shown *stop_after*."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *argv],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm", COLUMNS="90", LINES="24"),
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 65_536):
            seen += data
            if stop_after is not None and stop_after.encode() in seen:
                process.send_signal(signal.SIGINT)
                stop_after = None
    except OSError:
        pass  # Linux's way to say that nobody writes any more.
    os.close(ours)
    return process.wait(30), seen.decode().replace("\r\n", "\n")


def test_a_real_terminal_gets_tables_that_fit_and_nothing_to_obey(store: Path) -> None:
    """What only looks like a terminal may be taken for one where the system's own is not."""
    for argv in (["tasks"], ["runs"], ["show", "2"], ["status"]):
        code, seen = on_a_pty(store.parent, *argv)
        assert code == 0, seen
        assert not CONTROL.search(seen)
    assert max(map(len, on_a_pty(store.parent, "tasks", "r1")[1].splitlines())) <= 90


def test_ctrl_c_in_a_real_terminal_gives_the_cursor_back(store: Path) -> None:
    """The signal comes while nothing is painted, and from outside."""
    code, seen = on_a_pty(store.parent, "status", "--watch", "0.2", stop_after="Ctrl-C to leave")
    assert code == 130
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h") == 1
    assert "nightly" in seen

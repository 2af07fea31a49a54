"""`runner tasks` and `runner runs`: lists for people, pipes and programs."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli import session
from runner.errors import Exit
from runner.store.sqlite.looking_verbs import TASKS_PAGE
from tests.cli.calling import SECRET, ClosedPipe, Ended, call, call_on_terminal
from tests.cli.looked_at import CELLS, CONTROL, ESC, fill, fill_with
from tests.support.clock import START, ManualClock
from tests.support.commands import environment


@pytest.fixture
async def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with two runs, looked at an hour after the last answer."""
    clock = ManualClock()
    clock.set_wall(START.replace(hour=10))
    monkeypatch.setattr(session, "SystemClock", lambda: clock)
    await fill(folder / "runner.db")
    return folder / "runner.db"


def cells(ended: Ended) -> list[list[str]]:
    """The tab-separated lines of stdout."""
    assert ended.code is Exit.DONE, ended.err
    return [line.split("\t") for line in ended.out.splitlines()]


def ids(*argv: str) -> list[int]:
    """The numbers of the tasks that are listed."""
    head, *lines = cells(call("tasks", *argv))
    assert head[0] == "task_id"
    return [int(line[0]) for line in lines]


def test_in_a_pipe_there_is_a_header_and_a_line_for_each_task(store: Path) -> None:
    """`cut -f1`, `sort`, `join` work on it (UX.md §5.4)."""
    lines = cells(call("tasks", "prompts"))
    assert lines[0] == (
        "task_id q target provider model state reason error_code attempts age_s cost_usd".split()
    )
    assert lines[1] == "1|why is the sky blue?|only|claude|m|completed|||1|3600|0.005200001".split(
        "|"
    )
    assert lines[4] == "4|who?|only|claude|m|failed|refused|40501|1|28800|".split("|")


def test_what_would_break_a_line_is_written_out_and_can_be_read_back(store: Path) -> None:
    """A prompt with a line end is one line; a backslash is not taken for one (UX.md §2.6)."""
    lines = cells(call("tasks", "prompts", "--columns", "task_id,q,note"))
    assert lines[1][2] == r"a\tb\\c"
    assert lines[2][1] == r"how \x1b[31mred\x07?\nand why?"
    assert all(len(line) == 3 for line in lines)


@pytest.mark.parametrize("argv", [[], ["--json"], ["--columns", "q,note,error_message"]])
@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"}])
def test_no_control_character_and_no_secret_leaves(
    store: Path, argv: list[str], environ: dict[str, str]
) -> None:
    """Neither into a pipe nor onto a terminal (UX.md §10.3, §10.8)."""
    environ = {"DATAFORSEO_PASSWORD": "question-of-Acme", **environ}
    for ended in (
        call("tasks", *argv, environ=environ),
        call_on_terminal("tasks", *argv, environ=environ),
    ):
        assert ended.code is Exit.DONE
        assert ended.out.endswith("\n")
        assert not CONTROL.search(ended.out + ended.err)
        assert "question-of" not in ended.out + ended.err


def test_a_secret_in_a_cell_is_masked(folder: Path) -> None:
    """Somebody's password got into the prompt file; it need not get into the log of cron too."""
    fill_with(folder / "runner.db", {"q": f"is {SECRET} good?"})
    environ = {"DATAFORSEO_PASSWORD": SECRET}
    for argv in (["tasks"], ["tasks", "--json"], ["show", "1"], ["show", "1", "--json"]):
        ended = call(*argv, environ=environ)
        assert ended.code is Exit.DONE
        assert SECRET not in ended.out + ended.err
        assert "is *** good?" in ended.out


def test_on_a_terminal_there_is_a_table_that_fits(store: Path) -> None:
    """Columns line up and no line wraps; what is cut says so, what matters least goes."""
    ended = call_on_terminal("tasks", "prompts", environ={"COLUMNS": "100"})
    head, *lines = ended.out.splitlines()
    assert head.split() == "TASK q TARGET PROVIDER MODEL STATE CODE TRIED AGE COST".split()
    assert max(map(len, (head, *lines))) <= 100
    assert {line.index("claude") for line in lines} == {head.index("PROVIDER")}
    assert lines[0].endswith(" 1 h  $0.0052")
    assert "failed, refused  40501" in lines[3]
    assert lines[3].endswith("  8 h        -")
    assert r"how \x1b[31mred" in lines[1]
    narrow = call_on_terminal("tasks", "prompts", environ={"COLUMNS": "60"}).out.splitlines()
    assert narrow[0].split() == "TASK q PROVIDER MODEL STATE AGE".split()
    assert "why is the …  " in narrow[1]
    assert max(map(len, narrow)) <= 60
    asked = call_on_terminal(
        "tasks", "--columns", "attempts,target,reason", environ={"COLUMNS": "20"}
    )
    assert asked.out.splitlines()[0].split() == ["TRIED", "TARGET", "REASON"]


def test_a_table_is_as_wide_on_its_second_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages come one by one; a long prompt on a later one must not break the lines."""
    rows = [{"q": "short"} for _ in range(TASKS_PAGE)] + [{"q": "long " * 100}]
    fill_with(folder / "runner.db", *rows)
    lines = call_on_terminal("tasks", environ={"COLUMNS": "100"}).out.splitlines()
    assert len(lines) == TASKS_PAGE + 2
    assert max(map(len, lines)) <= 100
    assert sum("TASK" in line for line in lines) == 1
    assert "…" in lines[-1]


def test_colour_wishes_change_nothing(store: Path) -> None:
    """A list has no colours, whatever is wished."""
    plain = call_on_terminal("tasks", environ={"NO_COLOR": "1"}).out
    assert call_on_terminal("tasks", "--color", "always").out == plain


def test_json_is_a_document_a_line(store: Path) -> None:
    """100,000 tasks are read one by one; `jq` needs no array in memory."""
    ended = call("tasks", "prompts", "--json")
    first, *_, last = documents = ended.events
    assert [document["task_id"] for document in documents] == [1, 2, 3, 4]
    assert {document["schema"] for document in documents} == {"runner.tasks/1"}
    assert first["row"] == {"q": "why is the sky blue?"}
    assert first | last == last | {"row": {"q": "who?"}}
    assert last["error_code"] == 40501
    assert last["error_message"] == "Invalid Field: 'user_prompt'."
    assert (first["cost_usd"], last["cost_usd"]) == ("0.005200001", None)
    assert first["moved_at"] == "2026-11-21T09:15:00Z"
    assert documents[1]["row"]["q"] == CELLS[1]["q"]


def test_several_runs_are_told_apart(store: Path) -> None:
    """The number alone does not say which night a task is of."""
    head, *lines = cells(call("tasks"))
    assert head[:3] == ["task_id", "run", "q"]
    assert [line[1] for line in lines] == ["prompts"] * 4 + ["nightly@2026-11-21"] * 2


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        ([], [1, 2, 3, 4, 5, 6]),
        (["nightly"], [5, 6]),
        (["r1"], [1, 2, 3, 4]),
        (["--run", "r2"], [5, 6]),
        (["--run", "2026-11-21"], [5, 6]),
        (["--run", "r1", "--run", "r2"], [1, 2, 3, 4, 5, 6]),
        (["--job", "prompts"], [1, 2, 3, 4]),
        (["--job", "jobs/prompts.toml"], [1, 2, 3, 4]),
        (["nightly", "--run", "2026-11-21"], [5, 6]),
        (["--state", "failed"], [3, 4]),
        (["--state", "failed", "--state", "posted"], [3, 4, 5, 6]),
        (["--error", "50000"], [3]),
        (["--model", "m"], [1, 2, 3, 4, 5, 6]),
        (["--provider", "gemini"], []),
        (["--where", "brand=Acme"], [1, 3, 5]),
        (["--where", "brand=Acme", "--where", "q=when?"], [3]),
        (["--where", "brand="], [4]),
        (["--since", "2h"], [1, 2, 3]),
        (["--until", "2026-11-21T03:00"], [4, 5, 6]),
        (["--since", "2026-11-21", "--until", "2026-11-21"], [1, 2, 3, 4, 5, 6]),
        (["--since", "2026-11-22"], []),
        (["--limit", "2"], [1, 2]),
    ],
)
def test_selectors_mean_what_they_say(store: Path, argv: list[str], meant: list[int]) -> None:
    """The same everywhere (UX.md §2.13)."""
    assert ids(*argv) == meant
    assert call("tasks", *argv, "--count").out == f"{len(meant)}\n"
    counted = call("tasks", *argv, "--count", "--json").document
    assert counted == {"schema": "runner.tasks.count/1", "tasks": len(meant)}


def test_a_list_is_the_input_of_the_next_command(store: Path, tmp_path: Path) -> None:
    """`runner tasks … | runner tasks --tasks-from -`, as it was printed, as JSON, by hand."""
    listed = tmp_path / "listed"
    for argv in ([], ["--json"]):
        listed.write_text(call("tasks", "--state", "failed", *argv).out, "utf-8")
        assert ids("--tasks-from", str(listed)) == [3, 4]
    listed.write_text("\ufeff# by hand\n\n6\n  2, why\r\n2\n", "utf-8")
    assert ids("--tasks-from", str(listed)) == [2, 6]
    assert ids("nightly", "--tasks-from", str(listed)) == [6]
    listed.write_text("", "utf-8")
    assert ids("--tasks-from", str(listed)) == []


def test_a_list_can_come_through_a_pipe(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is none: cron may close standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"task_id\tq\n4\twho?\n")))
    assert ids("--tasks-from", "-") == [4]
    monkeypatch.setattr(sys, "stdin", None)
    ended = call("tasks", "--tasks-from", "-")
    assert ended.code is Exit.WRONG_INPUT
    assert "standard input is closed" in ended.err


@pytest.mark.parametrize("text", ["1\nx\n", "1\n-3\n", '{"task_id": "1"}\n', '{"task_id"\n', "1.5"])
def test_a_list_with_a_wrong_line_is_not_half_taken(store: Path, tmp_path: Path, text: str) -> None:
    """Half of a list would be a different question."""
    listed = tmp_path / "listed"
    listed.write_text(text, "utf-8")
    ended = call("tasks", "--tasks-from", str(listed))
    assert ended.code is Exit.WRONG_INPUT
    assert f"{listed}:{text.count(chr(10)) or 1}:1: must begin with a task number" in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["nothing"], "there is no run or job nothing"),
        (["--run", "r9"], "there is no run or job r9"),
        (["--job", "promts"], "did you mean prompts?"),
        (["nightly", "--run", "r1"], "no run is meant by all of these"),
        (["--where", "brnd=x"], 'the input has no column "brnd"; did you mean brand?'),
        (["--where", "brand"], "write COLUMN=VALUE"),
        (["--columns", "task_id,stat"], "did you mean state?"),
        (["--columns", " ,"], "--columns names no column"),
        (["--columns", "input.x"], 'the input has no column "x"'),
        (["--since", "yesterday"], "write 24h or 7d (ago), or 2026-11-20"),
        (["--state", "done"], "'done' is not one of"),
        (["--tasks-from", "no-such-file"], "no-such-file cannot be read"),
    ],
)
def test_what_means_nothing_is_a_mistake(store: Path, argv: list[str], told: str) -> None:
    """An empty list after a typo reads as good news."""
    ended = call("tasks", *argv)
    assert ended.code is Exit.WRONG_INPUT
    assert told in ended.err
    assert ended.out == ""


def test_a_number_of_another_store_is_a_mistake(store: Path, tmp_path: Path) -> None:
    """The list was made with --api sim."""
    listed = tmp_path / "listed"
    listed.write_text("1\n77\n88\n", "utf-8")
    ended = call("tasks", "--tasks-from", str(listed))
    assert ended.code is Exit.WRONG_INPUT
    assert "2 of 3 tasks" in ended.err
    assert "the first is 77" in ended.err


def test_columns_are_chosen_by_name(store: Path) -> None:
    """Ours, and the input's own."""
    lines = cells(call("tasks", "prompts", "--columns", "task_id, brand,posted_at,job"))
    assert lines[:2] == [
        ["task_id", "brand", "posted_at", "job"],
        ["1", "Acme", "2026-11-21T02:15:00Z", "prompts"],
    ]
    first = call("tasks", "--columns", "brand", "--json").events[0]
    assert first["row"] == {"brand": "Acme"}


def test_a_column_of_the_input_that_is_called_like_ours_can_still_be_had(
    folder: Path,
) -> None:
    """People have a column `state`, and mean Ohio."""
    fill_with(folder / "runner.db", {"q": "x", "state": "Ohio", "deep": {"er": 1}})
    lines = cells(call("tasks", "--columns", "state,input.state,deep,deep.er"))
    assert lines == [
        ["state", "input.state", "deep", "deep.er"],
        ["completed", "Ohio", '{"er":1}', "1"],
    ]


def test_head_may_close_the_pipe(store: Path) -> None:
    """`runner tasks | head -1` ends quietly (UX.md §2.2)."""
    for argv in (["tasks"], ["tasks", "--json"], ["tasks", "--count"], ["runs"]):
        ended = call(*argv, stdout=ClosedPipe())
        assert (ended.code, ended.err) == (Exit.DONE, "")


def test_a_real_reader_may_leave_in_the_middle(folder: Path) -> None:
    """More than a pipe holds, as with 100,000 tasks: no traceback, no error, 0."""
    fill_with(folder / "runner.db", *({"q": f"{n} {'x' * 500}"} for n in range(600)))
    for command in (["tasks"], ["tasks", "--json"], ["export", "-o", "-"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", *command],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b"\n")
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(30) == 0


def test_nothing_found_is_said_to_people_and_is_a_header_for_programs(store: Path) -> None:
    """A program reads a table without rows; a person would wonder."""
    argv = ["tasks", "--provider", "gemini", "--run", "r1"]
    assert call_on_terminal(*argv).out == "no task is meant by all of these\n"
    assert len(call(*argv).out.splitlines()) == 1
    assert call(*argv, "--json").out == ""
    assert call_on_terminal("runs", "--since", "1h").out == "no run is meant by all of these\n"


def test_before_anything_was_run_there_is_nothing_to_list(folder: Path) -> None:
    """A monitoring script runs before the first night; and no store is made by the way."""
    for command in ("tasks", "runs"):
        ended = call(command)
        assert ended.code is Exit.DONE
        assert "nothing was run here yet" in ended.err
        assert call(command, "prompts").code is Exit.WRONG_INPUT
    assert call("runs", "--json").document["runs"] == []
    assert call("tasks", "--count").out == "0\n"
    assert not list(folder.glob("*.db"))


def test_quiet_lists_nothing_but_json(store: Path) -> None:
    """-q is silence or errors."""
    for command in ("tasks", "runs"):
        assert call("-q", command) == Ended(Exit.DONE, "", "")
        assert call("-q", command, "--json").out


def test_failures_can_be_listed_one_by_one(store: Path) -> None:
    """`errors` says why, `errors --rows` says which."""
    lines = cells(call("errors", "prompts", "--rows"))
    assert [line[0] for line in lines] == ["task_id", "3", "4"]
    assert cells(call("errors", "prompts", "--rows", "--error", "50000"))[1][0] == "3"
    assert len(cells(call("errors", "prompts", "--rows", "--state", "completed"))) == 1
    assert call("errors", "prompts", "--limit", "1").code is Exit.WRONG_INPUT


def test_failures_are_grouped_as_far_as_they_are_meant(store: Path) -> None:
    """The causes for one brand."""
    document = call("errors", "prompts", "--where", "brand=Acme", "--json").document
    assert [group["code"] for group in document["groups"]] == [50000]
    assert call("errors", "prompts", "--state", "posted", "--json").document["count"] == 0


def test_an_export_takes_selectors_too(store: Path) -> None:
    """The lines of one brand, of one error."""
    ended = call("export", "prompts", "-o", "-", "--where", "brand=Acme", "--error", "50000")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert [row["task_id"] for row in rows] == ["3"]
    ended = call("export", "prompts", "-o", "-", "--format", "jsonl", "--since", "2h")
    assert [json.loads(line)["task_id"] for line in ended.out.splitlines()] == [1, 2, 3]


# -- runs ------------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first(store: Path) -> None:
    """Tonight's stands at the top."""
    head, *lines = cells(call("runs"))
    assert head == ("run number job started_at tasks done failed waiting cost_usd state".split())
    assert list(map(" ".join, lines)) == [
        "nightly@2026-11-21 r2 nightly 2026-11-21T02:15:00Z 2 0 0 2 0.00 waiting",
        "prompts r1 prompts 2026-11-21T02:15:00Z 4 2 2 0 0.010400002 failed",
    ]


def test_runs_for_people_and_as_json(store: Path) -> None:
    """A table; a document with the names of `status`."""
    lines = call_on_terminal("runs").out.splitlines()
    assert lines[0].split() == ("RUN NO STARTED TASKS DONE FAILED WAITING COST STATE".split())
    assert "today 02:15" in lines[1]
    assert lines[2].endswith("finished, 2 failed")
    document = call("runs", "--json").document
    assert document["schema"] == "runner.runs/1"
    assert [run["state"] for run in document["runs"]] == ["waiting", "failed"]
    assert document["runs"][1]["states"]["failed"] == 2
    for ended in (call("runs"), call_on_terminal("runs"), call("runs", "--json")):
        assert ESC not in ended.out
        assert not CONTROL.search(ended.out)


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["prompts"], ["r1"]),
        (["--job", "nightly"], ["r2"]),
        (["--limit", "1"], ["r2"]),
        (["--since", "9h"], ["r2", "r1"]),
        (["--since", "1h"], []),
        (["--until", "2026-11-20"], []),
    ],
)
def test_runs_can_be_chosen(store: Path, argv: list[str], meant: list[str]) -> None:
    """A year of nights is 365 lines."""
    assert [line[1] for line in cells(call("runs", *argv))[1:]] == meant

"""`runner show`: everything about one task, or the one part that was asked for."""

import asyncio
import json
import sqlite3
import zlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runner.cli import session
from runner.cli.actions import task_page
from runner.cli.layout import width_of, wrapped
from runner.errors import Exit
from runner.reports.task_lines import COLUMNS
from runner.store.sqlite.store import open_store
from tests.cli.calling import ClosedPipe, Stream, call, call_on_terminal
from tests.cli.looked_at import CELLS, CONTROL, RAW, fill
from tests.support.clock import START, ManualClock


@pytest.fixture
async def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with two runs, looked at an hour after the last answer."""
    clock = ManualClock(START + timedelta(hours=8))
    monkeypatch.setattr(session, "SystemClock", lambda: clock)
    await fill(folder / "runner.db")
    return folder / "runner.db"


PAGE = """\
task 1 · completed · claude m · since 1 h
run         prompts (r1)
target      only (standard, dataforseo)
cost        $0.0052

row
  line 2 of f.csv
  q      why is the sky blue?
  brand  Acme
  note   a\\tb\\c

attempt 1
  2026-11-21 02:15:00  intended   batch 1
  2026-11-21 02:15:00  posted     after 0.0 s, as remote-0
  2026-11-21 09:15:00  answered   after 7 h
                       money      advanced $0.0102, charged $0.005200001, \
refunded $0.004999999 (computed)
                       tag        {tag}

prompt
  why is the sky blue?

answer
  It scatters.

  \tfor x in y:
  \t\tpass

sources
   1. First · https://a.example/1
   2. https://b.example/\\x1b[31m

searched for
  first query
  second, query

reasoning
  Let me \\x1b[31mthink.

took
  11 tokens in, 22 tokens out, web search, answered by m-2026-01-01, price $0.0050
"""


def test_the_page_of_an_answered_task(store: Path) -> None:
    """What was asked, when what happened, what it cost, what came back."""
    tag = call("show", "1", "--json").document["timeline"][0]["tag"]
    assert call("show", "1").out == PAGE.replace("{tag}", tag)


def test_on_a_terminal_the_page_fits(store: Path) -> None:
    """Prose is wrapped at spaces; code keeps its indent; further lines stand under the first."""
    ended = call_on_terminal("show", "1", environ={"COLUMNS": "60"})
    lines = ended.out.splitlines()
    assert max(map(width_of, lines)) <= 60
    assert "      for x in y:" in lines
    money = next(i for i, line in enumerate(lines) if " money " in line)
    assert lines[money + 1].startswith(" " * 34)
    assert lines[money + 1].strip() == "charged $0.005200001,"


@pytest.mark.parametrize("task", ["1", "2", "3", "4", "5"])
@pytest.mark.parametrize(
    "argv", [[], ["--prompt"], ["--json"], ["--json", "--color", "always"], ["-v"]]
)
@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}])
def test_nothing_that_a_terminal_obeys_leaves(
    store: Path, task: str, argv: list[str], environ: dict[str, str]
) -> None:
    """A prompt or an answer must not repaint the screen of who looks at it (FAULTS.md 81)."""
    for ended in (
        call("show", task, *argv, environ=environ),
        call_on_terminal("show", task, *argv, environ=environ),
    ):
        assert ended.code is Exit.DONE, ended.err
        assert not CONTROL.search(ended.out + ended.err)
        assert ended.out.endswith("\n")


def test_a_failed_task_tells_why(store: Path) -> None:
    """The API's code and words, on the line of its attempt."""
    text = call("show", "3").out
    assert text.startswith("task 3 · failed (remote) · claude m")
    assert "failed     after 7 h, 50000 Task failed." in text
    assert "tries       1 of 3 used" in text
    assert "answer" not in text
    refused = call("show", "4").out
    assert "refused    after 0.0 s, 40501 Invalid Field: 'user_prompt'." in refused
    assert "posted" not in refused


def test_a_waiting_task_tells_for_how_long_and_when_it_is_asked_for(store: Path) -> None:
    """Is it stuck, or is it early?"""
    text = call("show", "5").out
    assert "waiting    for 8 h, asked once, next asked for 2026-11-22 02:15:00" in text
    assert "cost        $0.00, $0.0102 reserved" in text


def test_parts_can_be_had_alone(store: Path) -> None:
    """`runner show 1 --answer > answer.md`; asked for by name it comes even with -q."""
    assert call("show", "1", "--answer").out == "It scatters.\n\n\tfor x in y:\n\t\tpass\n"
    assert call("show", "2", "--answer").out == "Because \\x1b[31mof that.\n\n"
    assert call("show", "2", "--prompt", "-q").out == "how \\x1b[31mred\\x07?\nand why?\n"


def test_raw_is_the_reply_to_the_byte(store: Path) -> None:
    """What the API sent, for who doubts our reading of it; `jq` reads it from the pipe."""
    out = Stream()
    assert call("show", "1", "--raw", stdout=out).code is Exit.DONE
    assert out.text.encode() == RAW


def test_json_has_everything_exactly(store: Path) -> None:
    """For programs; names are those of exports."""
    document = call("show", "2", "--json").document
    assert document["schema"] == "runner.task/1"
    assert set(COLUMNS) <= set(document)
    assert document["request"]["user_prompt"] == CELLS[1]["q"]
    assert document["input"] == CELLS[1]
    assert document["row"] == {"q": CELLS[1]["q"]}
    (attempt,) = document["timeline"]
    assert (attempt["number"], attempt["state"]) == (1, "completed")
    assert (attempt["charged"], attempt["charge_evidence"]) == ("0.005200001", "computed")
    assert (attempt["posted_after_s"], attempt["ended_after_s"]) == (0.0, 25_200.0)
    assert attempt["reply_bytes"] == len(zlib.compress(RAW))
    assert attempt["result"]["answer"] == "Because \x1b[31mof that.\r\n"
    assert attempt["result"]["citations"][0]["url"] == "https://a.example/1"


def test_json_cuts_nothing_even_where_a_secret_is_masked(folder: Path) -> None:
    """An answer of 100,000 characters is not a log line."""
    from tests.cli.looked_at import fill_with

    fill_with(folder / "runner.db", {"q": "p4ssw0rd " + "x" * 100_000})
    document = call("show", "1", "--json", environ={"DATAFORSEO_PASSWORD": "p4ssw0rd"}).document
    assert document["request"]["user_prompt"] == "*** " + "x" * 100_000


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["99"], "there is no task 99 in this store"),
        (["x"], "x is no task number"),
        (["0"], "0 is no task number"),
        (["9223372036854775808"], "there is no task 9223372036854775808"),
        (["3", "--answer"], "task 3 has no answer here: it is failed (remote)"),
        (["5", "--raw"], "no reply of the API is stored for task 5"),
        (["1", "--raw", "--attempt", "99999999999999999999"], "task 1 has no attempt"),
        (["1", "--attempt", "2"], "task 1 has no attempt 2"),
        (["1", "--raw", "--answer"], "--answer and --raw do not go together"),
        (["1", "--prompt", "--raw"], "--prompt and --raw do not go together"),
        ([], "missing argument"),
    ],
)
def test_what_cannot_be_shown_is_said(store: Path, argv: list[str], told: str) -> None:
    """Exit 2, and nothing on stdout that a script could take for it."""
    ended = call("show", *argv)
    assert ended.code is Exit.WRONG_INPUT
    assert told in ended.err.lower() if told.islower() else told in ended.err
    assert "--json" in argv or ended.out == ""


def test_a_part_of_a_task_can_be_had_as_json(store: Path) -> None:
    """A program that always says --json need not know an exception."""
    parts = {
        name: call("show", "1", f"--{name}", "--json").document
        for name in ("prompt", "answer", "raw")
    }
    assert {part["schema"] for part in parts.values()} == {"runner.task.part/1"}
    assert parts["prompt"]["prompt"] == CELLS[0]["q"]
    assert parts["answer"]["answer"].startswith("It scatters.")
    assert parts["raw"]["raw"] == RAW.decode()


async def change(store: Path, *statements: str) -> None:
    """Do to a store what only other commands or accidents do."""
    with sqlite3.connect(store) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def test_a_damaged_reply_is_no_bug_of_ours(store: Path) -> None:
    """Disks rot."""
    asyncio.run(change(store, "UPDATE replies SET raw = x'00' WHERE task_id = 1"))
    ended = call("show", "1", "--raw")
    assert ended.code is Exit.WRONG_INPUT
    assert "the stored reply of task 1 is damaged" in ended.err


def test_what_was_pruned_is_said_to_be(store: Path) -> None:
    """`prune` deletes texts and keeps what was paid."""
    tables = ("payloads", "results", "replies", "citations")
    asyncio.run(change(store, *(f"DELETE FROM {table} WHERE task_id = 1" for table in tables)))
    text = call("show", "1").out
    assert text.startswith("task 1 · completed (pruned) · claude m")
    assert "the request was pruned" in text
    assert "the answer was pruned" in text
    assert "charged $0.005200001" in text
    assert call("show", "1", "--json").document["request"] is None
    for argv in (["--prompt"], ["--answer"], ["--raw"]):
        assert call("show", "1", *argv).code is Exit.WRONG_INPUT


def test_an_earlier_answer_stays_with_its_attempt(store: Path) -> None:
    """After `--changed ask` both can be compared."""
    asyncio.run(
        change(
            store,
            "UPDATE tasks SET attempt = 2, state = 'posting' WHERE id = 1",
            """
            INSERT INTO attempts (task_id, number, run_id, batch_id, model, tag, state)
            VALUES (1, 2, 1, 1, 'm', 'tag', 'posting')
            """,
        )
    )
    text = call("show", "1").out
    assert "\nattempt 1\n" in text
    assert "\nattempt 2\n" in text
    assert "\nanswer of attempt 1\n" in text
    assert call("show", "1", "--answer", "--attempt", "1").code is Exit.DONE
    assert "it is posting" in call("show", "1", "--answer", "--attempt", "2").err


def test_a_conversation_shows_what_went_before(store: Path) -> None:
    """The prompt alone would not explain the answer."""
    body = {
        "user_prompt": "and why?",
        "system_message": "Be brief.",
        "message_chain": [{"role": "user", "message": "what?"}, {"role": "ai", "message": "that"}],
        "temperature": 0.5,
        "web_search": True,
    }
    asyncio.run(change(store, f"UPDATE payloads SET body = '{json.dumps(body)}' WHERE task_id = 1"))
    text = call("show", "1").out
    assert "parameters  temperature=0.5 web_search=true\n" in text
    order = ["system message\n  Be brief.", "earlier, user\n  what?", "earlier, ai\n  that"]
    places = [text.index(part) for part in (*order, "prompt\n  and why?", "answer\n")]
    assert places == sorted(places)


async def test_an_answer_that_could_not_be_read_points_to_its_bytes(store: Path) -> None:
    """It was paid for."""
    async with open_store(store, clock=ManualClock()) as opened:
        detail = await opened.task(1)
        (run, *_) = await opened.runs()
    assert detail is not None
    (attempt,) = detail.attempts
    assert attempt.result is not None
    broken = replace(attempt, result=replace(attempt.result, answer="", parse_error="no\x07 JSON"))
    told = list(task_page.page(replace(detail, attempts=(broken,)), run, broken, START, None))
    assert r"  the reply could not be read: no\x07 JSON; see it with --raw" in told


def test_the_reader_may_leave(store: Path) -> None:
    """`runner show 1 | head -1`."""
    for argv in ([], ["--json"], ["--raw"], ["--answer"]):
        ended = call("show", "1", *argv, stdout=ClosedPipe())
        assert (ended.code, ended.err) == (Exit.DONE, "")


def test_before_anything_was_run_there_is_no_task(folder: Path) -> None:
    """And no store is made by the way."""
    ended = call("show", "1")
    assert ended.code is Exit.WRONG_INPUT
    assert "nothing was run here yet" in ended.err
    assert not list(folder.glob("*.db"))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("    code()", ["    code", "()"]),
        ("abcdefghijkl", ["abcdefgh", "ijkl"]),
        ("ab abcdefghijkl", ["ab", "abcdefgh", "ijkl"]),
        ("東京東京東京", ["東京東京", "東京"]),
        ("a  b", ["a  b"]),
    ],
)
def test_text_is_wrapped_by_what_a_terminal_shows(text: str, lines: list[str]) -> None:
    """Wide characters take two columns; an indent is part of a line of code."""
    assert wrapped(text, 8) == lines

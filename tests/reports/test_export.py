"""Whole exports of a real store."""

import asyncio
import io
import json
import os
import stat
from pathlib import Path

import pytest

from runner.answer import Citation
from runner.errors import WrongInput
from runner.lifecycle import State
from runner.money import exact
from runner.reports.columns import COLUMNS
from runner.reports.export import export_files, export_name, export_run, write_stream
from runner.store.endings import Ending, Posted
from runner.store.listing import Selection
from runner.store.sqlite.reading import EXPORTED
from runner.task import Outcome
from tests.reports.filling import (
    CHARGE,
    accepted,
    answered,
    failed,
    filled,
    refused,
    running,
)
from tests.reports.written import BOTH, as_written, lines, table


async def test_there_is_a_line_for_each_row_and_target_in_the_order_of_the_input(
    tmp_path: Path,
) -> None:
    """People paste the answers beside their own table: order and number must be the input's."""
    cells = [{"q": f"question {n}", "market": "DE"} for n in range(1_203)]
    async with filled(tmp_path / "q.db", cells, targets=("left", "right")) as f:
        files = await export_run(f.store, f.run, folder=tmp_path / "out", formats=BOTH)
    assert [each.path for each in files] == [
        tmp_path / "out" / "demo.csv",
        tmp_path / "out" / "demo.jsonl",
    ]
    assert [each.rows for each in files] == [2_406, 2_406]
    assert [each.bytes for each in files] == [each.path.stat().st_size for each in files]
    rows = table(files[0].path)
    expected = [(row["q"], target) for row in cells for target in ("left", "right")]
    assert [(row["q"], row["target"]) for row in rows] == expected
    assert [(line["input"]["q"], line["target"]) for line in lines(files[1].path)] == expected
    assert [row["answer"] for row in rows[:4]] == [f"answer {n}" for n in range(4)]


async def test_the_inputs_columns_come_first_under_their_own_names(tmp_path: Path) -> None:
    """A person looks for his own columns first; ours must not push them aside."""
    async with filled(tmp_path / "q.db", [{"q": "x", "answer": "mine", "z": "1"}]) as f:
        (file,) = await export_run(f.store, f.run, folder=tmp_path, formats=["csv"])
    names = file.path.read_text("utf-8").splitlines()[0].split(",")
    assert names[:5] == ["q", "answer", "z", "target", "provider"]
    (row,) = table(file.path)
    assert row["answer"] == "mine"
    assert row["runner_answer"] == "answer 0"


async def test_what_an_answer_brought_stands_in_its_line(tmp_path: Path) -> None:
    """Tokens, sources and cost are what the run was paid for."""
    async with filled(tmp_path / "q.db", [{"q": "why?"}], run_key="2026-11-21") as f:
        files = await export_run(f.store, f.run, folder=tmp_path, formats=BOTH)
    assert files[0].path.name == "demo@2026-11-21.csv"
    (row,) = table(files[0].path)
    (line,) = lines(files[1].path)
    shown = {
        "target": "only",
        "provider": "claude",
        "model": "m",
        "prompt": "why?",
        "answer": "answer 0",
        "citation_urls": ["https://a.example/1"],
        "input_tokens": 11,
        "output_tokens": 22,
        "reasoning_tokens": None,
        "cost_usd": "0.005200001",
        "cost_evidence": "computed",
        "money_spent_usd": "0.005000001",
        "posted_at": "2026-11-21T02:15:00Z",
        "answered_at": None,
        "received_at": "2026-11-21T09:15:00Z",
        "run": "demo@2026-11-21",
        "sample": 1,
        "turn": 1,
        "state": "completed",
        "reason": None,
        "error_code": None,
        "attempts": 1,
        "model_name": "m-2026-01-01",
        "fan_out_queries": ["first query", "second, query"],
        "web_search": True,
        "remote_id": "remote-0",
        "position": 1,
        "duplicate_of": None,
        "changed": None,
    }
    assert {name: line[name] for name in shown} == shown
    assert list(line) == ["input", *COLUMNS]
    for name, value in shown.items():
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        assert row[name] == ("" if value is None else text)


async def test_an_answer_without_sources_differs_from_no_answer(tmp_path: Path) -> None:
    """ "Cites nobody" is a finding; "not answered" is not."""

    def end(number: int, posted: Posted) -> Ending:
        if number == 1:
            return running(number, posted)
        unnamed = (Citation(url=None, title="t"),) if number else ()
        return answered("x", citations=unnamed, fan_out_queries=None)(number, posted)

    async with filled(tmp_path / "q.db", [{"q": str(n)} for n in range(3)], end=end) as f:
        files = await export_run(f.store, f.run, folder=tmp_path, formats=BOTH)
    assert [line["citation_urls"] for line in lines(files[1].path)] == [[], None, []]
    assert [row["citation_urls"] for row in table(files[0].path)] == ["[]", "", "[]"]


async def test_a_duplicate_row_repeats_the_answer_and_costs_nothing(tmp_path: Path) -> None:
    """Asked once and paid once: summing the column must give what was paid."""
    cells = [{"q": "same"}, {"q": "other"}, {"q": "same"}]
    async with filled(
        tmp_path / "q.db", cells, key=lambda _, row: str(row["q"]).encode().ljust(16)
    ) as f:
        files = await export_run(f.store, f.run, folder=tmp_path, formats=BOTH)
        total, _ = await f.store.cost(by=None)
    rows = table(files[0].path)
    assert [row["duplicate_of"] for row in rows] == ["", "", "1"]
    assert [row["position"] for row in rows] == ["1", "2", "3"]
    assert rows[2]["answer"] == rows[0]["answer"] != rows[1]["answer"]
    assert rows[2]["input_tokens"] == "11"
    assert [row["cost_usd"] for row in rows] == [exact(CHARGE), exact(CHARGE), exact(0)]
    assert total.money.charged == 2 * CHARGE
    assert [line["duplicate_of"] for line in lines(files[1].path)] == [None, None, 1]


async def test_failures_and_waiting_tasks_are_in_with_state_and_reason(tmp_path: Path) -> None:
    """Rows that vanish from the results are the complaint about other tools."""

    def post(number: int, tag: str) -> Outcome:
        return (refused if number == 0 else accepted)(number, tag)

    def end(number: int, posted: Posted) -> Ending:
        return {1: failed(40103), 2: running}.get(number, answered("fine"))(number, posted)

    async with filled(
        tmp_path / "q.db", [{"q": str(n)} for n in range(4)], post=post, end=end
    ) as f:
        (file,) = await export_run(f.store, f.run, folder=tmp_path, formats=["csv"])
        (some,) = await export_run(
            f.store,
            f.run,
            folder=tmp_path,
            name="some",
            formats=["csv"],
            which=Selection(states=frozenset({State.FAILED, State.POSTED})),
        )
    rows = table(file.path)
    assert [(row["state"], row["reason"], row["error_code"]) for row in rows] == [
        ("failed", "refused", "40501"),
        ("failed", "remote", "40103"),
        ("posted", "", ""),
        ("completed", "", ""),
    ]
    assert rows[0]["error_message"] == "Invalid Field: 'user_prompt'."
    assert [row["cost_usd"] for row in rows] == ["", "", "", exact(CHARGE)]
    assert (some.rows, [row["q"] for row in table(some.path)]) == (3, ["0", "1", "2"])


async def test_a_run_before_its_first_post_can_be_exported(tmp_path: Path) -> None:
    """`runner export` at a bad moment shows what there is."""
    async with filled(tmp_path / "q.db", [{"q": "x"}], post=None) as f:
        files = await export_run(f.store, f.run, folder=tmp_path, formats=BOTH)
    (row,) = table(files[0].path)
    assert (row["state"], row["attempts"], row["tag"], row["cost_usd"]) == ("pending", "0", "", "")
    assert lines(files[1].path)[0]["citation_urls"] is None


async def test_an_empty_run_gives_a_header_and_an_empty_jsonl(tmp_path: Path) -> None:
    """A reader of tables wants its header, a reader of lines no line."""
    async with filled(tmp_path / "q.db", [], post=None) as f:
        files = await export_run(f.store, f.run, folder=tmp_path, formats=BOTH)
    assert files[0].path.read_text().split(",")[:2] == ["q", "target"]
    assert [each.rows for each in files] == [0, 0]
    assert files[1].path.read_bytes() == b""


async def test_all_that_the_view_has_is_exported(tmp_path: Path) -> None:
    """A column added to ``results_v1`` and forgotten here would be missed by everybody."""
    renamed = {"cost_nanousd": "cost_usd", "money_spent_nanousd": "money_spent_usd"}
    assert {renamed.get(name, name) for name in EXPORTED} <= COLUMNS.keys()
    async with filled(tmp_path / "q.db", [{"q": "x"}]) as f:
        (page,) = [page async for page in f.store.export(f.run.id)]
    assert page[0].values.keys() == set(EXPORTED)


HOSTILE = [
    '=HYPERLINK("http://x")',
    "- a list\n- of things",
    "a,b;c\td",
    'say "hi"',
    "line\r\nline\rline\nline",
    "\x1b[31mred\x07",
    "'=quoted already",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "\u202eright to left\u2028and a line\u2029",
    "𝒰𝓃𝒾𝒸ℴ𝒹ℯ 👩‍👩‍👧 " + "e\u0301" * 1_000,
    "'; DROP TABLE tasks; --",
    '{"json": true}',
    "%s {} $x `y`",
    "  spaces  ",
    "",
]


async def test_hostile_text_stays_in_its_cell(tmp_path: Path) -> None:
    """What a model read on some web page must neither shift the table nor run in a spreadsheet."""

    def end(number: int, posted: Posted) -> Ending:
        return answered(HOSTILE[number])(number, posted)

    cells = [{"q": text, "more": {"nested": [text]}} for text in HOSTILE]
    async with filled(tmp_path / "q.db", cells, end=end) as f:
        files = await export_run(f.store, f.run, folder=tmp_path, formats=BOTH)
        (raw,) = await export_run(
            f.store, f.run, folder=tmp_path, name="raw", formats=["csv"], raw_cells=True
        )
    rows = table(files[0].path)
    assert rows[0]["answer"] == "'" + HOSTILE[0]
    assert [as_written(row["answer"]) for row in rows] == HOSTILE
    assert [as_written(row["q"]) for row in rows] == HOSTILE
    assert [json.loads(row["more"]) for row in rows] == [row["more"] for row in cells]
    assert [row["answer"] for row in table(raw.path)] == HOSTILE
    assert [line["answer"] for line in lines(files[1].path)] == HOSTILE
    assert [line["input"] for line in lines(files[1].path)] == cells


async def test_a_rehearsal_is_exported_under_another_name(tmp_path: Path) -> None:
    """`--api sim` must not put invented answers where paid ones stand."""
    async with filled(tmp_path / "q.db", [{"q": "x"}], api="sim") as f:
        assert export_name(f.run) == "demo.sim"
        (file,) = await export_run(f.store, f.run, folder=tmp_path, formats=["csv"])
        assert file.path.name == "demo.sim.csv"


@pytest.mark.parametrize("name", ["../demo", "a/b", "", ".", "..", "a\0b"])
async def test_a_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    """A run's key may come from the command line, and becomes part of a path."""
    async with filled(tmp_path / "q.db", [], post=None) as f:
        with pytest.raises(WrongInput):
            await export_run(f.store, f.run, folder=tmp_path / "out", name=name, formats=["csv"])
    assert not (tmp_path / "out").exists()


async def test_a_stream_holds_what_the_file_holds(tmp_path: Path) -> None:
    """`-o - | head` is the same export."""
    async with filled(tmp_path / "q.db", [{"q": f"{n}"} for n in range(700)]) as f:
        files = await export_run(f.store, f.run, folder=tmp_path, formats=BOTH)
        for file, name in zip(files, BOTH, strict=True):
            out = io.BytesIO()
            assert await write_stream(f.store, f.run, name, out) == 700
            assert out.getvalue() == file.path.read_bytes()


async def test_a_reader_that_has_gone_ends_a_stream(tmp_path: Path) -> None:
    """The command then ends quietly; it must hear of it."""
    async with filled(tmp_path / "q.db", [{"q": "x" * 1_000} for _ in range(600)]) as f:
        read, write = os.pipe()
        os.close(read)
        with pytest.raises(BrokenPipeError), os.fdopen(write, "wb", buffering=0) as out:
            await write_stream(f.store, f.run, "csv", out)


async def test_a_stalled_reader_does_not_keep_a_cancelled_stream_alive(tmp_path: Path) -> None:
    """Ctrl-C with the output in a pager that waits for a key."""
    async with filled(tmp_path / "q.db", [{"q": "x" * 1_000} for _ in range(400)]) as f:
        read, write = os.pipe()
        with os.fdopen(write, "wb", buffering=0) as out:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await write_stream(f.store, f.run, "csv", out)
            # Ends the write that waits in its thread.
            os.close(read)


async def test_our_own_export_is_known_when_the_store_has_gone(tmp_path: Path) -> None:
    """`python3 -m runner.dev demo` throws its store away and runs again, without --force."""
    for start in range(2):
        async with filled(tmp_path / f"{start}.db", [{"q": f"{start}"}]) as f:
            (file,) = await export_run(f.store, f.run, folder=tmp_path / "out", formats=["csv"])
        assert table(file.path)[0]["q"] == f"{start}"


async def test_an_export_is_for_its_owner_only(tmp_path: Path) -> None:
    """Prompts and answers may be confidential (FAULTS.md 80)."""
    before = os.umask(0)
    try:
        async with filled(tmp_path / "q.db", [{"q": "x"}]) as f:
            path = tmp_path / "x.txt"
            (file,) = await export_files(f.store, f.run, [(path, "jsonl")])
    finally:
        os.umask(before)
    assert file.path == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

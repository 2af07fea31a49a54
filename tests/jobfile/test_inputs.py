"""``[input] file``: one, several, a pattern or standard input; and data files as JOB."""

import gzip
import io
import json
import os
import sys
from collections.abc import Callable

import pytest

from runner.errors import WrongInput
from runner.inputs.table import Table
from runner.jobfile import Job, Overrides, checked_rows, data_job_name, open_input
from tests.jobfile.workspace import MINIMAL, Workspace

FLAGS = Overrides(provider="claude", model="claude-sonnet-4-0")


def job_of(workspace: Workspace, file: str, more: str = "") -> Job:
    """The smallest job with *file*, as TOML writes it, for its input."""
    return workspace.job(MINIMAL.replace('"../rows.csv"', f"{file}{more}"))


def prompts(table: Table) -> list[object]:
    """What is asked, in order."""
    return [row.cells["prompt"] for chunk in table.chunks() for row in chunk.rows]


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a text what comes in on standard input."""

    def put(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return put


def test_several_files_are_read_in_the_order_they_are_named(workspace: Workspace) -> None:
    """--limit takes the first rows, so the order is the user's to choose."""
    workspace.write("b.csv", "prompt\nfrom b\n")
    workspace.write("data/a.csv", "prompt\nfrom a\n")
    job = job_of(workspace, '["../b.csv", "../data/a.csv"]')
    assert job.input.display == os.path.join("b.csv and data", "a.csv")
    assert prompts(open_input(job.input)) == ["from b", "from a"]


def test_a_pattern_stands_for_all_files_that_match_sorted_by_name(workspace: Workspace) -> None:
    """The order of a folder on disk is anybody's guess, and another on the next machine."""
    for number in (3, 1, 2):
        workspace.write(f"data/{number}.csv", f"prompt\nfrom {number}\n")
    workspace.write("data/.hidden.csv", "prompt\nfrom a copy that an editor made\n")
    (workspace.root / "data" / "folder.csv").mkdir()
    job = job_of(workspace, '"../data/*.csv"')
    assert prompts(open_input(job.input)) == ["from 1", "from 2", "from 3"]
    assert job.input.display == os.path.join("data", "1.csv and 2 other files")


def test_a_pattern_may_go_into_folders(workspace: Workspace) -> None:
    """A folder for each month."""
    (workspace.root / "data").mkdir()
    workspace.write("data/05/a.csv", "prompt\nfrom may\n")
    workspace.write("data/06/a.csv", "prompt\nfrom june\n")
    job = job_of(workspace, '"../data/**/*.csv"')
    assert prompts(open_input(job.input)) == ["from may", "from june"]


def test_a_file_named_twice_by_patterns_is_read_once(workspace: Workspace) -> None:
    """ "The small one first, then all": nobody means to ask it twice."""
    for name in "ab":
        workspace.write(f"data/{name}.csv", f"prompt\nfrom {name}\n")
    job = job_of(workspace, '["../data/b.csv", "../data/*.csv", "../data/../data/a.csv"]')
    assert prompts(open_input(job.input)) == ["from b", "from a"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(workspace: Workspace) -> None:
    """Browsers call the second download ``rows[1].csv``."""
    workspace.write("rows[1].csv", "prompt\nfrom the second\n")
    workspace.write("rows1.csv", "prompt\nfrom another\n")
    job = job_of(workspace, '"../rows[1].csv"')
    assert prompts(open_input(job.input)) == ["from the second"]


def test_a_folder_whose_name_looks_like_a_pattern_holds_its_job(workspace: Workspace) -> None:
    """Only what the job file says is a pattern, not where it lies."""
    workspace.write("year[s]/one.csv", "prompt\nfrom here\n")
    workspace.write("year[s]/x.toml", MINIMAL.replace("../rows.csv", "o*.csv"))
    job = workspace.load("year[s]/x.toml")
    assert prompts(open_input(job.input)) == ["from here"]


def test_files_are_settled_when_the_job_is_read(workspace: Workspace) -> None:
    """A file that appears between checking and loading would be loaded unchecked."""
    workspace.write("data/a.csv", "prompt\nfrom a\n")
    job = job_of(workspace, '"../data/*.csv"')
    workspace.write("data/b.csv", "prompt\nfrom b\n")
    assert prompts(open_input(job.input)) == ["from a"]


def test_each_file_that_cannot_be_read_is_named_at_its_place(workspace: Workspace) -> None:
    """All mistakes at once, each where it can be mended."""
    workspace.write("bad.csv", b"prompt\ncaf\xe9\n")
    workspace.write("other.csv", "question\nwhy?\n")
    workspace.write("x.jsonl", "{}\n")
    files = '["../rows.csv", "../no.csv", "../other.csv",\n "../x.jsonl", "../z*.csv"]'
    said = workspace.mistakes(MINIMAL.replace('"../rows.csv"', files))
    assert len(said) == 4
    for place, message in zip(
        [
            "3:24: input.file[1]: no such file: no.csv",
            "3:37: input.file[2]: other.csv has other columns than rows.csv",
            "4:2: input.file[3]: x.jsonl is JSON, and rows.csv is CSV",
            '4:16: input.file[4]: no file matches "../z*.csv" in jobs',
        ],
        said,
        strict=True,
    ):
        assert message.startswith(f"jobs/x.toml:{place}")
    [message] = workspace.mistakes(MINIMAL.replace("../rows.csv", "../bad.csv"))
    assert message.startswith("bad.csv:2:4: byte 10 (0xE9) is not UTF-8")


def test_a_missing_column_is_missed_in_all_files_together(workspace: Workspace) -> None:
    """They have the same columns, so once is enough."""
    workspace.write("a.csv", "question\nwhy?\n")
    workspace.write("b.csv", "question\nhow?\n")
    assert workspace.mistakes(MINIMAL.replace('"../rows.csv"', '["../a.csv", "../b.csv"]')) == [
        'jobs/x.toml:3:1: input.file: a.csv and b.csv has no column "prompt" (columns: question)'
    ]


def test_bad_rows_are_named_with_their_own_file(workspace: Workspace) -> None:
    """Line 3 of which of thirty?"""
    workspace.write("a.csv", "prompt\nwhy?\n")
    workspace.write("b.csv", 'prompt\nhow?\n""\n')
    job = job_of(workspace, '["../a.csv", "../b.csv"]')
    [first, second] = checked_rows(job, open_input(job.input))
    assert [row.position for row in (*first.rows, *second.rows)] == [1, 2]
    [reject] = second.rejects
    assert str(reject.problems[0]) == "b.csv:3:1: prompt is empty"
    assert reject.number == 3


def test_cells_of_a_tsv_are_typed_like_those_of_a_csv(workspace: Workspace) -> None:
    """Both hold text only, and a number of tokens is a number."""
    workspace.write("rows.tsv", "prompt\tmax_output_tokens\nWhy?\t100\n")
    job = job_of(workspace, '"../rows.tsv"', '\nparameters = ["max_output_tokens"]')
    [checked] = checked_rows(job, open_input(job.input))
    [ask] = checked.rows[0].asks
    assert json.loads(ask.body)["max_output_tokens"] == 100


# --- standard input -------------------------------------------------------------------------------


def test_a_job_of_standard_input_is_loaded_without_reading_it(
    workspace: Workspace, piped: Callable[[str], None]
) -> None:
    """`export` and `retry` load jobs too, and must not wait for prompts, nor swallow them."""
    piped("prompt\nwhy?\n")
    job = job_of(workspace, '"-"')
    assert (job.input.files, job.input.display) == ((), "<stdin>")
    assert sys.stdin.buffer.tell() == 0
    assert prompts(open_input(job.input)) == ["why?"]
    assert prompts(open_input(job.input)) == ["why?"]


def test_a_column_that_standard_input_lacks_is_told_when_it_is_read(
    workspace: Workspace, piped: Callable[[str], None]
) -> None:
    """One message, not one for each of a million rows."""
    piped("id,promt\n1,why?\n")
    job = job_of(workspace, '"-"', '\nkey = ["id"]')
    with pytest.raises(WrongInput) as caught:
        open_input(job.input)
    assert caught.value.what == (
        '<stdin> has no column "prompt"; did you mean promt? (columns: id, promt)'
    )
    assert "--column" in str(caught.value.how)


def test_a_dash_as_job_asks_what_is_piped_in(
    workspace: Workspace, piped: Callable[[str], None]
) -> None:
    """`cat prompts.jsonl | runner run - --provider … --model …`"""
    piped('{"q": "why?"}\n')
    job = workspace.load("-", Overrides(provider="claude", model="claude-sonnet-4-0", column="q"))
    assert (job.name, job.path) == ("stdin", "<stdin>")
    assert job.output_dir == workspace.root / "out"
    [checked] = checked_rows(job, open_input(job.input))
    assert len(checked.rows) == 1


def test_a_dash_alone_does_not_say_whom_to_ask(workspace: Workspace) -> None:
    """The command to paste must be one that works."""
    error = workspace.refusal("-")
    assert "nothing says whom to ask" in error.what
    assert "runner run - --provider" in str(error.how)


# --- data files as JOB ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("my rows.csv", b"prompt\nwhy?\n"),
        ("my rows.TSV", b"prompt\tid\nwhy?\t1\n"),
        ("my rows.jsonl", b'{"prompt": "why?"}\n'),
        ("my rows.json", b'[{"prompt": "why?"}]'),
        ("my rows.csv.gz", gzip.compress(b"prompt\nwhy?\n", mtime=0)),
        ("my rows.tsv.gz", gzip.compress(b"prompt\nwhy?\n", mtime=0)),
        ("my rows.jsonl.gz", gzip.compress(b'{"prompt": "why?"}\n', mtime=0)),
        ("my rows.json.GZ", gzip.compress(b'[{"prompt": "why?"}]', mtime=0)),
    ],
)
def test_a_data_file_of_each_kind_is_a_job(workspace: Workspace, name: str, data: bytes) -> None:
    """What can stand in a job file can stand on the command line."""
    workspace.write(name, data)
    job = workspace.load(name, FLAGS)
    assert job.name == data_job_name(name) == "my-rows"
    assert job.input.display == name
    assert prompts(open_input(job.input)) == ["why?"]


def test_a_data_file_whose_name_looks_like_a_pattern_is_that_file(workspace: Workspace) -> None:
    """Its full path goes through the same way as what a job file says."""
    workspace.write("rows[1].csv", "prompt\nfrom the second\n")
    workspace.write("rows1.csv", "prompt\nfrom another\n")
    job = workspace.load("rows[1].csv", FLAGS)
    assert prompts(open_input(job.input)) == ["from the second"]


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("-", "stdin"),
        ("data/Brands (v2).csv.gz", "Brands-v2"),
        ("a.b.jsonl", "a"),
        ("é.json", "prompts"),
        ("brand-watch", None),
        ("jobs/x.toml", None),
        ("rows.csv.zip", None),
        ("r42", None),
    ],
)
def test_the_job_of_a_data_file_is_named_after_it(ref: str, name: str | None) -> None:
    """`status prompts.csv` finds by it what `run prompts.csv` began."""
    assert data_job_name(ref) == name


def test_a_missing_packed_file_is_answered_with_the_nearest(workspace: Workspace) -> None:
    """The ending of a name that ends twice is easily forgotten."""
    workspace.write("rows.csv.gz", gzip.compress(b"prompt\nwhy?\n"))
    assert workspace.refusal("row.csv.gz", FLAGS).what == (
        "there is no data file row.csv.gz; did you mean rows.csv.gz?"
    )

"""TSV, and the line with which Excel names a delimiter."""

from pathlib import Path

import pytest

from runner.errors import WrongInput
from runner.inputs.table import open_table
from tests.inputs.reading import all_of, complaints, read, write, written_out


def test_a_tsv_is_read_by_its_tabs_whatever_else_is_in_it(tmp_path: Path) -> None:
    """Its name says what separates; prose full of commas cannot mislead."""
    text = 'prompt, exactly\tbrand; name\nwhy, then; how?\tAcme\n"a\tb\nc"\tx\n'
    table = open_table(write(tmp_path / "p.tsv", text))
    assert (table.format, table.delimiter, table.rejects_suffix) == ("tsv", "\t", ".tsv")
    rows, rejects = all_of(table)
    assert not rejects
    assert [list(row.cells.values()) for row in rows] == [
        ["why, then; how?", "Acme"],
        ["a\tb\nc", "x"],
    ]
    assert rows[1].place("brand; name") == (4, 4)


def test_a_column_of_prompts_is_a_tsv_too(tmp_path: Path) -> None:
    """One column has no tab to show, and commas in its rows are prose."""
    rows, rejects = read(write(tmp_path / "p.tsv", "prompt\na,b\nc,d\ne,f\n"))
    assert [row.cells["prompt"] for row in rows] == ["a,b", "c,d", "e,f"]
    assert not rejects


def test_a_ragged_row_of_a_tsv_is_rejected_with_its_place(tmp_path: Path) -> None:
    """A tab too many shifts all cells behind it."""
    _, rejects = read(write(tmp_path / "p.tsv", "prompt\tbrand\nwhy?\thow?\tAcme\n"))
    assert complaints(rejects) == [
        "p.tsv:2:11: the row has 3 cells, the header 2 cells: "
        "a text that holds '\\t' must stand in quotes"
    ]
    assert written_out(rejects) == b"why?\thow?\tAcme\n"


@pytest.mark.parametrize("delimiter", [",", ";", "|"])
def test_a_tsv_without_tabs_is_told_what_separates_it(tmp_path: Path, delimiter: str) -> None:
    """A single column called "id;prompt" would explain nothing."""
    path = write(tmp_path / "p.tsv", f"\nid{delimiter}prompt\n1{delimiter}why?\n")
    with pytest.raises(WrongInput, match=r"^p\.tsv is called .tsv, but") as caught:
        read(path)
    assert caught.value.where == "p.tsv:2"
    assert f"--delimiter '{delimiter}'" in str(caught.value.how)
    rows, _ = read(path, delimiter=delimiter)
    assert rows[0].cells == {"id": "1", "prompt": "why?"}


@pytest.mark.parametrize("name", ["p.csv", "p.tsv"])
@pytest.mark.parametrize(
    ("line", "delimiter"),
    [("sep=;", ";"), ("SEP=,", ","), ('"sep=|"', "|"), ("sep=\t", "\t"), ("sep=^", "^")],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_sep_line_names_the_delimiter_and_is_no_header(
    tmp_path: Path, name: str, line: str, delimiter: str, end: str
) -> None:
    """Excel writes it for itself; as a header it would hide the columns."""
    lines = [line, f"id{delimiter}prompt", f"1{delimiter}why?", "2"]
    table = open_table(write(tmp_path / name, "\ufeff" + end.join(lines) + end), display=name)
    assert (table.columns, table.delimiter) == (("id", "prompt"), delimiter)
    rows, rejects = all_of(table)
    assert [(row.line, row.cells) for row in rows] == [(3, {"id": "1", "prompt": "why?"})]
    assert complaints(rejects)[0].startswith(f"{name}:4:1: the row has 1 cell")

    again = open_table(write(tmp_path / f"again-{name}", table.header + written_out(rejects)))
    assert (again.columns, again.delimiter) == (table.columns, table.delimiter)


def test_a_delimiter_that_is_asked_for_wins_over_the_sep_line(tmp_path: Path) -> None:
    """The user has looked at the file, Excel has not."""
    path = write(tmp_path / "p.csv", "sep=;\nid,prompt\n1,why?\n")
    rows, _ = read(path, delimiter=",")
    assert rows[0].cells == {"id": "1", "prompt": "why?"}


def test_a_sep_line_alone_is_an_empty_file(tmp_path: Path) -> None:
    """Not a header without rows."""
    with pytest.raises(WrongInput, match=r"^p\.csv is empty$"):
        read(write(tmp_path / "p.csv", "sep=;\n"))


def test_a_column_that_only_begins_like_a_sep_line_is_a_column(tmp_path: Path) -> None:
    """A sign is a delimiter, letters are a name."""
    table = open_table(write(tmp_path / "p.csv", "sep=ab,prompt\n1,why?\n"))
    assert table.columns == ("sep=ab", "prompt")
    table = open_table(write(tmp_path / "q.csv", "sep=x\nwhy?\n"))
    assert table.columns == ("sep=x",)

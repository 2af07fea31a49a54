"""The choice of a delimiter."""

from pathlib import Path

import pytest

from runner.errors import WrongInput
from runner.inputs.table import open_table
from tests.inputs.reading import complaints, read, write


@pytest.mark.parametrize(
    ("text", "delimiter", "width"),
    [
        ("brand,prompt\nAcme,why?\n", ",", 2),
        ("brand;prompt\nAcme;why, though?\nZ;who, what, where?\n", ";", 2),
        ("brand\tprompt\nAcme\twhy, though; really?\n", "\t", 2),
        ("brand|prompt\nAcme|why, though; really?\n", "|", 2),
        ("name, in full;prompt\nAcme, Inc;why?\n", ";", 2),
        ('"brand, in full";prompt\n"A;B";why?\n', ";", 2),
        ("a,b\n", ",", 2),
        ("prompt\nwhy?\n", None, 1),
        ("prompt\nWhat is it, exactly?\nWho, me?\nred, green; blue\n", None, 1),
        ('prompt\n"What is it, exactly?"\n"Who?"\n', None, 1),
        ("prompt\none;two\n", None, 1),
        ("prompt, in full\nWhy?\nRed, green, blue?\nWho?\n", None, 1),
        ('\ufeff"brand";"prompt"\r\n"Acme";"why?"\r\n', ";", 2),
    ],
)
def test_the_header_and_the_rows_under_it_choose(
    tmp_path: Path, text: str, delimiter: str | None, width: int
) -> None:
    """Prompts are prose: counting commas would cut them up."""
    table = open_table(write(tmp_path / "p.csv", text))
    assert table.delimiter == delimiter
    assert len(table.columns or ()) == width


def test_one_column_prompts_need_no_quotes(tmp_path: Path) -> None:
    """A pasted list of questions is the first thing that anybody tries."""
    questions = ["What is it, exactly?", 'The "best" phone; why?', "a|b\tc"]
    rows, rejects = read(write(tmp_path / "p.csv", "prompt\n" + "\n".join(questions)))
    assert [row.cells["prompt"] for row in rows] == questions
    assert not rejects


def test_rows_of_data_under_too_short_a_header_are_reported(tmp_path: Path) -> None:
    """Taken for one column of prose, "why?,Acme" would be asked and paid for."""
    _, rejects = read(write(tmp_path / "p.csv", "prompt\nwhy?,Acme\nwho?,Acme\nhow?,Acme\n"))
    assert len(rejects) == 3
    assert complaints(rejects)[0] == (
        "p.csv:2:6: the row has 2 cells, the header 1 cell: "
        "a text that holds ',' must stand in quotes"
    )


def test_a_ragged_row_does_not_sway_the_choice(tmp_path: Path) -> None:
    """The row with the mistake is to be reported, under the delimiter of the others."""
    text = "a;b;c\n1;2;3\n4,5,6;7\n8;9;10\n"
    assert open_table(write(tmp_path / "p.csv", text)).delimiter == ";"


@pytest.mark.parametrize(
    ("wanted", "delimiter"), [("tab", "\t"), ("\\t", "\t"), ("Pipe", "|"), ("^", "^"), (",", ",")]
)
def test_a_delimiter_asked_for_wins(tmp_path: Path, wanted: str, delimiter: str) -> None:
    """A tab is hard to type in a shell, and some files use stranger ones."""
    text = f"a;x{delimiter}b;y\n1;1{delimiter}2;2\n"
    table = open_table(write(tmp_path / "p.csv", text), delimiter=wanted)
    assert table.delimiter == delimiter
    assert table.columns == ("a;x", "b;y")


@pytest.mark.parametrize("wanted", ["", ",,", '"', "\n", "\0"])
def test_a_delimiter_that_cannot_be_one_is_refused(tmp_path: Path, wanted: str) -> None:
    """Python's csv module would answer with a TypeError."""
    with pytest.raises(WrongInput, match="cannot separate"):
        open_table(write(tmp_path / "p.csv", "a,b\n1,2\n"), delimiter=wanted)


def test_json_lines_have_no_delimiter(tmp_path: Path) -> None:
    """An option without effect misleads whoever gave it."""
    with pytest.raises(WrongInput, match="has no delimiter"):
        open_table(write(tmp_path / "p.jsonl", "{}\n"), delimiter=",")

"""An export's bytes, read back by the standard library's readers."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.reports.columns import COLUMNS, Value, beside
from runner.reports.formats import Csv, Jsonl, format_named, inert
from tests.reports.written import as_written

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
"""Whatever UTF-8 can carry."""
RISKY = st.builds(str.__add__, st.text(alphabet="'=+-@\t\r5.e\"\n,; "), TEXT)
"""Text that begins as if it had been made to break something."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=5,
)


def ours(answer: str = "") -> list[Value]:
    """Values of our columns of which only the answer says something."""
    return [answer if name == "answer" else None for name in COLUMNS]


def csv_rows(written: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written.decode(), newline=""), strict=True))


@given(cell=TEXT | RISKY, answer=TEXT | RISKY)
def test_any_text_comes_back_from_a_csv_of_raw_cells(cell: str, answer: str) -> None:
    """An answer that shifted cells or lines would give every row below it a wrong answer."""
    writer = Csv(["q"], raw_cells=True)
    record = (json.dumps({"q": cell}), ours(answer))
    rows = csv_rows(writer.header() + writer.lines([record, record]))
    assert [(row["q"], row["answer"]) for row in rows] == [
        (cell.replace("\0", "\ufffd"), answer.replace("\0", "\ufffd"))
    ] * 2


@given(cell=TEXT | RISKY, answer=TEXT | RISKY)
def test_any_text_comes_back_from_inert_cells_by_the_documented_rule(
    cell: str, answer: str
) -> None:
    """Who reads the file by program must be able to undo what protects the spreadsheet."""
    writer = Csv(["q"], raw_cells=False)
    (row,) = csv_rows(writer.header() + writer.lines([(json.dumps({"q": cell}), ours(answer))]))
    assert as_written(row["q"]) == cell.replace("\0", "\ufffd")
    assert as_written(row["answer"]) == answer.replace("\0", "\ufffd")


@given(text=TEXT | RISKY)
def test_no_inert_cell_begins_like_a_formula_unless_it_is_a_number(text: str) -> None:
    """F79: CWE-1236: a spreadsheet would run what a web page told the model to say."""
    cell = inert(text)
    if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        assert cell == text
        float(cell)


@pytest.mark.parametrize("text", ["-5", "+3.2", "-1e9", "-.5", "- x", "plain", "", "5", "'"])
def test_numbers_and_plain_text_are_left_alone(text: str) -> None:
    """A column of negative numbers must stay a column of numbers."""
    assert inert(text) == (text if text != "- x" else "'- x")


@pytest.mark.parametrize("text", ["=1+1", "-5+cmd", "+", "-", "@x", "\t=1", "\r=1", "-5\n", "+٣"])
def test_what_only_begins_like_a_number_is_made_inert(text: str) -> None:
    """``-5+cmd|' /C calc'!A0`` begins with a number as well."""
    assert inert(text) == "'" + text


def test_a_column_name_is_made_inert_as_well() -> None:
    """The header of the input comes from outside too."""
    header = Csv(["=HYPERLINK(1)"], raw_cells=False).header().decode()
    assert header.startswith("'=HYPERLINK(1),")


@given(cells=st.dictionaries(TEXT, JSON | TEXT, max_size=4), answer=TEXT | RISKY)
def test_a_json_line_holds_the_row_as_it_was_and_the_answer_to_the_character(
    cells: dict[str, Any], answer: str
) -> None:
    """JSONL is the export for programs: types, nesting and every character survive."""
    record = (json.dumps(cells, indent=1), ours(answer))
    written = Jsonl().lines([record, record])
    lines = written.decode().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line)["input"] for line in lines] == [cells] * 2
    assert [json.loads(line)["answer"] for line in lines] == [answer] * 2


@given(value=JSON)
def test_a_nested_cell_stands_in_a_csv_as_its_json(value: object) -> None:
    """Nothing of a JSON Lines input is lost in a table, only its types need reading."""
    writer = Csv(["q"], raw_cells=False)
    written = writer.header() + writer.lines([(json.dumps({"q": value}), ours())])
    (row,) = csv_rows(written)
    assert (None if row["q"] == "" else json.loads(row["q"])) == value


def test_lines_end_with_lf_and_text_is_utf_8_without_bom() -> None:
    """A CR before each line end sticks to the last column of whoever reads with grep and cut."""
    writer = Csv(["größe"], raw_cells=False)
    written = writer.header() + writer.lines([('{"größe": "ß"}', ours())])
    assert written.startswith("größe,".encode())
    assert b"\r" not in written
    assert written.count(b"\n") == 2


def test_a_lone_cr_in_a_cell_is_quoted() -> None:
    """Readers of CSV take a bare CR for a line end: the rest of the answer would be a new row."""
    writer = Csv([], raw_cells=True)
    assert b'"a\rb"' in writer.lines([("{}", ours("a\rb"))])


def test_columns_of_ours_step_aside_for_the_inputs() -> None:
    """Two columns of one name: most readers drop one of them without a word."""
    names = beside(["q", "answer", "target", "runner_target"])
    assert names[0] == "runner_runner_target"
    assert "runner_answer" in names
    assert "answer" not in names
    assert len({"q", "answer", "target", "runner_target", *names}) == 4 + len(COLUMNS)


def test_an_unknown_format_is_an_error() -> None:
    """A typo in code must not silently export nothing."""
    with pytest.raises(ValueError, match="parquet"):
        format_named("parquet", [], raw_cells=False)

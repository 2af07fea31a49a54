"""CSV rows: what was written comes back, with its place; what is broken is named and kept."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import WrongInput
from runner.inputs.csv_rows import CsvReader
from runner.inputs.lines import LINE_CAP
from runner.inputs.places import scan_csv
from runner.inputs.rows import Reject, Row
from runner.inputs.table import open_table
from tests.inputs.reading import all_of, complaints, read, write, written_out

_CELLS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
_AWKWARD = st.text(alphabet='a,;"\n\r \t|é', max_size=8)
_NAMES = st.lists(
    st.text(alphabet="abcé_ 1", min_size=1, max_size=6).filter(lambda name: bool(name.strip())),
    min_size=2,
    max_size=5,
    unique=True,
)


def _never(offset: int, length: int) -> Iterator[bytes]:
    raise AssertionError(f"nothing here is over the cap: {offset}, {length}")


def _in_blocks(raw: bytes, size: int) -> list[bytes]:
    return [raw[i : i + size] for i in range(0, len(raw), size)]


@given(
    names=_NAMES,
    data=st.data(),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoted=st.booleans(),
    block=st.integers(1, 50),
)
def test_any_table_comes_back_with_its_line_numbers(
    names: list[str], data: st.DataObject, delimiter: str, end: str, quoted: bool, block: int
) -> None:
    """Not a character may change between the user's file and the prompt that is paid for."""
    cells = st.lists(_CELLS | _AWKWARD, min_size=len(names), max_size=len(names))
    table = data.draw(st.lists(cells, max_size=6))
    text = io.StringIO(newline="")
    # Python before 3.13 leaves a CR bare where lines end with LF.
    has_ends = any("\r" in cell or "\n" in cell for row in table for cell in row)
    writer = csv.writer(
        text,
        delimiter=delimiter,
        lineterminator=end,
        quoting=csv.QUOTE_ALL if quoted or has_ends else csv.QUOTE_MINIMAL,
    )
    writer.writerow(names)
    starts = []
    for row in table:
        starts.append(len(text.getvalue().encode().splitlines()) + 1)
        writer.writerow(row)
    raw = text.getvalue().encode()

    reader = CsvReader("p.csv", _in_blocks(raw, block), None)
    assert reader.delimiter == delimiter
    found = list(reader.read(_in_blocks(raw, block), _never))
    rows = [item for item in found if isinstance(item, Row)]
    assert [list(row.cells.values()) for row in rows] == table
    assert [row.line for row in rows] == starts
    assert [row.number for row in rows] == list(range(1, len(table) + 1))
    assert reader.header + b"".join(row.raw for row in rows) == raw


@given(st.lists(_CELLS | _AWKWARD, max_size=6), st.sampled_from([",", ";", "\t", "|", None]))
def test_any_column_of_prompts_comes_back(prompts: list[str], delimiter: str | None) -> None:
    """One column is the commonest table, and the one whose delimiter nobody can see."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter or ",", quoting=csv.QUOTE_ALL).writerows(
        [["prompt"], *([prompt] for prompt in prompts)]
    )
    raw = text.getvalue().encode()
    reader = CsvReader("p.csv", _in_blocks(raw, 7), delimiter)
    found = list(reader.read(_in_blocks(raw, 7), _never))
    assert [item.cells["prompt"] for item in found if isinstance(item, Row)] == prompts
    assert len(found) == len(prompts)


@given(st.text(alphabet='a1,"\n\r\0 é', max_size=60), st.integers(1, 20))
def test_no_line_of_a_broken_file_is_lost(body: str, block: int) -> None:
    """Whatever the mistakes, each row is loaded or rejected; a dropped one is a lost prompt."""
    header = b"prompt,brand\n"
    raw = header + body.encode()
    found = list(CsvReader("p.csv", [header], ",").read(_in_blocks(raw, block), _never))
    kept = b"".join(item.raw for item in found)
    # Only lines without anything on them belong to no row.
    assert kept.replace(b"\r", b"\n").replace(b"\n\n", b"\n").split() == raw[len(header) :].split()
    lines = raw.splitlines(keepends=True)
    for number, item in enumerate(found, 1):
        assert item.number == number
        assert lines[item.line - 1] == item.raw.splitlines(keepends=True)[0]
        if isinstance(item, Reject):
            assert all(1 <= p.line <= len(lines) and p.column >= 1 for p in item.problems)
    again = list(CsvReader("p.csv", [header], ",").read(_in_blocks(raw, 1000), _never))
    assert [item.raw for item in again] == [item.raw for item in found]


def test_cells_keep_their_place_when_rows_run_over_lines(tmp_path: Path) -> None:
    """`PATH:LINE:COL` must lead an editor to the very cell, behind multi-line cells too."""
    text = 'prompt,brand,note\n"a\nb",x,y\n\n"c\r\nd ""e""",é,"f"\n'
    rows, _ = read(write(tmp_path / "p.csv", text))
    assert [(row.number, row.line) for row in rows] == [(1, 2), (2, 5)]
    assert rows[0].place("brand") == (3, 4)
    assert rows[1].place() == (5, 1)
    assert rows[1].place("prompt") == (5, 1)
    assert rows[1].place("note") == (6, 12)
    assert rows[1].place("brand").column == 10
    assert rows[1].place("no such column") == (5, 1)
    assert str(rows[0].problem('column "brand" is empty', "brand")) == (
        'p.csv:3:4: column "brand" is empty'
    )


def test_a_ragged_row_is_rejected_with_both_counts(tmp_path: Path) -> None:
    """F38: an unquoted comma shifts all cells behind it, so a wrong brand would be asked about."""
    text = "prompt,brand\nwhy?,Acme\nhow, then?,Acme\nwho?\n\n  \nwhat?,Acme\n"
    rows, rejects = read(write(tmp_path / "p.csv", text))
    assert [row.cells["prompt"] for row in rows] == ["why?", "what?"]
    assert complaints(rejects) == [
        "p.csv:3:12: the row has 3 cells, the header 2 cells: "
        "a text that holds ',' must stand in quotes",
        'p.csv:4:1: the row has 1 cell, the header 2 cells: no cell for column "brand"',
    ]
    assert [reject.number for reject in rejects] == [2, 3]
    assert written_out(rejects) == b"how, then?,Acme\nwho?\n"


def test_a_quote_that_is_never_closed_is_named_where_it_opens(tmp_path: Path) -> None:
    """F38: the csv module would complain about the last line of the file."""
    text = 'prompt,brand\nwhy?,Acme\n"how?,Acme\nwho?,Acme\nwhat?,Acme'
    rows, rejects = read(write(tmp_path / "p.csv", text))
    assert complaints(rejects) == ["p.csv:3:1: the quote that opens here is not closed"]
    assert [row.cells["prompt"] for row in rows] == ["why?", "who?", "what?"]
    assert [row.number for row in rows] == [1, 3, 4]
    assert written_out(rejects) == b'"how?,Acme\n'


def test_the_line_end_that_a_file_lacks_is_added_to_its_reject(tmp_path: Path) -> None:
    """Two rejects on one line would be a third row that nobody wrote."""
    _, rejects = read(write(tmp_path / "p.csv", 'prompt,brand\nwhy?\n"how?,Acme'))
    assert written_out(rejects) == b'why?\n"how?,Acme\n'


def test_a_bare_quote_inside_a_cell_is_named_by_its_column(tmp_path: Path) -> None:
    """F38: the commonest slip of a CSV written by hand."""
    text = 'prompt,brand\n"say "hi" now",Acme\nwhy?,Acme\n'
    rows, rejects = read(write(tmp_path / "p.csv", text))
    assert complaints(rejects) == [
        "p.csv:2:7: 'h' stands behind the closing quote of a cell; "
        'a quote inside a quoted cell is written twice ("")'
    ]
    assert [row.cells["prompt"] for row in rows] == ["why?"]


def test_lines_that_a_stray_quote_swallowed_are_not_taken_for_rows(tmp_path: Path) -> None:
    """The middle of somebody's long prompt must not be asked as a prompt of its own."""
    text = 'prompt,brand\n"one\ntwo, three\nfour "five",Acme\nwhy?,Acme\n'
    rows, rejects = read(write(tmp_path / "p.csv", text))
    assert [row.cells["prompt"] for row in rows] == ["why?"]
    assert complaints(rejects) == [
        "p.csv:2:1: the quote that opens here is closed 2 lines below, with 'f' behind it: "
        'either it should not be here, or a quote inside a quoted cell is written twice ("")'
    ]
    assert written_out(rejects) == b'"one\ntwo, three\nfour "five",Acme\n'


@pytest.mark.parametrize("more", [0, 3])
def test_an_open_quote_does_not_swallow_a_large_file(tmp_path: Path, more: int) -> None:
    """F39: the rows behind it are still read, and memory holds a row's worth at most."""
    count = LINE_CAP // 8 + 1000
    text = 'prompt,brand\n"why?,x\n' + "why?,ab\n" * count + 'a,"b\nc"\n' * more
    path = write(tmp_path / "p.csv", text)
    rows, rejects = read(path)
    assert complaints(rejects) == [
        "p.csv:2:1: the quote that opens here is not closed within 1 MiB"
    ]
    assert len(rows) == count + more
    assert rows[0].line == 3
    assert rows[-1].line == 2 + count + max(0, 2 * more - 1)


def test_a_row_of_many_lines_over_the_cap_is_cut_off_wherever_blocks_fall() -> None:
    """F39: whether a row is good may not depend on how the disk hands it over."""
    header = b"prompt,brand\n"
    for size in (LINE_CAP + 20_000, LINE_CAP + 200_000, 2 * LINE_CAP):
        raw = header + b'"' + (b"x" * 9_999 + b"\n") * (size // 10_000) + b'",x\nwhy?,x\n'
        outcomes = set()
        for block in (100_000, 256 * 1024, LINE_CAP):
            reader = CsvReader("p.csv", [header], ",")
            items = list(reader.read(_in_blocks(raw, block), _never))
            outcomes.add(tuple((type(item), item.line) for item in items))
            assert isinstance(items[0], Reject)
            assert complaints([items[0]]) == [
                "p.csv:2:1: the quote that opens here is not closed within 1 MiB"
            ]
            assert isinstance(items[-1], Row)
        assert len(outcomes) == 1


def test_an_overlong_line_is_passed_by_and_written_out_whole(tmp_path: Path) -> None:
    """F39: it costs a reject, neither memory nor the rows around it."""
    long = b"x" * (3 * LINE_CAP) + b",Acme\r\n"
    data = b"\xef\xbb\xbfprompt,brand\r\nwhy?,a\r\n" + long + b"how?,b\r\n"
    rows, rejects = read(write(tmp_path / "p.csv", data))
    assert [(row.number, row.line) for row in rows] == [(1, 2), (3, 4)]
    assert complaints(rejects) == [
        f"p.csv:3:1: the line has {len(long):,} bytes; a row may have 1,048,576 (1 MiB)"
    ]
    assert len(rejects[0].raw) < 2000
    assert written_out(rejects) == long


def test_an_overlong_line_ends_the_row_that_waits_for_its_quote(tmp_path: Path) -> None:
    """F39: both are bad, and the row between is not."""
    data = b'prompt,brand\n"why?,a\nhow?,b\n' + b"x" * (2 * LINE_CAP) + b'"\nwho?,c\n'
    rows, rejects = read(write(tmp_path / "p.csv", data))
    assert [row.line for row in rows] == [3, 5]
    assert [reject.line for reject in rejects] == [2, 4]


def test_a_prompt_longer_than_the_csv_modules_own_limit_is_read(tmp_path: Path) -> None:
    """131,072 characters is the module's; a refusal for length must be ours, with its place."""
    prompt = "x" * 500_000
    rows, rejects = read(write(tmp_path / "p.csv", f"prompt,brand\n{prompt},Acme\n"))
    assert rows[0].cells["prompt"] == prompt
    assert not rejects


def test_a_nul_is_named_and_its_row_rejected(tmp_path: Path) -> None:
    """F37: a NUL ends texts in many programs that the export is read by."""
    rows, rejects = read(write(tmp_path / "p.csv", "prompt,brand\nwh\0y?,Acme\nhow?,Acme\n"))
    assert complaints(rejects) == ["p.csv:2:3: there is a NUL character in the row"]
    assert [row.number for row in rows] == [2]
    _, rejects = read(write(tmp_path / "q.csv", "prompt\nwh\0y?\n"))
    assert complaints(rejects) == ["q.csv:2:3: there is a NUL character in the row"]


def test_line_ends_may_be_mixed(tmp_path: Path) -> None:
    """F37: files that were joined from several systems, and Excel's "CSV (Macintosh)"."""
    rows, rejects = read(write(tmp_path / "p.csv", "a,b\r1,2\r\n3,4\n\r5,6\r\r\n7,8"))
    assert [tuple(row.cells.values()) for row in rows] == [
        ("1", "2"),
        ("3", "4"),
        ("5", "6"),
        ("7", "8"),
    ]
    assert [row.line for row in rows] == [2, 3, 5, 7]
    assert not rejects


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "prompt,,brand,\n1,2,3,4\n",
            ["1:8: column 2 of 4 has no name", "1:15: column 4 of 4 has no name"],
        ),
        ("a,b,a\n1,2,3\n", ['1:5: columns 1 and 3 are both called "a"']),
        ('\n\n"a\nb", \n1,2\n', ["4:4: column 2 of 2 has no name"]),
        ("a,b\0\n1,2\n", ["1:3: the name of column 2 holds a NUL character"]),
        ('a,"b\n1,2\n', ["1:3: the quote that opens here is not closed"]),
        (
            'a,"b"c\n1,2\n',
            [
                "1:6: 'c' stands behind the closing quote of a cell; "
                'a quote inside a quoted cell is written twice ("")'
            ],
        ),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(
    tmp_path: Path, text: str, problems: list[str]
) -> None:
    """Under two columns of one name, the second would silently win."""
    with pytest.raises(WrongInput, match="header") as caught:
        read(write(tmp_path / "p.csv", text), delimiter=",")
    assert [str(p) for p in caught.value.problems] == [f"p.csv:{problem}" for problem in problems]


def test_a_first_line_over_the_cap_is_no_header(tmp_path: Path) -> None:
    """F39: not even to find that out is it held."""
    with pytest.raises(WrongInput, match="longer than 1 MiB: no header"):
        read(write(tmp_path / "p.csv", b"x" * (2 * LINE_CAP) + b"\n1\n"))


@pytest.mark.parametrize("text", ["", "\ufeff", "\n\r\n\n"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    """A failed export leaves such a file, and "done, 0 tasks" would hide that."""
    with pytest.raises(WrongInput, match="is empty"):
        read(write(tmp_path / "p.csv", text))


def test_a_header_without_rows_is_refused(tmp_path: Path) -> None:
    """As above; only here the columns made it."""
    table = open_table(write(tmp_path / "p.csv", "prompt,brand\n\n"), display="p.csv")
    assert table.columns == ("prompt", "brand")
    with pytest.raises(WrongInput, match=r"^p\.csv has a header but no rows$"):
        all_of(table)


@given(st.text(alphabet='a,"\n', max_size=12), st.sampled_from([",", "a"]))
def test_the_places_of_cells_agree_with_the_csv_module(text: str, delimiter: str) -> None:
    """Places are worked out apart from parsing, so the two might read one row differently."""
    lines = text.splitlines(keepends=True)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        cells = next(reader, [])
    except csv.Error:
        scan = scan_csv("".join(lines[: reader.line_num]), delimiter)
        assert (scan.unclosed is None) != (scan.misplaced is None)
        return
    record = "".join(lines[: reader.line_num])
    scan = scan_csv(record, delimiter)
    assert (scan.unclosed, scan.misplaced) == (None, None)
    ends = [start - 1 for start in scan.starts[1:]] + [len(record)]
    alone = [
        record[start:end].splitlines(keepends=True)
        for start, end in zip(scan.starts, ends, strict=True)
    ]
    read_alone = [next(csv.reader(lines, delimiter=delimiter), []) for lines in alone]
    assert [cell[0] if cell else "" for cell in read_alone] == (cells or [""])

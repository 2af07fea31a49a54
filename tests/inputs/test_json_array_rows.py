"""A JSON array: any list of objects comes back, however it is laid out, and streams by."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import WrongInput
from runner.inputs.json_array_rows import JsonArrayReader
from runner.inputs.lines import LINE_CAP
from runner.inputs.origin import BLOCK
from runner.inputs.rows import Reject, Row
from runner.inputs.table import open_table
from tests.inputs.reading import all_of, complaints, read, write, written_out

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10)
_AWKWARD = st.text(alphabet='a"\\,:{}[]é😀\n\r\t', max_size=8)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | _TEXT | _AWKWARD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_AWKWARD, inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.lists(st.dictionaries(_TEXT | _AWKWARD, _JSON, max_size=4), max_size=6)
_SPACE = st.text(alphabet=" \t\r\n", max_size=4)


def _never(offset: int, length: int) -> Iterator[bytes]:
    raise AssertionError(f"nothing here is over the cap: {offset}, {length}")


def _items(raw: bytes, block: int = 1000) -> list[Row | Reject]:
    blocks = [raw[i : i + block] for i in range(0, len(raw), block)]
    return list(JsonArrayReader("p.json", blocks).read(blocks, _never))


def _place(text: str) -> tuple[int, int]:
    """Line and column behind *text*, as an editor counts."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return len(lines), len(lines[-1]) + 1


@given(
    _OBJECTS,
    st.booleans(),
    st.sampled_from([None, 0, 1, 3, "\t"]),
    st.sampled_from([(",", ":"), (" , ", " : ")]),
    st.data(),
    st.integers(1, 60),
)
def test_any_list_of_objects_comes_back_with_its_places(
    objects: list[dict[str, object]],
    escaped: bool,
    indent: int | str | None,
    separators: tuple[str, str],
    data: st.DataObject,
    block: int,
) -> None:
    """Not a digit and not a character may change, however the file is laid out or read."""
    text = data.draw(_SPACE) + "["
    starts = []
    for number, item in enumerate(objects):
        text += ("," if number else "") + data.draw(_SPACE)
        starts.append(_place(text))
        text += json.dumps(item, ensure_ascii=escaped, indent=indent, separators=separators)
        text += data.draw(_SPACE)
    text += "]" + data.draw(_SPACE)

    found = _items(text.encode(), block)
    rows = [item for item in found if isinstance(item, Row)]
    assert [row.cells for row in rows] == objects
    assert [repr(row.cells) for row in rows] == [repr(item) for item in objects]
    assert len(rows) == len(found)
    assert [row.place() for row in rows] == starts
    assert [row.line for row in rows] == [line for line, _ in starts]
    assert [row.number for row in rows] == list(range(1, len(objects) + 1))


@given(st.text(alphabet='[]{}",:\\1a \n\ré', max_size=40), st.integers(1, 20))
def test_no_text_whatever_is_cut_differently_by_the_blocks_it_comes_in(
    body: str, block: int
) -> None:
    """Where the disk's blocks fall must not decide what is asked."""
    results = []
    for size in (block, 1000):
        try:
            items = _items(f"[{body}".encode(), size)
            results.append([(i.line, i.raw, isinstance(i, Row)) for i in items])
        except WrongInput as error:
            results.append([(0, f"{error.what.partition(':')[0]}, {error.where}".encode(), False)])
    assert results[0] == results[1]
    try:
        value = json.loads(f"[{body}")
    except ValueError:
        return
    assert len(results[0]) == len(value)


def test_the_place_of_a_value_is_found_on_one_line_and_on_many(tmp_path: Path) -> None:
    """Most programs write the whole list on one line, and line 1 alone would help nobody."""
    text = '[{"é": "é"}, {"turns": ["a", "é", "b"]},\n {\n  "x": {"y":\n 5}}]'
    rows, rejects = read(write(tmp_path / "p.json", text))
    assert not rejects
    assert rows[1].place() == (1, text.index('{"turns') + 1)
    assert rows[1].place("turns.2") == (1, text.index('"b"') + 1)
    assert rows[2].place() == (2, 2)
    assert rows[2].place("x") == (3, 8)
    assert rows[2].place("x.y") == (4, 2)
    column = text.index('["a"') + 2
    assert str(rows[1].problem("too long", "turns.0")) == f"p.json:1:{column}: too long"


@pytest.mark.parametrize(
    ("element", "complaint"),
    [
        ("12", "2:2: the row holds a number, but each row is an object"),
        ('"why?"', "2:2: the row holds text, but each row is an object"),
        ("[1, {}]", "2:2: the row holds a list, but each row is an object"),
        ("null", "2:2: the row holds null, but each row is an object"),
        ("", "2:2: no row stands here: there is a comma too many"),
        ('{"a": tru}', "2:8: not valid JSON: expecting value, at 'tru}'"),
        ('{"a":\n\n  tru}', "4:3: not valid JSON: expecting value, at 'tru}'"),
        ('{"a": 1} {"b": 2}', "2:11: not valid JSON: extra data, at '{\"b\": 2}'"),
        ('{"a": NaN}', "2:8: NaN is no JSON: leave the key out, or use null"),
        ('{"a": 1e999}', "2:2: a number in the row is too large to be kept"),
        ('{"a": "\\ud800"}', "2:9: \\ud800 is half a character: its other half is missing"),
        (
            '{"a": "x\\u0000"}',
            "2:10: a text holds the character NUL (\\u0000), which cannot be stored",
        ),
        ('{"a": "x\0"}', "2:10: there is a NUL character in the row"),
        ('{"a": 1, "a": 2}', '2:11: the key "a" stands twice in one object: which one counts?'),
        ('{"a": "x\ny"}', "2:10: not valid JSON: invalid control character, at '\\ny\"}'"),
        ('{"a": 1]', "2:9: not valid JSON: expecting ',' delimiter, at ']'"),
        ('{"a": 1}}', "2:10: not valid JSON: extra data, at '}'"),
        ("x", "2:2: not valid JSON: expecting value, at 'x'"),
    ],
)
def test_a_bad_row_is_named_with_its_place_and_costs_no_other(
    tmp_path: Path, element: str, complaint: str
) -> None:
    """F38, for lists: as long as the brackets match, the rest is not in doubt."""
    path = write(tmp_path / "p.json", f'[{{"a": "one"}},\n {element},\n{{"a": "three"}}]')
    rows, rejects = read(path)
    assert complaints(rejects) == [f"p.json:{complaint}"]
    assert [(row.number, row.cells["a"]) for row in rows] == [(1, "one"), (3, "three")]
    assert [reject.number for reject in rejects] == [2]


def test_rejects_are_json_lines_that_are_refused_again_until_they_are_mended(
    tmp_path: Path,
) -> None:
    """--skip-bad FILE: laid out over lines, no line of it would be an object."""
    bad = ['{\n "a": tru\r\n}', '{"a": "x\ny"}', "[1,\n2]"]
    _, rejects = read(write(tmp_path / "p.json", f"[{{}}, {','.join(bad)}]"))
    out = written_out(rejects)
    assert out == b'{\t "a": tru\t\t}\n{"a": "x\ty"}\n[1,\t2]\n'
    rows, again = read(write(tmp_path / "rejects.jsonl", out))
    assert not rows
    assert [reject.number for reject in again] == [1, 2, 3]


def test_a_good_row_that_cannot_be_asked_is_written_out_as_one_line(tmp_path: Path) -> None:
    """What only the job can judge is rejected in the same shape."""
    rows, _ = read(write(tmp_path / "p.json", '[\n {\n  "prompt": "why?",\r\n  "n": 1\n }\n]'))
    reject = rows[0].reject([rows[0].problem("too short", "prompt")])
    assert complaints([reject]) == ["p.json:3:13: too short"]
    again, _ = read(write(tmp_path / "rejects.jsonl", written_out([reject])))
    assert again[0].cells == rows[0].cells


@pytest.mark.parametrize(
    ("text", "said", "place", "way_on"),
    [
        ('\n {"rows": []}', "holds an object, not a list of objects", ":2:2", ".jsonl"),
        ('"why?"', "is no list of objects: it begins with '\"why?\"'", ":1:1", ".csv"),
        ("prompt\nwhy?\n", "is no list of objects: it begins with 'prompt", ":1:1", ".csv"),
        ("12", "is no list of objects", ":1:1", ".csv"),
        ('[{"a": 1}] [', "goes on behind the end of its list: '['", ":1:12", "close the list"),
        ('[{}]\n{"a": 1}\n', "goes on behind the end of its list", ":2:1", "close the list"),
        ('[{"a": 1},\n {"b": 2', "its list is never closed", ":2:2", "bracket or quote"),
        ('[{"a": 1},\n {"b": "2}]', "its list is never closed", ":2:2", "bracket or quote"),
        ('[{"a": 1}\n', "its list is never closed", ":1:2", "bracket or quote"),
        ('[{"a": 1},\n', "its list is never closed", ":2:1", "bracket or quote"),
        ("[", "its list is never closed", ":1:2", "bracket or quote"),
    ],
)
def test_what_is_no_list_is_refused_as_a_whole_with_a_way_on(
    tmp_path: Path, text: str, said: str, place: str, way_on: str
) -> None:
    """Nobody can tell where its rows begin, so none of them is asked."""
    with pytest.raises(WrongInput, match=r"^p\.json ") as caught:
        read(write(tmp_path / "p.json", text))
    assert said in caught.value.what
    assert caught.value.where == f"p.json{place}"
    assert way_on in str(caught.value.how)


@pytest.mark.parametrize("text", ["", " \n\t", "[]", "[ \n ]\n", "\ufeff"])
def test_a_list_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    """A failed export leaves such a file, and "done, 0 tasks" would hide that."""
    with pytest.raises(WrongInput, match=r"^p\.json is empty$"):
        read(write(tmp_path / "p.json", text))


def test_a_delimiter_for_json_is_refused(tmp_path: Path) -> None:
    """It was meant for another file."""
    with pytest.raises(WrongInput, match="is JSON, which has no delimiter"):
        read(write(tmp_path / "p.json", "[{}]"), delimiter=";")


def test_a_list_in_another_encoding_is_refused_and_read_when_it_is_named(tmp_path: Path) -> None:
    """F37."""
    text = (
        '[{"prompt": "Où peut-on acheter un bon café à Montréal ?"},\n'
        ' {"prompt": "Quelle est la meilleure crème hydratante ?"}]'
    )
    path = write(tmp_path / "p.json", text.encode("cp1252"))
    with pytest.raises(WrongInput, match=r"^p\.json is not UTF-8$") as caught:
        read(path)
    assert caught.value.where == "p.json:1, byte 14 (0xF9)"
    assert "--encoding cp1252" in str(caught.value.how)
    rows, _ = read(path, encoding="cp1252")
    assert rows[1].cells == {"prompt": "Quelle est la meilleure crème hydratante ?"}
    rows, _ = read(write(tmp_path / "u.json", text.encode("utf-16")))
    assert rows[0].cells == {"prompt": "Où peut-on acheter un bon café à Montréal ?"}


def test_a_row_over_the_cap_is_passed_by_and_written_out_whole(tmp_path: Path) -> None:
    """F39: it costs a reject, neither memory nor the rows around it; and places stay right."""
    long = '{"a": "' + "é\\n" * (LINE_CAP // 4 + 1) + '",\n "b": [1]}'
    text = f'[{{"a": 1}},\n {long} , {{"a": 2}}, {long}]'
    rows, rejects = read(write(tmp_path / "p.json", text))
    assert [(row.number, row.place()) for row in rows] == [
        (1, (1, 2)),
        (3, (3, len(' "b": [1]} , ') + 1)),
    ]
    size = len(long.encode())
    assert complaints(rejects) == [
        f"p.json:2:2: the row has {size + 1:,} bytes; it may have 1,048,576 (1 MiB)",
        f"p.json:3:24: the row has {size:,} bytes; it may have 1,048,576 (1 MiB)",
    ]
    one_line = long.replace("\n", "\t")
    assert written_out(rejects).decode() == f"{one_line} \n{one_line}\n"


def test_a_row_of_exactly_the_cap_is_read(tmp_path: Path) -> None:
    """The cap is what the message says it is."""
    row = '{"a": "' + "x" * (LINE_CAP - 9) + '"}'
    assert len(row) == LINE_CAP
    rows, rejects = read(write(tmp_path / "p.json", f"[{row},{row}]"))
    assert (len(rows), len(rejects)) == (2, 0)
    rows, rejects = read(write(tmp_path / "q.json", f"[{row} ,{row}]"))
    assert (len(rows), len(rejects)) == (1, 1)


@pytest.mark.parametrize("indent", [None, 2])
def test_memory_does_not_grow_with_a_list_nor_with_its_longest_row(
    tmp_path: Path, indent: int | None
) -> None:
    """Promise 7: a list on one line is one line of hundreds of megabytes."""
    path = tmp_path / "p.json"
    row = json.dumps({"prompt": "why is the sky blue? " * 20}, indent=indent).encode() + b","
    with path.open("wb") as file:
        file.write(b"[")
        for _ in range(10):
            file.write(row * 1000)
        file.write(b'{"a": "')
        for _ in range(16):
            file.write(b"x" * LINE_CAP)
        file.write(b'"},' + row * 999 + row[:-1] + b" " * (2 * BLOCK) + b"]" + b"\n" * (4 * BLOCK))
    table = open_table(path)
    tracemalloc.start()
    try:
        counts = [(len(chunk.rows), len(chunk.rejects)) for chunk in table.chunks()]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(rows for rows, _ in counts) == 11_000
    assert sum(rejects for _, rejects in counts) == 1
    assert peak < 8 * LINE_CAP


def test_a_list_is_read_twice_with_one_result(tmp_path: Path) -> None:
    """The load pass has to see what the validating pass saw."""
    table = open_table(write(tmp_path / "p.json", '[{"a": 1}, 2, {"a": [3]}]'))
    first = all_of(table)
    digest = table.digest()
    second = all_of(table, size=1)
    assert [row.cells for row in second[0]] == [row.cells for row in first[0]]
    assert complaints(second[1]) == complaints(first[1])
    table.check_unchanged(digest)
    assert (table.format, table.columns, table.header, table.rejects_suffix) == (
        "json",
        None,
        b"",
        ".jsonl",
    )

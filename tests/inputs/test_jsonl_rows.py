"""JSON Lines: objects come back as they are; everything else is named with its place and kept."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import WrongInput
from runner.inputs.jsonl_rows import JsonlReader
from runner.inputs.lines import LINE_CAP
from runner.inputs.paths import Miss, get_path
from runner.inputs.rows import Reject, Row
from tests.inputs.reading import complaints, read, write, written_out

_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_OBJECTS = st.dictionaries(_TEXT, _JSON, max_size=4)


def _never(offset: int, length: int) -> Iterator[bytes]:
    raise AssertionError(f"nothing here is over the cap: {offset}, {length}")


def _items(raw: bytes, block: int = 1000) -> list[Row | Reject]:
    blocks = [raw[i : i + block] for i in range(0, len(raw), block)]
    return list(JsonlReader("p.jsonl").read(blocks, _never))


@given(
    st.lists(_OBJECTS, max_size=6),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", "\n\n", " \n"]),
    st.integers(1, 50),
)
def test_any_list_of_objects_comes_back(
    objects: list[dict[str, object]], escaped: bool, end: str, block: int
) -> None:
    """Not a digit and not a character may change between the user's file and the prompt."""
    lines = [json.dumps(item, ensure_ascii=escaped) + end for item in objects]
    found = _items("".join(lines).encode(), block)
    rows = [item for item in found if isinstance(item, Row)]
    assert len(rows) == len(found)
    assert [row.cells for row in rows] == objects
    assert [repr(row.cells) for row in rows] == [repr(item) for item in objects]
    step = 2 if end == "\n\n" else 1
    assert [row.line for row in rows] == [1 + step * i for i in range(len(objects))]
    assert [row.number for row in rows] == list(range(1, len(objects) + 1))


@given(_OBJECTS, st.booleans(), st.sampled_from([(",", ":"), (" , ", " : ")]))
def test_the_place_of_any_value_is_where_it_stands(
    cells: dict[str, object], escaped: bool, separators: tuple[str, str]
) -> None:
    """A column that is off by one sends the user to the wrong key of a long line."""
    text = json.dumps(cells, ensure_ascii=escaped, separators=separators)
    row = _items(text.encode())[0]
    assert isinstance(row, Row)
    for key, value in cells.items():
        # A key with dots may be meant for something nested: then either is right.
        if "." in key or key == "":
            continue
        written = json.dumps(value, ensure_ascii=escaped, separators=separators)
        assert text[row.place(key).column - 1 :].startswith(written)


def test_the_place_of_a_nested_value_is_found(tmp_path: Path) -> None:
    """``turns.1`` is a column to the user, and the line is one long list."""
    line = '{"id": 1, "a.b": [0, {"c": "x"}], "turns": ["é, {\\"turns\\": []}", "second"]}\n'
    rows, _ = read(write(tmp_path / "p.jsonl", "\n" + line))
    row = rows[0]
    assert row.place("turns.1") == (2, line.index('"second"') + 1)
    assert row.place("turns.0") == (2, line.index('"é') + 1)
    assert row.place("a.b.1.c") == (2, line.index('"x"') + 1)
    assert row.place("turns.7") == (2, line.index('["é') + 1)
    assert row.place("nothing") == (2, 1)
    assert row.place("id").column == 8
    assert str(row.problem("too long", "turns.1")) == (
        f"p.jsonl:2:{line.index('second')}: too long"
    )


def test_a_key_that_stands_twice_makes_a_bad_row(tmp_path: Path) -> None:
    """The decoder keeps the last value: the user may have meant the other, and pays for this."""
    data = '{"é": "x: y", "a": 1, "a" : 2}\n{"t": [{"role": "u", "role": "a"}]}\n{"a": 1}\n'
    rows, rejects = read(write(tmp_path / "p.jsonl", data))
    assert [row.cells for row in rows] == [{"a": 1}]
    assert complaints(rejects) == [
        'p.jsonl:1:23: the key "a" stands twice in one object: which one counts?',
        'p.jsonl:2:22: the key "role" stands twice in one object: which one counts?',
    ]
    assert written_out(rejects).decode() == data.removesuffix('{"a": 1}\n')


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"a": 1', "1:8: not valid JSON: the line ends before the object does"),
        (b'{"a": "x', "1:7: not valid JSON: unterminated string, at '\"x'"),
        (b'{"\xc3\xa9": tru}', "1:7: not valid JSON: expecting value, at 'tru}'"),
        (b'{"a": 1} {"b": 2}', "1:10: not valid JSON: extra data, at '{\"b\": 2}'"),
        (
            b"{'a': 1}",
            "1:2: not valid JSON: expecting property name enclosed in double quotes, at ''a': 1}'",
        ),
        (b'{"NaN": NaN}', "1:9: NaN is no JSON: leave the key out, or use null"),
        (b'{"a": -Infinity}', "1:7: -Infinity is no JSON: leave the key out, or use null"),
        (b'{"a": 1e999}', "1:1: a number in the line is too large to be kept"),
        (b'{"a": ' + b"9" * 5000 + b"}", "1:1: a number in the line is too large to be kept"),
        (b'{"a": "\\ud800"}', "1:8: \\ud800 is half a character: its other half is missing"),
        (b'{"a": "\\udc00"}', "1:8: \\udc00 is half a character: its other half is missing"),
        (b" [1, 2]", "1:2: the line holds a list, but each row is an object"),
        (b'"why?"', "1:1: the line holds text, but each row is an object"),
        (b"12", "1:1: the line holds a number, but each row is an object"),
        (b"null", "1:1: the line holds null, but each row is an object"),
        (
            b"why is the sky blue?",
            "1:1: not valid JSON: expecting value, at 'why is the sky blue?'",
        ),
        (b'{"a": "x\0"}', "1:9: there is a NUL character in the line"),
        (
            b'{"a": ["x\\u0000"]}',
            "1:10: a text holds the character NUL (\\u0000), which cannot be stored",
        ),
        (
            b'{"\xc3\xa9": "caf\xe9"}',
            "1:11: byte 0xE9 is not UTF-8; if the whole file is in another encoding, "
            "name it with --encoding",
        ),
        (b'{"a":' * 100_000, "1:1: the JSON is nested too deeply"),
    ],
)
def test_a_bad_line_is_named_with_its_place_and_kept(
    tmp_path: Path, line: bytes, complaint: str
) -> None:
    """F38: one bad line costs that line; what is wrong with it is for the user to see."""
    data = line + b'\r\n{"a": "good"}\n'
    rows, rejects = read(write(tmp_path / "p.jsonl", data))
    assert complaints(rejects) == [f"p.jsonl:{complaint}"]
    assert [(row.number, row.line, row.cells) for row in rows] == [(2, 2, {"a": "good"})]
    assert written_out(rejects) == line + b"\r\n"


def test_an_escaped_backslash_before_u0000_is_no_nul(tmp_path: Path) -> None:
    """A prompt may well ask what \\u0000 means."""
    rows, _ = read(write(tmp_path / "p.jsonl", '{"a": "what is \\\\u0000?"}'))
    assert rows[0].cells == {"a": "what is \\u0000?"}


def test_control_characters_of_a_bad_line_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """A file may come from anybody."""
    _, rejects = read(write(tmp_path / "p.jsonl", '{"a": \x1b[2J}\n{}\n'))
    assert "\x1b" not in complaints(rejects)[0]


@pytest.mark.parametrize("text", ['[\n{"a": 1},\n{"a": 2}\n]\n', '\n{\n  "a": 1\n}\n'])
def test_json_over_several_lines_is_refused_as_a_whole(tmp_path: Path, text: str) -> None:
    """A complaint for each of its lines would say the same a thousand times."""
    with pytest.raises(WrongInput, match="not JSON Lines") as caught:
        read(write(tmp_path / "p.jsonl", text))
    assert "jq" in str(caught.value.how)


@pytest.mark.parametrize("text", ["", "\n \r\n\t\n", "\ufeff"])
def test_a_file_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    """A failed export leaves such a file, and "done, 0 tasks" would hide that."""
    with pytest.raises(WrongInput, match=r"^p\.jsonl is empty$"):
        read(write(tmp_path / "p.jsonl", text))


def test_an_overlong_line_is_passed_by_and_written_out_whole(tmp_path: Path) -> None:
    """F39: it costs a reject, neither memory nor the rows around it."""
    long = b'{"a": "' + b"x" * (3 * LINE_CAP) + b'"}'
    data = b'{"a": "1"}\n' + long + b'\n{"a": "2"}\n' + long
    rows, rejects = read(write(tmp_path / "p.jsonl", data))
    assert [(row.number, row.line) for row in rows] == [(1, 1), (3, 3)]
    assert [(reject.number, reject.line) for reject in rejects] == [(2, 2), (4, 4)]
    assert complaints(rejects)[0] == (
        f"p.jsonl:2:1: the line has {len(long) + 1:,} bytes; a row may have 1,048,576 (1 MiB)"
    )
    assert written_out(rejects) == (long + b"\n") * 2


def test_utf_16_json_lines_are_read(tmp_path: Path) -> None:
    """F37: what PowerShell's ``>`` writes."""
    data = '{"prompt": "café?"}\r\n'.encode("utf-16")
    rows, rejects = read(write(tmp_path / "p.jsonl", data))
    assert rows[0].cells == {"prompt": "café?"}
    assert not rejects


def test_mt_bench_questions_are_read(tmp_path: Path) -> None:
    """The first lines of a real set, whose prompts stand in a list."""
    data = (
        '{"question_id": 81, "category": "writing", "turns": ["Compose an engaging travel blog '
        "post about a recent trip to Hawaii, highlighting cultural experiences and must-see "
        'attractions.", "Rewrite your previous response. Start every sentence with the letter '
        'A."]}\n'
        '{"question_id": 101, "category": "reasoning", "turns": ["Imagine you are participating '
        "in a race with a group of people. If you have just overtaken the second person, what's "
        'your current position? Where is the person you just overtook?", "If the \\"second '
        'person\\" is changed to \\"last person\\" in the above question, what would the answer '
        'be?"], "reference": ["You are in second place.", "Uncertain."]}\n'
    )
    rows, rejects = read(write(tmp_path / "p.jsonl", data))
    assert not rejects
    assert [row.cells["question_id"] for row in rows] == [81, 101]
    assert str(get_path(rows[1].cells, "turns.1")).startswith('If the "second person" is')
    assert isinstance(get_path(rows[0].cells, "reference.0"), Miss)

"""One object of JSON: keys that stand twice are found, and no other row is blamed for it."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from runner.inputs.json_objects import explain, objection

_AWKWARD = st.text(alphabet='a":\\ ,{}[]\t\n\ré', max_size=6)
_KEYS = st.sampled_from(["a", "b", "c", 'q"', "x:", "d\\"]) | _AWKWARD
_VALUES = st.recursive(
    st.integers(0, 9) | _AWKWARD | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(_KEYS, inner), max_size=3),
    max_leaves=6,
)
_PAIRS = st.lists(st.tuples(_KEYS, _VALUES), max_size=5)
_SPACE = st.sampled_from(["", "", "", " ", "  ", "\t", "\n", "\r\n"])


def _is_object(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, tuple) for item in value)


def _written(value: object, draw: Any) -> str:
    """JSON with white space anywhere; a list of pairs is an object, whatever its keys."""
    before, behind = draw(_SPACE), draw(_SPACE)
    if not isinstance(value, list):
        return f"{before}{json.dumps(value, ensure_ascii=draw(st.booleans()))}{behind}"
    if not _is_object(value):
        items = ",".join(_written(item, draw) for item in value)
        return f"{before}[{items}]{behind}"
    pairs = ",".join(f"{_written(key, draw)}:{_written(item, draw)}" for key, item in value)
    return f"{before}{{{pairs}}}{behind}"


def _repeats(value: object) -> bool:
    if not isinstance(value, list):
        return False
    if not _is_object(value):
        return any(map(_repeats, value))
    keys = [key for key, _ in value]
    return len(set(keys)) < len(keys) or any(_repeats(item) for _, item in value)


@given(_PAIRS, st.data())
def test_a_key_is_called_repeated_exactly_if_it_is(
    pairs: list[tuple[str, object]], data: st.DataObject
) -> None:
    """A miss loses a prompt in silence, a false alarm refuses a good row; both at any depth."""
    raw = _written(pairs, data.draw).encode()
    cells = msgspec.json.decode(raw)
    assert isinstance(cells, Mapping)
    fault = objection(raw, cells)
    assert (fault is not None) == _repeats(pairs)
    if fault is not None:
        assert raw.decode()[fault.offset] == '"'
        assert "stands twice" in fault.message


def test_the_second_of_two_spellings_of_one_key_is_shown() -> None:
    """An escaped letter is that letter."""
    raw = b'{"a": "\xc3\xa9", "\\u0061": 2}'
    fault = objection(raw, msgspec.json.decode(raw))
    assert fault is not None
    assert raw.decode()[fault.offset :] == '"\\u0061": 2}'


def test_a_long_or_wild_key_is_shown_short_and_tame() -> None:
    """A file may come from anybody."""
    raw = json.dumps({"\x1b[2J" + "k" * 500: 1}).encode()
    raw = raw[:-1] + b", " + raw[1:]
    fault = objection(raw, msgspec.json.decode(raw))
    assert fault is not None
    assert "\x1b" not in fault.message
    assert len(fault.message) < 100


def test_a_row_nested_as_deep_as_can_be_read_is_looked_through() -> None:
    """The decoder goes deeper than a function that calls itself may."""
    for depth in range(700, 1100, 7):
        raw = b'{"a": ":\\u0000" , "b":' + b'{"a":' * depth + b'"\\u0000"' + b"}" * (depth + 1)
        try:
            cells = msgspec.json.decode(raw)
        except RecursionError:
            return
        assert objection(raw, cells) is not None
        plain = raw.replace(b"\\u0000", b"")
        assert objection(plain, msgspec.json.decode(plain)) is None


def test_a_number_of_endless_digits_before_another_mistake_is_no_traceback() -> None:
    """Python refuses to make a number of more than 4,300 digits with an error of its own."""
    raw = b'{"a": ' + b"9" * 5000 + b', "b": tru}'
    try:
        msgspec.json.decode(raw, type=dict[str, Any])
    except ValueError as error:
        fault = explain(raw, error, whole="row")
    assert fault.message

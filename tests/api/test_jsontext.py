"""JSON from outside: exact, bounded, and never a surprise."""

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.api.jsontext import MAX_DEPTH, Unreadable, decode, decode_mended, is_too_deep

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


def _depth(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 0


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"[NaN",
        b"[Infinity}",
        b"[NaNs]",
        b'{"a": 1',
        b'{"a": 1} trailing',
        b'"\xff"',
        b'"a\x00b"',
        b"1e-99999999999999999999",
        b"9" * 5000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_cannot_be_read_is_one_kind_of_error(text: bytes) -> None:
    """A hostile or broken reply must end in a decision, never in a crash of the engine."""
    with pytest.raises(Unreadable):
        decode(text)
    if not text.startswith(b'"\xff'):
        with pytest.raises(Unreadable):
            decode_mended(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"NaN", None),
        (b'{"a": NaN, "b": [-Infinity, 1, Infinity]}', {"a": None, "b": [None, 1, None]}),
        (b'["NaN", "\\" NaN \\\\", NaN]', ["NaN", '" NaN \\', None]),
    ],
)
def test_a_number_that_is_none_loses_itself_and_not_the_answer_beside_it(
    text: bytes, value: object
) -> None:
    """F50: some writers put NaN for a missing price. Never in what was posted: there it is doubt.
    An answer that speaks of NaN keeps the word."""
    with pytest.raises(Unreadable):
        decode(text)
    assert decode_mended(text) == value


@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise_anything_else(data: bytes) -> None:
    """The same for bytes nobody thought of."""
    for read in (decode, decode_mended):
        with suppress(Unreadable):
            read(data)


def test_numbers_stay_exact() -> None:
    """Prices have seven decimals; through float they would drift over 100,000 of them."""
    value = decode(b"[0.0403225, 1e308, 12345678901234567890]")
    assert value == [Decimal("0.0403225"), Decimal("1e308"), 12345678901234567890]
    assert str(value) == "[Decimal('0.0403225'), Decimal('1E+308'), 12345678901234567890]"


@given(st.integers(0, 2 * MAX_DEPTH), JSON)
@example(MAX_DEPTH, "[[[[")
@example(MAX_DEPTH + 1, 'a"[{\\')
def test_depth_is_counted_as_brackets_nest_outside_of_strings(levels: int, inner: object) -> None:
    """The cap must neither be fooled by brackets in an answer's text nor miss real nesting."""
    value = inner
    for level in range(levels):
        value = [value] if level % 2 else {'a"[': value}
    text = json.dumps(value, ensure_ascii=False).encode()
    assert is_too_deep(text) is (_depth(value) > MAX_DEPTH)


@given(st.integers(MAX_DEPTH + 1, 300), st.binary(max_size=30))
def test_garbage_behind_a_deep_beginning_does_not_hide_it(levels: int, tail: bytes) -> None:
    """The decoder recurses before it meets the garbage, so the check must come first."""
    with pytest.raises(Unreadable):
        decode(b"[" * levels + tail)


@pytest.mark.parametrize(
    ("damaged", "text"),
    [
        (rb'"cut \ud83d"', "cut \ufffd"),
        (rb'"\ude00 cut"', "\ufffd cut"),
        (rb'"whole \ud83d\ude00"', "whole 😀"),
        (rb'"\ud83d \ud83d\ude00"', "\ufffd 😀"),
        (rb'"a backslash \\ud83d"', r"a backslash \ud83d"),
        (b'"Par\xe9"', "Par\ufffd"),
        (b'\xef\xbb\xbf"marked"', "marked"),
    ],
)
def test_damaged_text_is_mended_rather_than_lost(damaged: bytes, text: str) -> None:
    """An answer that was paid for must not stay unreadable because an emoji was cut in half."""
    assert decode_mended(damaged) == text


@given(JSON)
def test_what_is_whole_is_not_touched_by_mending(value: object) -> None:
    """Mending is for damage only."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    assert decode_mended(text) == decode(text)

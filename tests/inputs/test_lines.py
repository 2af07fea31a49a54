"""Blocks to lines."""

from hypothesis import given
from hypothesis import strategies as st

from runner.inputs.lines import LINE_CAP, Overlong, split_lines


def _in_blocks(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


@given(st.text(alphabet="ab\r\n\x0b\u2028é", max_size=40), st.integers(1, 7))
def test_where_the_blocks_fall_makes_no_difference(text: str, size: int) -> None:
    """A CR LF or a character that is cut by the end of a block must come out whole."""
    data = text.encode()
    lines: list[bytes] = []
    for piece in split_lines(_in_blocks(data, size)):
        assert isinstance(piece, list)
        lines += piece
    assert lines == data.splitlines(keepends=True)


@given(
    st.lists(st.sampled_from([0, 1, LINE_CAP - 1, LINE_CAP, LINE_CAP + 1]), max_size=4),
    st.sampled_from(["\n", "\r", "\r\n"]),
    st.booleans(),
    st.sampled_from([LINE_CAP // 4, LINE_CAP // 4 + 1, LINE_CAP]),
)
def test_a_line_is_overlong_exactly_if_it_passes_the_cap(
    lengths: list[int], end: str, last_is_ended: bool, size: int
) -> None:
    """Whether a row is read may depend on its length only, not on its neighbours."""
    data = b"".join(b"x" * length + end.encode() for length in lengths)
    if not last_is_ended:
        data = data.removesuffix(end.encode())
    seen: list[tuple[int, int, bool]] = []
    offset = 0
    for piece in split_lines(_in_blocks(data, size)):
        if isinstance(piece, Overlong):
            assert len(piece.head) < piece.length
            seen.append((piece.offset, piece.length, True))
            offset = piece.offset + piece.length
        else:
            for line in piece:
                seen.append((offset, len(line), False))
                offset += len(line)
    expected = []
    offset = 0
    for line in data.splitlines(keepends=True):
        expected.append((offset, len(line), len(line) > LINE_CAP))
        offset += len(line)
    assert seen == expected

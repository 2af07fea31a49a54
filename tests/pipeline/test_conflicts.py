"""Rows that ask different things under one key, however far apart they stand."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from runner.pipeline.conflicts import Conflict, ConflictFinder
from runner.rows import Ask, InputRow


def row(position: int, key: str, body: str) -> InputRow:
    return InputRow(
        position=position,
        line=position + 1,
        key=hashlib.blake2b(key.encode(), digest_size=16).digest(),
        cells=b"{}",
        asks=(Ask(target="claude", sample=1, turn=1, body=body.encode()),),
    )


def found(rows: list[InputRow]) -> list[Conflict]:
    with ConflictFinder() as finder:
        for each in rows:
            finder.add(each)
        return sorted(finder.conflicts(), key=lambda conflict: conflict.position)


def test_the_later_row_is_the_bad_one_and_the_first_is_named() -> None:
    """A person has to find both lines."""
    rows = [row(1, "a", "x"), row(2, "b", "x"), row(3, "a", "y"), row(4, "a", "x")]
    assert found(rows) == [Conflict(position=3, line=4, asks=1, first_position=1, first_line=2)]


def test_rows_far_apart_are_compared_through_the_spilled_files() -> None:
    """F41 at size: the buckets of 200,000 rows lie on the disk, not in memory."""
    rows = [
        row(n, str(n % 150_000), "y" if n == 199_999 else str(n % 150_000)) for n in range(200_000)
    ]
    conflict = Conflict(
        position=199_999, line=200_000, asks=1, first_position=49_999, first_line=50_000
    )
    assert found(rows) == [conflict]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), max_size=30))
def test_it_finds_what_a_plain_dictionary_would(asked: list[tuple[str, str]]) -> None:
    """Spilling to files is the means; which rows are bad must not depend on it."""
    first: dict[str, str] = {}
    expected = []
    for position, (key, body) in enumerate(asked, start=1):
        if first.setdefault(key, body) != body:
            expected.append(position)
    rows = [row(position, *pair) for position, pair in enumerate(asked, start=1)]
    assert [conflict.position for conflict in found(rows)] == expected

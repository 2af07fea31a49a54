"""Two tables as one: every pair once, in order, each cell's place in its own file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import WrongInput
from runner.inputs import product
from runner.inputs.product import Combine, Product
from runner.inputs.rows import Chunk, Row
from runner.inputs.table import open_table


def made(
    folder: Path, brands: str, questions: str, combine: Combine = Combine.CROSS, *, end: str = "csv"
) -> Product:
    """The product of two files of these contents."""
    tables = []
    for name, text in (("brands", brands), ("questions", questions)):
        path = folder / f"{name}.{end}"
        path.write_text(text, encoding="utf-8", newline="")
        tables.append(open_table(path, display=path.name))
    return Product(tables[0], tables[1], combine)


def rows(table: Product, size: int = 1000) -> list[Row]:
    found = [row for chunk in table.chunks(size) for row in chunk.rows]
    assert not [chunk for chunk in table.chunks(size) if chunk.rejects]
    return found


def column(name: str, cells: list[str]) -> str:
    return name + "\n" + "".join(f"{cell}\n" for cell in cells)


_CELLS = st.lists(st.sampled_from(["a", "b", "ü", "x y"]), min_size=1, max_size=7)


@given(_CELLS, _CELLS, st.integers(1, 6))
def test_a_cross_has_every_pair_once_and_in_order_whatever_the_chunks(
    tmp_path_factory: pytest.TempPathFactory, brands: list[str], questions: list[str], size: int
) -> None:
    """A pair left out is never asked, one told twice is asked as a duplicate."""
    table = made(
        tmp_path_factory.mktemp("cross"), column("brand", brands), column("question", questions)
    )
    found = rows(table, size)
    pairs = [(row.cells["brand"], row.cells["question"]) for row in found]
    assert pairs == [(brand, question) for brand in brands for question in questions]
    assert [row.number for row in found] == list(range(1, len(pairs) + 1))
    assert table.sizes == (len(brands), len(questions))
    assert all(len(chunk.rows) <= size for chunk in table.chunks(size))
    first = {table.row_of(row.number) for row in found}
    assert first == set(range(1, len(brands) + 1))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_a_zip_pairs_row_by_row_and_needs_as_many_of_both(
    tmp_path_factory: pytest.TempPathFactory, brands: int, questions: int, size: int
) -> None:
    """A table that ended early would leave its last rows unasked without a word."""
    table = made(
        tmp_path_factory.mktemp("zip"),
        column("brand", [f"b{n}" for n in range(brands)]),
        column("question", [f"q{n}" for n in range(questions)]),
        Combine.ZIP,
    )
    if brands != questions:
        said = f"brands.csv has {brands} rows and questions.csv {questions}"
        with pytest.raises(WrongInput, match=said):
            rows(table, size)
        return
    pairs = [(row.cells["brand"], row.cells["question"]) for row in rows(table, size)]
    assert pairs == [(f"b{n}", f"q{n}") for n in range(brands)]
    assert table.sizes == (brands,)


def test_each_cell_is_placed_in_its_own_file(tmp_path: Path) -> None:
    """Or a person would look for the mistake in the wrong one."""
    table = made(tmp_path, "brand,market\na,DE\nb,US\n", "qid,question\n1,why\n2,how\n")
    last = rows(table)[-1]
    assert str(last.problem("is wrong", "market")) == "brands.csv:3:3: is wrong"
    assert str(last.problem("is wrong", "question")) == "questions.csv:3:3: is wrong"
    assert str(last.problem("is missing", "nowhere")).startswith("brands.csv:3:")
    assert last.beside("question") == " (with brands.csv:3)"
    assert last.beside("brand") == " (with questions.csv:3)"
    assert last.reject([]).raw == b"b,US\n"


def test_a_nested_cell_belongs_to_the_file_of_its_outermost_name(tmp_path: Path) -> None:
    """JSON paths reach into a cell; the cell says whose it is."""
    table = made(tmp_path, '{"brand": "a"}\n', '{"turns": ["x", "y"]}\n', end="jsonl")
    (row,) = rows(table)
    assert str(row.problem("is wrong", "turns.1")) == "questions.jsonl:1:17: is wrong"


def test_a_bad_row_of_the_first_table_is_one_reject(tmp_path: Path) -> None:
    """It stands once in the file of rejects, not once for each question."""
    table = made(tmp_path, "brand,market\na,DE\nb\nc,US\n", "question\nwhy\nhow\n")
    chunks = list(table.chunks())
    assert [reject.number for chunk in chunks for reject in chunk.rejects] == [3]
    assert [row.number for chunk in chunks for row in chunk.rows] == [1, 2, 5, 6]


@pytest.mark.parametrize("combine", list(Combine))
def test_a_bad_row_of_the_second_table_refuses_it_whole(tmp_path: Path, combine: Combine) -> None:
    """It belongs to every row of the first: there is no part of the input without it."""
    table = made(tmp_path, "brand\na\nb\n", "qid,question\n1,why\n2\n", combine)
    with pytest.raises(WrongInput) as refusal:
        list(table.chunks())
    assert [problem.path for problem in refusal.value.problems] == ["questions.csv"]


def test_a_name_in_both_tables_is_a_bad_row(tmp_path: Path) -> None:
    """One cell would hide the other, and the prompt would be made of the wrong one."""
    table = made(tmp_path, '{"id": 1, "a": 2}\n', '{"id": 1, "b": 3}\n', end="jsonl")
    (chunk,) = table.chunks()
    (reject,) = chunk.rejects
    assert str(reject.problems[0]) == (
        'brands.jsonl:1:8: column "id" is in questions.jsonl too; rename one of them'
    )


def test_a_second_table_that_is_too_large_to_be_held_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory must not grow with the input; the error says to swap the two."""
    monkeypatch.setattr(product, "MOST_HELD_ROWS", 3)
    table = made(tmp_path, "brand\na\n", column("question", ["x"] * 4))
    with pytest.raises(WrongInput, match="too large for a second table"):
        list(table.chunks())


def test_a_cross_is_read_no_further_than_it_is_wanted(tmp_path: Path) -> None:
    """A million rows times five must be as flat as a thousand: pairs are made when asked for."""
    table = made(
        tmp_path, column("brand", [f"b{n}" for n in range(2_000)]), column("question", ["x"] * 500)
    )
    chunks: Iterator[Chunk] = table.chunks(1000)
    sizes = [len(next(chunks).rows) for _ in range(5)]
    assert sizes == [1000] * 5
    assert table.display_of(1_000_000) == "brands.csv"


def test_a_change_of_either_file_is_another_input(tmp_path: Path) -> None:
    """The second pass must read what the first one checked."""
    table = made(tmp_path, "brand\na\n", "question\nwhy\n")
    rows(table)
    before = table.digest()
    again = made(tmp_path, "brand\na\n", "question\nhow\n")
    rows(again)
    assert again.digest() != before
    with pytest.raises(WrongInput, match="changed"):
        table.check_unchanged(before)

"""Several files as one table: numbers go on, places do not, and nothing gets mixed up."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import WrongInput
from runner.inputs.prompt_file import PromptFile, open_file
from runner.inputs.table import Table
from tests.inputs.reading import all_of, complaints, write, written_out


def opened(paths: Sequence[Path], *, encoding: str | None = None) -> Table:
    """The table that the files make together."""
    files: list[PromptFile] = []
    for path in paths:
        like = files[0] if files else None
        files.append(open_file(path, encoding=encoding, display=path.name, like=like))
    return Table(files)


def refusal(paths: Sequence[Path]) -> WrongInput:
    """The error of opening what does not go together."""
    with pytest.raises(WrongInput) as caught:
        opened(paths)
    return caught.value


_CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_ROWS = st.lists(st.tuples(_CELL, _CELL) | st.none(), min_size=1, max_size=5)


@given(
    st.lists(
        st.tuples(
            _ROWS,
            st.sampled_from([",", ";", "\t", "|"]),
            st.booleans(),
            st.sampled_from([".csv", ".csv.gz"]),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 4),
)
def test_rows_are_numbered_through_and_lie_in_their_own_file(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[tuple[list[tuple[str, str] | None], str, bool, str]],
    size: int,
) -> None:
    """None stands for a row that is bad: it counts, and its message names the file it is in."""
    folder = tmp_path_factory.mktemp("several")
    paths: list[Path] = []
    expected: list[tuple[int, int, str, tuple[str, str]]] = []
    bad: list[tuple[int, str]] = []
    for index, (rows, delimiter, swapped, suffix) in enumerate(files):
        name = f"{index}{suffix}"
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(["b", "a"] if swapped else ["a", "b"])
        for row in rows:
            line = len(text.getvalue().encode().splitlines()) + 1
            if row is None:
                writer.writerow(["x", "y", "z"])
                bad.append((len(expected) + len(bad) + 1, f"{name}:{line}:"))
            else:
                writer.writerow(reversed(row) if swapped else row)
                expected.append((len(expected) + len(bad) + 1, line, name, row))
        data = text.getvalue().encode()
        paths.append(write(folder / name, gzip.compress(data) if suffix.endswith(".gz") else data))
    table = opened(paths)
    good, rejects = all_of(table, size=size)
    assert [
        (row.number, row.line, row.problem("").path, (row.cells["a"], row.cells["b"]))
        for row in good
    ] == expected
    assert [reject.number for reject in rejects] == [number for number, _ in bad]
    for said, (_, place) in zip(complaints(rejects), bad, strict=True):
        assert said.startswith(place)
    for number, _, name, _ in expected:
        assert table.display_of(number) == name
    for number, place in bad:
        assert place.startswith(f"{table.display_of(number)}:")

    everything = [row.reject([row.problem("not asked")]) for row in good]
    out = write(folder / "rejects.csv", table.header + written_out(everything))
    if good:
        again, refused = all_of(opened([out]))
        assert [(row.cells["a"], row.cells["b"]) for row in again] == [row for *_, row in expected]
        assert not refused
    if rejects:
        out = write(folder / "bad.csv", table.header + written_out(rejects))
        again, refused = all_of(opened([out]))
        assert not again
        assert len(refused) == len(rejects)


def test_a_file_with_its_columns_in_another_order_is_read_by_name(tmp_path: Path) -> None:
    """Exports of two programs: by position, brands would be asked as prompts."""
    paths = [
        write(tmp_path / "a.csv", "prompt,brand\nwhy?,Acme\n"),
        write(tmp_path / "b.tsv", "brand\tprompt\nBolt\thow?\n"),
    ]
    rows, _ = all_of(opened(paths))
    assert [row.cells["prompt"] for row in rows] == ["why?", "how?"]
    assert rows[1].place("prompt") == (2, 6)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("prompt\nhow?\n", 'no "brand"'),
        ("prompt,brand,note\nhow?,Bolt,x\n", '"note" of its own'),
        ("question,brand\nhow?,Bolt\n", 'no "prompt", "question" of its own'),
        ("Prompt,brand\nhow?,Bolt\n", 'no "prompt", "Prompt" of its own'),
    ],
)
def test_files_with_other_columns_are_refused_naming_both(
    tmp_path: Path, other: str, said: str
) -> None:
    """An empty cell where a file has no such column would be a guess."""
    error = refusal(
        [
            write(tmp_path / "a.csv", "prompt,brand\nwhy?,Acme\n"),
            write(tmp_path / "b.csv", other),
        ]
    )
    assert error.what == f"b.csv has other columns than a.csv: {said}"
    assert error.where == "b.csv:1"
    assert error.how


def test_many_other_columns_are_not_all_listed(tmp_path: Path) -> None:
    """A message is read, a list is not."""
    wide = ",".join(f"c{i}" for i in range(40))
    error = refusal(
        [write(tmp_path / "a.csv", "prompt\nwhy?\n"), write(tmp_path / "b.csv", f"{wide}\n")]
    )
    assert error.what.endswith("and 36 more")
    assert len(error.what) < 200


def test_files_of_two_kinds_are_refused_naming_both(tmp_path: Path) -> None:
    """JSON has types and CSV has none: the same number would be two things."""
    error = refusal(
        [
            write(tmp_path / "a.csv", "prompt\nwhy?\n"),
            write(tmp_path / "b.jsonl", '{"prompt": "how?"}\n'),
        ]
    )
    assert error.what == "b.jsonl is JSON, and a.csv is CSV"


def test_json_lines_and_lists_go_together(tmp_path: Path) -> None:
    """They hold the same objects; rejects of both are JSON Lines."""
    table = opened(
        [
            write(tmp_path / "a.jsonl", '{"prompt": "why?"}\n{"prompt": 1\n'),
            write(tmp_path / "b.json", '[{"prompt": "how?"},\n{"prompt": tru}]'),
            write(tmp_path / "c.json.gz", gzip.compress(b'[{"prompt": "who?"}]')),
        ]
    )
    rows, rejects = all_of(table)
    assert [(row.number, row.line) for row in rows] == [(1, 1), (3, 1), (5, 1)]
    assert [said.partition(": ")[0] for said in complaints(rejects)] == [
        "a.jsonl:2:13",
        "b.json:2:12",
    ]
    assert written_out(rejects) == b'{"prompt": 1\n{"prompt": tru}\n'
    assert table.rejects_suffix == ".jsonl"


def test_rejects_stand_below_one_header_and_mean_the_same(tmp_path: Path) -> None:
    """A broken row of another layout must not become a good one by being written out."""
    table = opened(
        [
            write(tmp_path / "a.csv", "prompt,brand\nwhy?\n"),
            write(tmp_path / "b.csv", 'brand;prompt\nBolt;how, "then"?\na,b;c;d\n"a",b;"c"x\n'),
        ]
    )
    rows, rejects = all_of(table)
    assert [row.cells["prompt"] for row in rows] == ['how, "then"?']
    assert len(rejects) == 3
    rejects.insert(1, rows[0].reject([rows[0].problem("too long")]))
    out = table.header + written_out(rejects)
    assert out.decode().splitlines() == [
        "prompt,brand",
        "why?",
        '"how, ""then""?","Bolt"',
        '"a,b;c;d"?',
        '"""a"",b;""c""x"?',
    ]
    again = opened([write(tmp_path / "rejects.csv", out)])
    good, bad = all_of(again)
    assert [row.cells for row in good] == [{"prompt": 'how, "then"?', "brand": "Bolt"}]
    assert len(bad) == 3


def test_a_ragged_row_stays_ragged_below_a_header_of_one_column(tmp_path: Path) -> None:
    """There any line is a prompt, even one that was refused for its tab."""
    table = opened(
        [
            write(tmp_path / "a.csv", "prompt\nwhy, oh why?\n"),
            write(tmp_path / "b.tsv", "prompt\nhow?\tAcme\nwho, me?\n"),
        ]
    )
    rows, rejects = all_of(table)
    assert [row.cells["prompt"] for row in rows] == ["why, oh why?", "who, me?"]
    out = table.header + written_out(rejects)
    again, refused = all_of(opened([write(tmp_path / "rejects.csv", out)]))
    assert (len(again), len(refused)) == (0, 1)


def test_an_empty_file_among_others_is_refused_by_name(tmp_path: Path) -> None:
    """A failed export of one night would be missed among thirty."""
    table = opened(
        [write(tmp_path / "a.csv", "prompt\nwhy?\n"), write(tmp_path / "b.csv", "prompt\n")]
    )
    with pytest.raises(WrongInput, match=r"^b\.csv has a header but no rows$"):
        all_of(table)


def test_a_wrong_encoding_is_told_of_the_file_that_has_it(tmp_path: Path) -> None:
    """Not of the first one, which is in order."""
    table = opened(
        [
            write(tmp_path / "a.csv", "prompt\nwhy?\n"),
            write(tmp_path / "b.csv", b"prompt\n" + b"why?\n" * 300_000 + b"caf\xe9\n"),
        ]
    )
    with pytest.raises(WrongInput, match=r"^b\.csv is not UTF-8$") as caught:
        all_of(table)
    assert caught.value.problems[0].line == 300_002


def test_an_edit_of_any_of_the_files_is_noticed(tmp_path: Path) -> None:
    """F43."""
    paths = [write(tmp_path / f"{name}.csv", "prompt\nwhy?\n") for name in "abc"]
    table = opened(paths)
    all_of(table)
    digest = table.digest()
    all_of(table)
    table.check_unchanged(digest)
    write(paths[1], "prompt\nwhy not?\n")
    with pytest.raises(WrongInput, match=r"^b\.csv changed while it was being read$"):
        table.check_unchanged(digest)


def test_the_digest_tells_the_files_and_their_order_apart(tmp_path: Path) -> None:
    """By it a start decides that nothing has to be loaded."""
    paths = [write(tmp_path / f"{name}.jsonl", json.dumps({"prompt": name})) for name in "abc"]
    digests = set()
    for order in (paths, paths[::-1], paths[:2], paths[:1], paths[1:2]):
        table = opened(order)
        all_of(table)
        digests.add(table.digest())
    assert len(digests) == 5


def test_two_passes_that_stop_in_the_first_file_have_one_digest(tmp_path: Path) -> None:
    """`--limit` reads the beginning only; what an earlier, whole pass saw must not mix in."""
    paths = [write(tmp_path / f"{name}.csv", "prompt\nwhy?\nhow?\n") for name in "ab"]
    table = opened(paths)
    with pytest.raises(ValueError, match="digest"):
        table.digest()
    digests = []
    for whole in (False, True, False):
        chunks = table.chunks(1)
        next(chunks)
        list(chunks) if whole else chunks.close()
        digests.append(table.digest())
    assert digests[0] == digests[2] != digests[1]


def test_progress_goes_on_over_the_files(tmp_path: Path) -> None:
    """A bar that starts again with each file tells nobody when it will be done."""
    paths = [write(tmp_path / f"{name}.csv", "prompt\n" + "why?\n" * 2500) for name in "ab"]
    table = opened(paths)
    read = [chunk.bytes_read for chunk in table.chunks()]
    assert read == sorted(read)
    assert read[-1] == table.size == sum(path.stat().st_size for path in paths)


def test_a_table_says_what_it_is_made_of(tmp_path: Path) -> None:
    """What must not be written over is every file, not only the first."""
    paths = [write(tmp_path / f"{name}.csv", "prompt\nwhy?\n") for name in "abc"]
    assert opened(paths).paths == tuple(paths)
    assert opened(paths).path == paths[0]
    assert [opened(paths[:n]).display for n in (1, 2, 3)] == [
        "a.csv",
        "a.csv and b.csv",
        "a.csv and 2 other files",
    ]

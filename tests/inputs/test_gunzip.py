"""Packed files: read as what they hold, refused by name when they are damaged, never held whole."""

import gzip
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import WrongInput
from runner.inputs.gunzip import UNPACKED_BLOCK, gunzip
from runner.inputs.lines import LINE_CAP
from runner.inputs.table import open_table
from tests.inputs.reading import all_of, read, write, written_out


def _blocks(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv.gz", "id,prompt\n1,why?\n"),
        ("p.tsv.gz", "id\tprompt\n1\twhy?\n"),
        ("p.jsonl.gz", '{"id": "1", "prompt": "why?"}\n'),
        ("P.JSON.GZ", '[{"id": "1", "prompt": "why?"}]'),
    ],
)
def test_each_format_is_read_packed(tmp_path: Path, name: str, text: str) -> None:
    """Exports come packed, and unpacking a large one first takes a disk and a command."""
    packed = gzip.compress(text.encode())
    table = open_table(write(tmp_path / name, packed), display=name)
    rows, rejects = all_of(table)
    assert [row.cells for row in rows] == [{"id": "1", "prompt": "why?"}]
    assert not rejects
    assert table.size == len(packed)
    assert table.format == name.lower().split(".")[1]


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4), st.integers(1, 300))
def test_members_one_after_another_are_one_file(members: list[bytes], size: int) -> None:
    """RFC 1952 §2.2: `cat a.gz b.gz` is how nightly exports are joined."""
    packed = b"".join(map(gzip.compress, members)) + b"\0" * 7
    assert b"".join(gunzip(_blocks(packed, size), "p")) == b"".join(members)


@given(st.binary(max_size=300), st.data(), st.integers(1, 50))
def test_a_file_cut_anywhere_is_refused(content: bytes, data: st.DataObject, size: int) -> None:
    """What a broken download looks like: half of the prompts would be lost in silence."""
    packed = gzip.compress(content)
    cut = packed[: data.draw(st.integers(1, len(packed) - 1))]
    with pytest.raises(WrongInput, match=r"^p is cut off") as caught:
        list(gunzip(_blocks(cut, size), "p"))
    assert str(caught.value.where) == f"p, byte {len(cut)}, its end"


@given(st.binary(min_size=20, max_size=300), st.data())
def test_a_damaged_byte_never_changes_what_is_read(content: bytes, data: st.DataObject) -> None:
    """The checksum at the end of a member is held to, or a prompt would be asked garbled."""
    packed = bytearray(gzip.compress(content))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    try:
        read_anyway = b"".join(gunzip([bytes(packed)], "p"))
    except WrongInput:
        return
    assert read_anyway == content


def test_a_damaged_file_is_named_with_a_byte_and_a_way_on(tmp_path: Path) -> None:
    """zlib's own words would name neither."""
    packed = bytearray(gzip.compress(b"prompt\nwhy?\n" * 10))
    packed[-6] ^= 1
    with pytest.raises(WrongInput, match=r"^p\.csv\.gz is damaged") as caught:
        read(write(tmp_path / "p.csv.gz", bytes(packed)))
    assert "byte" in str(caught.value.where)
    assert caught.value.why == "incorrect data check"
    assert "gzip -t" in str(caught.value.how)


def test_garbage_behind_the_last_member_is_refused(tmp_path: Path) -> None:
    """It may be what is left of more rows."""
    packed = gzip.compress(b"prompt\nwhy?\n") + b"more"
    with pytest.raises(WrongInput, match="is damaged"):
        read(write(tmp_path / "p.csv.gz", packed))


def test_a_plain_file_called_gz_is_called_what_it_is(tmp_path: Path) -> None:
    """Some browsers unpack a download and keep its name."""
    with pytest.raises(WrongInput, match="is not compressed with gzip") as caught:
        read(write(tmp_path / "p.csv.gz", "prompt\nwhy?\n"))
    assert "leave .gz out of its name" in str(caught.value.how)


def test_an_empty_file_called_gz_is_empty(tmp_path: Path) -> None:
    """Not "damaged": a failed export leaves such a file."""
    with pytest.raises(WrongInput, match=r"^p\.csv\.gz is empty$"):
        read(write(tmp_path / "p.csv.gz", b""))


def test_a_packed_file_without_its_ending_is_told_to_get_it(tmp_path: Path) -> None:
    """The way on must not be a detour."""
    with pytest.raises(WrongInput, match="compressed with gzip, not a text file") as caught:
        read(write(tmp_path / "p.csv", gzip.compress(b"prompt\nwhy?\n")))
    assert ".gz" in str(caught.value.how)


def test_an_ending_that_says_nothing_under_gz_is_refused(tmp_path: Path) -> None:
    """A format is never guessed from the content of a file."""
    with pytest.raises(WrongInput, match="what kind of file this is") as caught:
        read(write(tmp_path / "p.gz", gzip.compress(b"prompt\nwhy?\n")))
    for ending in (".csv", ".tsv", ".jsonl", ".json", ".gz"):
        assert ending in str(caught.value.why)


def test_the_encoding_of_a_packed_file_is_held_to_like_any(tmp_path: Path) -> None:
    """F37; line and byte are those of the text, for these can be looked up."""
    text = (
        "brand;prompt\nCafé Noir;Où peut-on acheter un bon café à Montréal ?\n"
        "Crème Brûlée;Quelle est la meilleure crème hydratante ?\n"
    )
    path = write(tmp_path / "p.csv.gz", gzip.compress(text.encode("cp1252")))
    with pytest.raises(WrongInput, match=r"^p\.csv\.gz is not UTF-8$") as caught:
        read(path)
    assert caught.value.where == "p.csv.gz:2, byte 16 (0xE9)"
    assert "--encoding cp1252" in str(caught.value.how)
    rows, _ = read(path, encoding="cp1252")
    assert rows[0].cells["brand"] == "Café Noir"


def test_rejects_of_a_packed_file_are_plain(tmp_path: Path) -> None:
    """They are there to be mended by hand."""
    path = write(tmp_path / "p.csv.gz", gzip.compress(b"prompt,brand\nwhy?\nhow?,Acme\n"))
    table = open_table(path)
    _, rejects = all_of(table)
    assert table.header + written_out(rejects) == b"prompt,brand\nwhy?\n"
    assert table.rejects_suffix == ".csv"


def test_an_edit_of_a_packed_file_is_noticed(tmp_path: Path) -> None:
    """F43."""
    path = write(tmp_path / "p.csv.gz", gzip.compress(b"prompt\nwhy?\n"))
    table = open_table(path, display="p.csv.gz")
    all_of(table)
    write(path, gzip.compress(b"prompt\nwhat else?\n"))
    with pytest.raises(WrongInput, match=r"^p\.csv\.gz changed while it was being read$"):
        all_of(table)


@pytest.mark.parametrize("name", ["p.csv.gz", "p.jsonl.gz", "p.json.gz"])
def test_a_bomb_is_defused_without_holding_it(tmp_path: Path, name: str) -> None:
    """F74: 100 MB of one character pack into 100 KB, and may be one line or many rows."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    start, end = {
        "p.csv.gz": (b"prompt\n", b"\nwhy?\n"),
        "p.jsonl.gz": (b"", b'\n{"prompt": "why?"}\n'),
        "p.json.gz": (b'[{"prompt": "', b'"}, {"prompt": "why?"}]'),
    }[name]
    with (tmp_path / name).open("wb") as file:
        file.write(packer.compress(start))
        for _ in range(100):
            file.write(packer.compress(b"x" * LINE_CAP))
        file.write(packer.compress(end) + packer.flush())
    assert (tmp_path / name).stat().st_size < 200_000
    tracemalloc.start()
    try:
        rows, rejects = all_of(open_table(tmp_path / name))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [row.cells for row in rows] == [{"prompt": "why?"}]
    assert len(rejects) == 1
    assert peak < 8 * LINE_CAP


def test_no_block_is_larger_than_readers_expect() -> None:
    """What splits lines relies on it."""
    packed = gzip.compress(b"x" * (10 * UNPACKED_BLOCK))
    sizes = [len(block) for block in gunzip([packed], "p")]
    assert max(sizes) <= UNPACKED_BLOCK <= LINE_CAP
    assert min(sizes) > 0
    assert sum(sizes) == 10 * UNPACKED_BLOCK

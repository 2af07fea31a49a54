"""DEPENDENCIES.md §3.10, case by case: read as it is, or refused with a place and a way on."""

import codecs
import re
from pathlib import Path

import pytest

from runner.errors import WrongInput
from runner.inputs.table import open_table
from tests.inputs.reading import all_of, read, write

FRENCH = [
    ["brand", "prompt"],
    ["Acme", "Pourquoi le ciel est-il bleu ?"],
    ["Café Noir", "Où peut-on acheter un bon café à Montréal ?"],
    ["Crème Brûlée", "Quelle est la meilleure crème hydratante, et pourquoi ?"],
]
POLISH = [
    ["brand", "prompt"],
    ["Żabka", "Gdzie mogę kupić najtańszą książkę w Łodzi?"],
    ["Biedronka", "Która sieć sklepów ma najświeższe warzywa i owoce?"],
]
RUSSIAN = [
    ["brand", "prompt"],
    ["Яндекс", "Какая поисковая система лучше всего подходит для русского языка?"],
    ["Озон", "Где купить недорогой телефон?"],
]
JAPANESE = [
    ["brand", "prompt"],
    ["資生堂", "敏感肌におすすめの化粧水はどれですか？"],
    ["花王", "洗剤の人気ランキングを教えてください。"],
]
ONE_COLUMN = [["prompt"], ["Où acheter du café, et pourquoi; ou non | oui ?"], ["Why is it so?"]]


def _text(table: list[list[str]], delimiter: str, *, quoted: bool = False) -> str:
    quote = '"' if quoted else ""
    return "".join(
        delimiter.join(f"{quote}{cell}{quote}" for cell in row) + "\r\n" for row in table
    )


READ = {
    "UTF-8, comma": (FRENCH[:3], ",", _text(FRENCH[:3], ",").encode()),
    "UTF-8 with BOM, semicolon": (FRENCH, ";", codecs.BOM_UTF8 + _text(FRENCH, ";").encode()),
    "UTF-16, tab": (POLISH, "\t", _text(POLISH, "\t").encode("utf-16")),
    "UTF-8, pipe": (RUSSIAN, "|", _text(RUSSIAN, "|").encode()),
    "one column, bare": (ONE_COLUMN, None, _text(ONE_COLUMN, "").encode()),
    "one column, quoted": (ONE_COLUMN, None, _text(ONE_COLUMN, "", quoted=True).encode()),
}
REFUSED = {
    "cp1252": (FRENCH, ";", "cp1252"),
    "cp1250": (POLISH, ";", "cp1250"),
    "cp1251": (RUSSIAN, ";", "cp1251"),
    "Shift-JIS": (JAPANESE, ",", "shift_jis"),
    "Mac Roman": (FRENCH, ";", "mac_roman"),
}


@pytest.mark.parametrize(("table", "delimiter", "data"), READ.values(), ids=READ)
def test_what_is_plain_is_read_unasked(
    tmp_path: Path, table: list[list[str]], delimiter: str | None, data: bytes
) -> None:
    """What spreadsheets of any country save has to work at once."""
    opened = open_table(write(tmp_path / "p.csv", data))
    assert opened.delimiter == delimiter
    rows, rejects = all_of(opened)
    assert opened.columns == tuple(table[0])
    assert [[*row.cells.values()] for row in rows] == table[1:]
    assert not rejects


@pytest.mark.parametrize(("table", "delimiter", "encoding"), REFUSED.values(), ids=REFUSED)
def test_message_names_file_and_line_and_byte_and_the_encoding_to_use(
    tmp_path: Path, table: list[list[str]], delimiter: str, encoding: str
) -> None:
    """And that advice, taken as it stands, leads to the very text that was written."""
    data = _text(table, delimiter).encode(encoding)
    path = write(tmp_path / "p.csv", data)
    with pytest.raises(WrongInput, match=r"^p\.csv is not UTF-8$") as caught:
        read(path)
    said = "\n".join(caught.value.lines())
    place = re.search(r"at p\.csv:(\d+), byte (\d+) \(0x([0-9A-F]{2})\)", said)
    assert place is not None
    line, byte, value = int(place[1]), int(place[2]), int(place[3], 16)
    assert data[byte] == value >= 0x80
    assert data[:byte].isascii()
    assert line == data[:byte].count(b"\n") + 1
    for sample in table[line - 1 : line + 1]:
        assert delimiter.join(sample) in said

    advised = re.search(r"--encoding (\S+),", said)
    assert advised is not None
    rows, rejects = read(path, encoding=advised[1])
    assert [[*row.cells.values()] for row in rows] == table[1:]
    assert not rejects


def test_a_file_marked_as_utf_8_is_not_read_as_anything_else(tmp_path: Path) -> None:
    """One such file among others in an old encoding would be asked garbled, and paid for."""
    path = write(tmp_path / "p.csv", codecs.BOM_UTF8 + _text(FRENCH, ",").encode())
    with pytest.raises(WrongInput, match="begins with the byte order mark of UTF-8") as caught:
        read(path, encoding="cp1252")
    assert "--encoding" in str(caught.value.how)
    assert len(read(write(tmp_path / "q.csv", path.read_bytes()), encoding="utf-8")[0]) == 2

"""Encodings: UTF-8 and marked UTF-16 are read, everything else is refused with a suggestion."""

import codecs
from pathlib import Path

import pytest

from runner.errors import WrongInput
from runner.inputs.origin import BLOCK
from runner.inputs.table import open_table
from tests.inputs.reading import all_of, read, write

FRENCH = (
    "brand;prompt\nAcme;Pourquoi ?\nCafé Noir;Où peut-on acheter un bon café à Montréal ?\n"
    "Crème Brûlée;Quelle est la meilleure crème hydratante ?\n"
)
POLISH = (
    "brand;prompt\nŻabka;Gdzie mogę kupić najtańszą książkę w Łodzi?\n"
    "Biedronka;Która sieć sklepów ma najświeższe warzywa i owoce?\n"
)
RUSSIAN = (
    "brand;prompt\nЯндекс;Какая поисковая система лучше всего подходит для русского языка?\n"
    "Озон;Где купить недорогой телефон?\n"
)
JAPANESE = (
    "brand,prompt\n資生堂,敏感肌におすすめの化粧水はどれですか？\n"
    "花王,洗剤の人気ランキングを教えてください。\n"
)


@pytest.mark.parametrize(
    ("before", "encoding", "name"),
    [
        (b"", "utf-8", "utf-8"),
        (codecs.BOM_UTF8, "utf-8", "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16"),
    ],
)
def test_utf_8_and_marked_utf_16_are_read_unasked(
    tmp_path: Path, before: bytes, encoding: str, name: str
) -> None:
    """F37: what spreadsheets save as "CSV UTF-8" and "Unicode text" just works."""
    data = before + "prompt;marché\nwhy? 😀;Québec\n".encode(encoding)
    table = open_table(write(tmp_path / "p.csv", data))
    assert table.encoding == name
    assert table.columns == ("prompt", "marché")
    rows, rejects = all_of(table)
    assert [row.cells for row in rows] == [{"prompt": "why? 😀", "marché": "Québec"}]
    assert not rejects
    assert rows[0].place("marché") == (2, 8)


@pytest.mark.parametrize(
    ("text", "encoding", "suggested", "line", "byte"),
    [
        (FRENCH, "cp1252", "cp1252", 3, 32),
        (POLISH, "cp1250", "cp1250", 2, 13),
        (RUSSIAN, "cp1251", "cp1251", 2, 13),
        (JAPANESE, "shift_jis", "shift_jis", 2, 13),
        (FRENCH, "mac_roman", "mac_roman", 3, 32),
    ],
)
def test_another_encoding_is_refused_with_its_place_and_a_suggestion(
    tmp_path: Path, text: str, encoding: str, suggested: str, line: int, byte: int
) -> None:
    """F37: a guess that is acted on in silence would pay for garbled prompts."""
    data = text.encode(encoding)
    path = write(tmp_path / "p.csv", data)
    with pytest.raises(WrongInput) as caught:
        open_table(path, display="p.csv")
    error = caught.value
    assert error.what == "p.csv is not UTF-8"
    assert error.where == f"p.csv:{line}, byte {byte} (0x{data[byte]:02X})"
    assert [problem.line for problem in error.problems] == [line]
    lines = text.splitlines()
    assert error.why == (
        f'it looks like {suggested}; line {line} would read: "{lines[line - 1]}"; '
        f'line {line + 1} would read: "{lines[line]}"'
    )
    assert error.how == f"the same command with --encoding {suggested}, or save the file as UTF-8"

    rows, rejects = read(path, encoding=suggested)
    assert [list(row.cells.values()) for row in rows] == [
        line.split("," if text is JAPANESE else ";") for line in lines[1:]
    ]
    assert not rejects


def test_a_bad_byte_far_down_is_found_with_its_place(tmp_path: Path) -> None:
    """Only one name in a long list may be in the old encoding; it has to be found by hand."""
    before = "prompt,brand\r\n" + "wäs?,é\r\n" * BLOCK
    data = before.encode() + b"why?,caf\xe9\r\n" + b"why?,x\r\n" * 10
    table = open_table(write(tmp_path / "p.csv", data), display="p.csv")
    with pytest.raises(WrongInput) as caught:
        all_of(table)
    line = before.count("\n") + 1
    at = data.index(b"\xe9\r\n" + b"why")
    assert str(caught.value.problems[0]) == f"p.csv:{line}:9: byte {at} (0xE9) is not UTF-8"
    assert f'line {line} would read: "why?,caf' in str(caught.value.why)


def test_a_character_cut_off_at_the_end_of_the_file_is_found(tmp_path: Path) -> None:
    """What a broken download looks like."""
    data = "prompt\nwhy?\ncafé".encode()[:-1]
    with pytest.raises(WrongInput) as caught:
        read(write(tmp_path / "p.csv", data))
    assert caught.value.where == f"p.csv:3, byte {len(data) - 1} (0xC3)"


def test_sample_lines_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """A file may come from anybody."""
    text = FRENCH.replace("Noir;", "Noir\x1b[2J\x07;") + FRENCH
    data = text.encode("cp1252")
    with pytest.raises(WrongInput) as caught:
        read(write(tmp_path / "p.csv", data))
    assert "\x1b" not in str(caught.value.why)
    assert r"\x1b[2J\x07" in str(caught.value.why)


def test_an_encoding_asked_for_is_held_to(tmp_path: Path) -> None:
    """A byte that the named encoding does not have is refused as well, not replaced."""
    path = write(tmp_path / "p.csv", b"prompt\nwhy?\nca\x81f\n")
    with pytest.raises(WrongInput, match=r"^p\.csv is not cp1252$") as caught:
        read(path, encoding="windows-1252")
    assert str(caught.value.where).startswith("p.csv:3, byte 14 (0x81)")


def test_utf_16_that_is_not_is_refused(tmp_path: Path) -> None:
    """A file cut in the middle of a character has lost something."""
    with pytest.raises(WrongInput, match=r"^p\.csv is not utf-16$") as caught:
        read(write(tmp_path / "p.csv", "prompt\nwhy?\n".encode("utf-16") + b"\x00\xd8"))
    assert str(caught.value.where) == "p.csv:3, byte 26 (0x00)"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_recognised_but_not_guessed(tmp_path: Path, encoding: str) -> None:
    """Its every second byte is NUL, so complaints about NULs would hide the reason."""
    path = write(tmp_path / "p.csv", "prompt\nwhy is the sky blue?\n".encode(encoding))
    with pytest.raises(WrongInput, match="without a byte order mark") as caught:
        read(path)
    assert f"--encoding {encoding}" in str(caught.value.how)
    assert len(read(path, encoding=encoding)[0]) == 1


def test_utf_16_asked_for_must_bear_its_mark(tmp_path: Path) -> None:
    """Without one, the order of its bytes would be the machine's: a guess."""
    path = write(tmp_path / "p.csv", "prompt\nwhy?\n".encode("utf-16-le"))
    with pytest.raises(WrongInput, match=r"^p\.csv is not utf-16$") as caught:
        read(path, encoding="utf-16")
    assert caught.value.why == "it does not begin with a byte order mark"
    assert "--encoding utf-16-le" in str(caught.value.how)


def test_utf_32_is_not_taken_for_utf_16(tmp_path: Path) -> None:
    """Its mark begins with that of UTF-16."""
    path = write(tmp_path / "p.csv", "prompt\nwhy?\n".encode("utf-32"))
    with pytest.raises(WrongInput, match="is in UTF-32"):
        read(path)
    assert len(read(path, encoding="utf-32")[0]) == 1


@pytest.mark.parametrize("head", [b"PK\x03\x04rest", b"\x1f\x8brest", b"%PDF-1.7"])
def test_a_binary_file_under_a_text_name_is_called_what_it_is(tmp_path: Path, head: bytes) -> None:
    """A renamed spreadsheet is a frequent guest; a byte number would not help."""
    with pytest.raises(WrongInput, match="not a text file"):
        read(write(tmp_path / "p.csv", head))


@pytest.mark.parametrize("name", ["utf-9", "hex", "rot13", "undefined", "", "cp\0"])
def test_an_encoding_that_is_none_is_refused_by_name(tmp_path: Path, name: str) -> None:
    """Python's own list holds some that are no encodings of text."""
    path = write(tmp_path / "p.csv", "prompt\nwhy?\n")
    with pytest.raises(WrongInput, match="there is no text encoding called"):
        open_table(path, encoding=name)


def test_a_slip_in_an_encodings_name_is_answered_with_the_right_one(tmp_path: Path) -> None:
    """Nobody knows these names by heart."""
    path = write(tmp_path / "p.csv", "prompt\nwhy?\n")
    with pytest.raises(WrongInput) as caught:
        open_table(path, encoding="shift-jsi")
    assert caught.value.why == "did you mean shift-jis?"


def test_rejects_of_a_file_in_another_encoding_are_utf_8(tmp_path: Path) -> None:
    """A file of rejects is to be mended and asked again without a word about encodings."""
    path = write(tmp_path / "p.csv", "prompt;x\ncafé;1;2\n".encode("utf-16"))
    _, rejects = read(path)
    assert b"".join(rejects[0].pieces()) == "café;1;2\n".encode()

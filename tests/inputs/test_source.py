"""The file itself: what is refused, and how an edit is noticed."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from runner.errors import Exit, WrongInput
from runner.inputs.origin import BLOCK
from runner.inputs.source import Source
from runner.inputs.table import open_table
from tests.inputs.reading import write


def _refusal(path: Path) -> WrongInput:
    with pytest.raises(WrongInput) as caught:
        open_table(path, display=path.name)
    assert caught.value.exit_code == Exit.WRONG_INPUT
    assert caught.value.how
    return caught.value


def test_a_missing_file_is_named_with_the_one_that_was_meant(tmp_path: Path) -> None:
    """Most missing files are slips of the finger."""
    write(tmp_path / "prompts.csv", "prompt\nwhy?\n")
    error = _refusal(tmp_path / "promts.csv")
    assert error.what == "no such file: promts.csv"
    assert error.why == f"did you mean {tmp_path / 'prompts.csv'}?"


def test_a_missing_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    """Looking for a file with a similar name must not fail itself."""
    error = _refusal(tmp_path / "no" / "prompts.csv")
    assert error.what == "no such file: prompts.csv"
    assert str(tmp_path / "no") in str(error.why)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """F43."""
    (tmp_path / "prompts.csv").mkdir()
    assert _refusal(tmp_path / "prompts.csv").what == "prompts.csv is a folder, not a file"


def test_a_fifo_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    """F43: opening a FIFO blocks until somebody writes, which looks like a hang."""
    os.mkfifo(tmp_path / "prompts.csv")
    assert _refusal(tmp_path / "prompts.csv").what == "prompts.csv is a pipe (FIFO), not a file"


def test_a_socket_and_a_device_are_refused(tmp_path: Path) -> None:
    """F43: neither can be read twice."""
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        # The path of a socket may not be long, and a temporary folder's is.
        os.chdir(tmp_path)
        try:
            listener.bind("s.csv")
        finally:
            os.chdir(here)
        assert _refusal(tmp_path / "s.csv").what == "s.csv is a socket, not a file"
    (tmp_path / "null.csv").symlink_to(os.devnull)
    assert _refusal(tmp_path / "null.csv").what == "null.csv is a device, not a file"


def test_a_link_that_leads_nowhere_or_to_itself_is_said_to_be_one(tmp_path: Path) -> None:
    """F43: "no such file" about a name that `ls` shows sends people looking in vain."""
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    assert "leads back to itself" in _refusal(tmp_path / "loop.csv").what
    (tmp_path / "gone.csv").symlink_to("nothing.csv")
    error = _refusal(tmp_path / "gone.csv")
    assert error.what == "gone.csv is a symbolic link to nothing.csv, which does not exist"


def test_a_good_link_is_followed(tmp_path: Path) -> None:
    """Data folders are full of links."""
    write(tmp_path / "real.csv", "prompt\nwhy?\n")
    (tmp_path / "link.csv").symlink_to("real.csv")
    assert open_table(tmp_path / "link.csv").columns == ("prompt",)


def test_a_file_without_the_right_to_read_it_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests may run as root, who may read everything: so the refusal is the kernel's by proxy."""
    path = write(tmp_path / "prompts.csv", "prompt\nwhy?\n")

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert _refusal(path).what == "prompts.csv may not be read by this user"


@pytest.mark.parametrize("name", ["a\0b.csv", "x" * 5000 + ".csv"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    """Whatever the shell passes on, there is no traceback."""
    assert "cannot be opened" in _refusal(tmp_path / name).what


def test_an_unknown_kind_of_file_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """A format is never guessed from the content."""
    error = _refusal(write(tmp_path / "prompts.xlsx", b"PK\x03\x04"))
    assert ".csv" in str(error.why)
    assert ".jsonl" in str(error.why)


def test_the_digest_is_that_of_the_bytes_read(tmp_path: Path) -> None:
    """The load pass must be able to prove that it read what was validated."""
    data = b"prompt\n" + b"why is the sky blue?\n" * 40_000
    source = Source(write(tmp_path / "prompts.csv", data), "prompts.csv")
    with pytest.raises(ValueError, match="digest"):
        source.digest()
    assert b"".join(source.blocks()) == data
    assert source.digest() == hashlib.sha256(data).hexdigest()
    assert source.bytes_read == len(data)


def test_a_pass_that_is_closed_early_has_the_digest_of_its_prefix(tmp_path: Path) -> None:
    """`--limit` stops both passes at the same row."""
    data = b"x" * (2 * BLOCK)
    source = Source(write(tmp_path / "prompts.csv", data), "prompts.csv")
    blocks = source.blocks()
    next(blocks)
    blocks.close()
    assert source.digest() == hashlib.sha256(data[:BLOCK]).hexdigest()


def test_an_edit_during_a_pass_ends_it(tmp_path: Path) -> None:
    """F43: half of one version and half of another is no input that anybody wrote."""
    path = write(tmp_path / "prompts.csv", b"x" * (2 * BLOCK))
    source = Source(path, "prompts.csv")
    blocks = source.blocks()
    next(blocks)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(WrongInput, match=r"^prompts\.csv changed while it was being read$"):
        list(blocks)


def test_a_file_put_in_the_place_of_another_is_noticed(tmp_path: Path) -> None:
    """F43: editors save by renaming, so the file that is open never changes."""
    path = write(tmp_path / "prompts.csv", b"x" * (2 * BLOCK))
    source = Source(path, "prompts.csv")
    blocks = source.blocks()
    next(blocks)
    write(tmp_path / "new", b"y" * (2 * BLOCK)).replace(path)
    with pytest.raises(WrongInput, match="changed"):
        list(blocks)


def test_a_file_that_is_gone_between_the_passes_has_changed(tmp_path: Path) -> None:
    """Deleting is a change too."""
    path = write(tmp_path / "prompts.csv", "prompt\nwhy?\n")
    table = open_table(path)
    table.check_unchanged()
    path.unlink()
    with pytest.raises(WrongInput, match="changed"):
        table.check_unchanged()


def test_an_edit_that_leaves_size_and_time_alone_shows_in_the_digest(tmp_path: Path) -> None:
    """F43: a coarse file system clock, or a restored time, must not hide an edit."""
    path = write(tmp_path / "prompts.csv", "prompt\nwhy?\n")
    table = open_table(path, display="prompts.csv")
    list(table.chunks())
    first = table.digest()
    stamp = path.stat()
    with path.open("r+b") as file:
        file.write(b"PROMPT")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    list(table.chunks())
    table.check_unchanged()
    with pytest.raises(WrongInput, match="changed"):
        table.check_unchanged(first)

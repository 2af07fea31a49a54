"""Standard input: kept aside once, so that it can be read as often as a file can."""

import gzip
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from runner.errors import TryLater, WrongInput
from runner.inputs.origin import BLOCK
from runner.inputs.prompt_file import open_stdin
from runner.inputs.table import Table
from tests.inputs.reading import all_of, complaints, write, written_out


class Terminal(io.BytesIO):
    """Standard input that nobody has redirected."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes bytes, or a stream of them, what comes in on standard input."""

    def put(data: bytes | io.BytesIO) -> None:
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))

    return put


def stdin_table(**how: str) -> Table:
    """Standard input as a table."""
    return Table([open_stdin(**how)])


@pytest.mark.parametrize(
    ("data", "format_"),
    [
        (b"prompt,brand\nwhy?,Acme\n", "csv"),
        (b"prompt\tbrand\nwhy?\tAcme\n", "csv"),
        (b'\n  {"prompt": "why?", "brand": "Acme"}\n', "jsonl"),
        (b'\n [{"prompt": "why?",\n "brand": "Acme"}]', "json"),
        (b'\xef\xbb\xbf[{"prompt": "why?", "brand": "Acme"}]', "json"),
        ('[{"prompt": "why?", "brand": "Acme"}]'.encode("utf-16"), "json"),
        (gzip.compress(b'{"prompt": "why?", "brand": "Acme"}\n', mtime=0), "jsonl"),
        (gzip.compress(b"prompt;brand\nwhy?;Acme\n", mtime=0), "csv"),
    ],
)
def test_the_format_is_seen_by_how_it_begins(pipe: Any, data: bytes, format_: str) -> None:
    """A pipe has no name whose ending could say it."""
    pipe(data)
    table = stdin_table()
    assert (table.format, table.display, table.size) == (format_, "<stdin>", len(data))
    rows, rejects = all_of(table)
    assert [row.cells for row in rows] == [{"prompt": "why?", "brand": "Acme"}]
    assert not rejects


def test_it_is_read_twice_and_by_everybody_who_asks(pipe: Any) -> None:
    """It is checked whole before it is loaded, and a pipe runs dry at the first reading."""
    data = b"prompt\n" + b"why is the sky blue?\n" * (3 * BLOCK // 20) + b"a\0b\n"
    pipe(data)
    table = stdin_table()
    first = all_of(table)
    digest = table.digest()
    second = all_of(stdin_table())
    assert [row.cells for row in second[0]] == [row.cells for row in first[0]]
    assert complaints(second[1]) == complaints(first[1])
    all_of(table)
    table.check_unchanged(digest)


def test_a_row_over_the_cap_is_written_out_while_the_pass_goes_on(pipe: Any) -> None:
    """Two readings at once must not move each other's place."""
    long = b"x" * (5 * BLOCK)
    pipe(b"prompt\n" + (b"why?\n" * 1000 + long + b"\n") * 3)
    out = [written_out(chunk.rejects) for chunk in stdin_table().chunks(300)]
    assert b"".join(out) == (long + b"\n") * 3


def test_messages_call_it_stdin(pipe: Any) -> None:
    """A path would be looked for."""
    pipe(b"prompt,brand\nwhy?\n")
    _, rejects = all_of(stdin_table())
    assert complaints(rejects)[0].startswith("<stdin>:2:1: ")


def test_another_encoding_is_refused_with_its_place_as_in_a_file(pipe: Any) -> None:
    """F37."""
    pipe("prompt\nOù peut-on acheter un bon café à Montréal ?\n".encode("cp1252"))
    with pytest.raises(WrongInput, match=r"^<stdin> is not UTF-8$") as caught:
        stdin_table()
    assert caught.value.where == "<stdin>:2, byte 8 (0xF9)"
    rows, _ = all_of(stdin_table(encoding="cp1252"))
    assert rows[0].cells["prompt"] == "Où peut-on acheter un bon café à Montréal ?"


@pytest.mark.parametrize("data", [b"", b"\n\n", gzip.compress(b"", mtime=0)])
def test_nothing_at_all_is_refused(pipe: Any, data: bytes) -> None:
    """Under cron standard input is empty: a job that reads it would ask nothing every night."""
    pipe(data)
    with pytest.raises(WrongInput, match=r"^<stdin> is empty$"):
        all_of(stdin_table())


def test_a_terminal_is_refused_without_waiting_for_it(pipe: Any) -> None:
    """A command that seems to hang waits for somebody who does not know it."""
    pipe(Terminal(b"prompt\nwhy?\n"))
    with pytest.raises(WrongInput, match="is this terminal") as caught:
        stdin_table()
    assert "cat prompts.csv" in str(caught.value.how)


def test_a_closed_standard_input_is_said_to_be_closed(
    pipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`runner run - <&-`, and what some supervisors start programs with."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(WrongInput, match="standard input is closed"):
        stdin_table()
    stream = io.BytesIO(b"")
    pipe(stream)
    stream.close()
    with pytest.raises(WrongInput, match="standard input is closed"):
        stdin_table()


def test_an_error_while_it_is_read_is_told(pipe: Any) -> None:
    """`runner run - < folder`."""

    class Folder(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise IsADirectoryError(21, "Is a directory")

    pipe(Folder())
    with pytest.raises(WrongInput, match="cannot be read: Is a directory"):
        stdin_table()


def test_a_full_disk_is_told_as_one_and_leaves_no_file(
    pipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prompts are in order: the same command will do once there is room."""

    class Full(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise OSError(28, "No space left on device")

    pipe(b"prompt\nwhy?\n")
    full = Full()
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
    with pytest.raises(TryLater, match="No space left on device"):
        stdin_table()
    assert full.closed


_SCRIPT = """
import glob, os, tempfile
from runner.inputs.prompt_file import open_stdin
from runner.inputs.table import Table

table = Table([open_stdin()])
for _ in range(2):
    print(sum(len(chunk.rows) for chunk in table.chunks()), table.digest())
print(os.listdir(tempfile.gettempdir()))
"""


@pytest.mark.parametrize("redirected", [True, False])
def test_a_real_pipe_or_file_is_read_and_nothing_is_left_behind(
    tmp_path: Path, redirected: bool
) -> None:
    """The copy has no name, so not even kill -9 leaves it."""
    data = b"prompt\n" + b"why?\n" * 100_000
    folder = tmp_path / "tmp"
    folder.mkdir()
    with write(tmp_path / "p.csv", data).open("rb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT],
            stdin=file if redirected else subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"TMPDIR": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        out, _ = process.communicate(None if redirected else data)
    assert process.returncode == 0
    first, second, left = out.decode().splitlines()
    assert first == second
    assert first.startswith("100000 ")
    assert left == "[]"
    assert list(folder.iterdir()) == []

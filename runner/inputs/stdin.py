"""Standard input as a prompt set: copied whole to a temporary file, for it is read twice.

The copy has no name, so it is gone when the process ends, however it ends. There is one standard
input for each process: whoever asks for it a second time gets the same copy.
"""

import sys
import tempfile
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, BinaryIO, Final
from weakref import WeakKeyDictionary, finalize

from runner.errors import TryLater, WrongInput
from runner.inputs.gunzip import MAGIC
from runner.inputs.origin import BLOCK, Origin

STDIN: Final = "-"
"""What people write for it."""

DISPLAY: Final = "<stdin>"
"""What messages call it."""

_HOW: Final = "pipe a prompt file into the command (cat prompts.csv | runner …), or name a file"

_copies: WeakKeyDictionary[BinaryIO, IO[bytes]] = WeakKeyDictionary()


class Spool(Origin):
    """What came in on standard input. Nobody else can change it any more."""

    def __init__(self) -> None:
        """Copy standard input to its end, unless that was done before. Blocks while it waits.

        Raises:
            WrongInput: there is none, it is a terminal, or it cannot be read.
            TryLater: the disk of temporary files is full.
        """
        self._source = _standard_input()
        self._file = _copy(self._source)
        head = self._read_at(0)
        # Where it came from, so that nobody writes over the file behind `< prompts.csv`.
        super().__init__(Path("/dev/stdin"), DISPLAY, packed=head.startswith(MAGIC))

    @property
    def size(self) -> int:
        return self._file.seek(0, 2)

    def _as_they_lie(self) -> Generator[bytes, None, None]:
        # A pass may be read while another is under way: each knows its own place.
        at = 0
        while block := self._read_at(at):
            at += len(block)
            yield block

    def _compare_now(self) -> None:
        """Nothing to compare: only this process has the copy."""

    def _read_at(self, offset: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(BLOCK)


def _standard_input() -> BinaryIO:
    source = sys.stdin.buffer if sys.stdin is not None else None
    if source is None or source.closed:
        raise WrongInput("standard input is closed, so there are no prompts", how=_HOW)
    if source not in _copies and source.isatty():
        raise WrongInput("standard input is this terminal, and nothing is piped into it", how=_HOW)
    return source


def _copy(source: BinaryIO) -> IO[bytes]:
    if source in _copies:
        return _copies[source]
    with ExitStack() as undo:
        try:
            copy = undo.enter_context(tempfile.TemporaryFile(prefix="runner-stdin-"))
            while block := _read(source):
                copy.write(block)
            copy.flush()
        except OSError as error:
            raise _no_room(error) from error
        undo.pop_all()
    finalize(source, copy.close)
    _copies[source] = copy
    return copy


def _read(source: BinaryIO) -> bytes:
    try:
        return source.read(BLOCK)
    except OSError as error:
        raise WrongInput(f"standard input cannot be read: {error.strerror}", how=_HOW) from error


def _no_room(error: OSError) -> TryLater:
    return TryLater(
        f"standard input cannot be kept in the folder for temporary files: {error.strerror}",
        why="a prompt set is read twice: all of it is checked before any of it is loaded",
        how="make room on that disk, or name another folder: TMPDIR=…",
    )

"""One file of prompts: opened once, read as often as wanted.

origin ─▶ blocks ─▶ UTF-8 ─▶ reader ─▶ rows and rejects
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from runner.errors import WrongInput
from runner.inputs.encoding import choose_encoding, refuse_encoding, to_utf8
from runner.inputs.formats import Format, format_by_name, format_by_start, is_packed
from runner.inputs.origin import Origin
from runner.inputs.reader import Reader
from runner.inputs.rows import Chunk, Reject, Row
from runner.inputs.source import Source
from runner.inputs.stdin import Spool


class PromptFile:
    """One file, or standard input: its shape, and its rows as often as they are wanted."""

    def __init__(self, origin: Origin, format_: Format, encoding: str, reader: Reader) -> None:
        """For ``open_file`` and ``open_stdin``."""
        self.origin: Final = origin
        self.format: Final = format_
        self.encoding: Final = encoding
        """Python's name of it: ``utf-8``, ``utf-16``, or what was asked for."""
        self.reader: Final = reader

    @property
    def display(self) -> str:
        """The file as the user named it."""
        return self.origin.display

    def chunks(self, size: int, before: int) -> Generator[Chunk, None, None]:
        """One pass over all rows, numbered from *before* + 1. See ``Table.chunks``."""
        empty = True
        with closing(self.origin.blocks()) as blocks:
            items = self.reader.read(to_utf8(blocks, self.encoding), self._reread, before)
            while batch := self._take(items, size):
                empty = False
                rows = [item for item in batch if isinstance(item, Row)]
                rejects = [item for item in batch if isinstance(item, Reject)]
                yield Chunk(rows, rejects, self.origin.bytes_read)
        if empty:
            what = "is empty" if self.reader.columns is None else "has a header but no rows"
            raise WrongInput(
                f"{self.display} {what}", how="write one row for each prompt and try again"
            )

    def _take(self, items: Iterator[Row | Reject], size: int) -> list[Row | Reject]:
        try:
            return list(islice(items, size))
        except UnicodeError:
            refuse_encoding(self.origin, self.encoding)

    def _reread(self, offset: int, length: int) -> Iterator[bytes]:
        """*length* bytes from *offset* of the UTF-8 stream, read from the file once more."""
        with closing(self.origin.read_again()) as blocks:
            for block in to_utf8(blocks, self.encoding):
                piece = block[offset : offset + length] if offset < len(block) else b""
                offset = max(0, offset - len(block))
                length -= len(piece)
                if piece:
                    yield piece
                if not length:
                    return


def open_file(
    path: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    display: str | None = None,
    like: PromptFile | None = None,
) -> PromptFile:
    """Look at the start of a prompt file: format, encoding, and for CSV delimiter and header.

    Format and packing go by the end of the name. *like* is the first of several files that are to
    be read as one table.

    Raises:
        WrongInput: there is no such file, it cannot be read as a table, or not as one with *like*;
            says how to go on.
    """
    origin = Source(path, display or str(path), packed=is_packed(path.name))
    format_ = format_by_name(path.name, origin.display)
    if like is not None and format_.family != like.format.family:
        raise WrongInput(
            f"{origin.display} is {format_.family}, and {like.display} is {like.format.family}",
            why="all files of one input are read as one table",
            how="make a job of each",
        )
    return _opened(origin, format_, encoding, delimiter, like)


def open_stdin(*, encoding: str | None = None, delimiter: str | None = None) -> PromptFile:
    """Standard input as a prompt file, kept whole in a temporary file. Blocks until it has ended.

    Format and packing go by how it begins.

    Raises:
        WrongInput: there is none, or it cannot be read as a table; says how to go on.
        TryLater: the disk of temporary files is full.
    """
    return _opened(Spool(), None, encoding, delimiter, None)


def _opened(
    origin: Origin,
    format_: Format | None,
    encoding: str | None,
    delimiter: str | None,
    like: PromptFile | None,
) -> PromptFile:
    with closing(origin.read_again()) as blocks:
        first = next(blocks, b"")
    name = choose_encoding(first, encoding, origin.display)
    try:
        if format_ is None:
            with closing(origin.read_again()) as blocks:
                format_ = format_by_start(to_utf8(blocks, name))
        with closing(origin.read_again()) as blocks:
            like_reader = like.reader if like else None
            reader = format_.make_reader(
                origin.display, to_utf8(blocks, name), delimiter, like_reader
            )
    except UnicodeError:
        refuse_encoding(origin, name)
    return PromptFile(origin, format_, name, reader)

"""A prompt file as a table: opened once, read as often as wanted, a chunk at a time.

    table = open_table(Path("prompts.csv"))
    for chunk in table.chunks():
        ...                            # chunk.rows, chunk.rejects
    seen = table.digest()              # of the bytes that were read
    ...                                # a second pass
    table.check_unchanged(seen)        # it read the very same bytes

Plain blocking code: the caller takes one chunk per hop to a worker thread (PERFORMANCE.md §1).
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Final

from runner.errors import WrongInput
from runner.inputs.csv_rows import CsvReader
from runner.inputs.encoding import choose_encoding, refuse_encoding, to_utf8
from runner.inputs.jsonl_rows import JsonlReader
from runner.inputs.lines import Overlong, split_lines
from runner.inputs.reader import Reader
from runner.inputs.rows import Chunk, Reject, Row
from runner.inputs.source import Source

CHUNK: Final = 1000
"""Rows per chunk."""

_Lines = Iterator[list[bytes] | Overlong]
_MakeReader = Callable[[str, _Lines, str | None], Reader]


def _csv_reader(display: str, head: _Lines, delimiter: str | None) -> Reader:
    return CsvReader(display, head, delimiter)


def _jsonl_reader(display: str, _head: _Lines, delimiter: str | None) -> Reader:
    if delimiter is not None:
        raise WrongInput(
            f"{display} is JSON Lines, which has no delimiter", how="leave --delimiter out"
        )
    return JsonlReader(display)


FORMATS: Final[dict[str, tuple[str, _MakeReader]]] = {
    ".csv": ("csv", _csv_reader),
    ".jsonl": ("jsonl", _jsonl_reader),
}
"""By the end of the file's name, in lower case: what the format is called, and who reads it."""


def open_table(
    path: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    display: str | None = None,
) -> "Table":
    """Look at the start of a prompt file: format, encoding, and for CSV delimiter and header.

    The format goes by the end of the name. *encoding* and *delimiter* are what the user insists
    on; without them the file has to be plain about it. *display* is the file as the user named
    it, for messages; by default the path.

    Raises:
        WrongInput: there is no such file, or it cannot be read as a table; says how to go on.
    """
    source = Source(path, display or str(path))
    format_, make_reader = _format_of(path, source.display)
    with closing(source.read_again()) as blocks:
        first = next(blocks, b"")
        name = choose_encoding(first, encoding, source.display)
        lines = split_lines(to_utf8(chain((first,), blocks), name))
        try:
            reader = make_reader(source.display, lines, delimiter)
        except UnicodeError:
            refuse_encoding(source, name)
    return Table(source, format_, name, reader)


def _format_of(path: Path, display: str) -> tuple[str, _MakeReader]:
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        known = " or ".join(FORMATS)
        raise WrongInput(
            f"{display}: what kind of file this is cannot be told from its name",
            why=f"a prompt file is called something{known.replace(' or ', ' or something')}",
            how="rename it, or save it in one of these formats",
        )
    return found


class Table:
    """One prompt file: its shape, and its rows as often as they are wanted."""

    def __init__(self, source: Source, format_: str, encoding: str, reader: Reader) -> None:
        """For ``open_table``."""
        self._source = source
        self._reader = reader
        self.format: Final = format_
        """``csv`` or ``jsonl``."""
        self.encoding: Final = encoding
        """Python's name of it: ``utf-8``, ``utf-16``, or what was asked for."""

    @property
    def path(self) -> Path:
        return self._source.path

    @property
    def display(self) -> str:
        """The file as the user named it."""
        return self._source.display

    @property
    def size(self) -> int:
        """Bytes of the file, when it was opened."""
        return self._source.stamp.size

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The header, in order; None for JSON Lines, where each row brings its own names."""
        return self._reader.columns

    @property
    def delimiter(self) -> str | None:
        """What separates the cells; None if nothing does: one column, or JSON Lines."""
        return self._reader.delimiter

    @property
    def header(self) -> bytes:
        """The header as it stands in the file, in UTF-8: the top of a file of rejects."""
        return self._reader.header

    def chunks(self, size: int = CHUNK) -> Generator[Chunk, None, None]:
        """One pass over all rows, *size* at a time, good and bad together. Blocks.

        A bad row is a reject, never an exception.

        Raises:
            WrongInput: the file as a whole is at fault: not in its encoding, without any row,
                changed since ``open_table``, or it cannot be read. Chunks that came before do
                not count then.
        """
        empty = True
        with closing(self._source.blocks()) as blocks:
            items = self._reader.read(self._lines(blocks), self._reread)
            while batch := self._take(items, size):
                empty = False
                rows = [item for item in batch if isinstance(item, Row)]
                rejects = [item for item in batch if isinstance(item, Reject)]
                yield Chunk(rows, rejects, self._source.bytes_read)
        if empty:
            what = "is empty" if self.columns is None else "has a header but no rows"
            raise WrongInput(
                f"{self.display} {what}", how="write one row for each prompt and try again"
            )

    def digest(self) -> str:
        """SHA-256, in hex, over exactly the bytes that the latest pass read.

        A pass that was closed early counts with what it had read: as much as another one that
        is closed behind the same row.

        Raises:
            ValueError: no pass has ended yet: a bug of the caller's.
        """
        return self._source.digest()

    def check_unchanged(self, digest: str | None = None) -> None:
        """Make sure that this is still the file that was opened: size, time of change, inode.

        *digest*: of an earlier pass; the latest must have read the same bytes.

        Raises:
            WrongInput: it changed while it was being read.
        """
        self._source.check_unchanged(digest)

    def _take(self, items: Iterator[Row | Reject], size: int) -> list[Row | Reject]:
        try:
            return list(islice(items, size))
        except UnicodeError:
            refuse_encoding(self._source, self.encoding)

    def _lines(self, blocks: Iterable[bytes]) -> _Lines:
        return split_lines(to_utf8(blocks, self.encoding))

    def _reread(self, offset: int, length: int) -> Iterator[bytes]:
        """*length* bytes from *offset* of the UTF-8 stream, read from the file once more."""
        with closing(self._source.read_again()) as blocks:
            for block in to_utf8(blocks, self.encoding):
                piece = block[offset : offset + length] if offset < len(block) else b""
                offset = max(0, offset - len(block))
                length -= len(piece)
                if piece:
                    yield piece
                if not length:
                    return

"""Blocks of bytes to lines, with a cap, so that one endless line cannot fill the memory.

LF, CR LF and a lone CR each end a line; all three may occur in one file.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

LINE_CAP: Final = 1024 * 1024
"""Bytes of UTF-8, line end included. No row may be longer (FAULTS.md §3, F39)."""

_HEAD: Final = 1000
"""Bytes kept of a line that is over the cap."""


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line over the cap that was passed by without being held."""

    offset: int
    """Bytes of the stream before it."""
    length: int
    """In bytes, line end included."""
    head: bytes
    """Its first bytes."""


def split_lines(blocks: Iterable[bytes]) -> Iterator[list[bytes] | Overlong]:
    """The lines of *blocks*, their ends kept: lists of them, and between these the overlong ones.

    No block may be empty or longer than the cap. At most the cap and one block are held.
    """
    rest = b""
    head = b""
    skipped = 0
    offset = 0
    for block in blocks:
        lines = (rest + block).splitlines(keepends=True)
        # A CR at the end of a block may be half of a CR LF, so its line waits for the next.
        rest = b"" if lines[-1].endswith(b"\n") else lines.pop()
        # Only the first can be overlong: the others lie within one block.
        if lines and (skipped or len(lines[0]) > LINE_CAP):
            length = skipped + len(lines[0])
            yield Overlong(offset, length, head or lines[0][:_HEAD])
            offset += length
            skipped, head = 0, b""
            del lines[0]
        if lines:
            offset += sum(map(len, lines))
            yield lines
        if skipped or len(rest) > LINE_CAP:
            head = head or rest[:_HEAD]
            kept = b"\r" if rest.endswith(b"\r") else b""
            skipped += len(rest) - len(kept)
            rest = kept
    if skipped:
        yield Overlong(offset, skipped + len(rest), head)
    elif rest:
        yield [rest]

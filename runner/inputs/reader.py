"""What each format has to offer, so that ``table`` knows no format but by its name."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from runner.errors import Problem
from runner.inputs.lines import LINE_CAP, Overlong
from runner.inputs.rows import Layout, Reject, Row

Reread = Callable[[int, int], Iterator[bytes]]
"""From an offset and a length in the UTF-8 stream to those bytes, in blocks."""

CAP_TEXT = f"{LINE_CAP // (1024 * 1024)} MiB"


class Reader(Layout, Protocol):
    """One file's way from text to rows. Its state is fixed when it is made: it may read twice."""

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The header, in order; None where each row brings its own names."""

    @property
    def delimiter(self) -> str | None:
        """What separates cells; None where nothing does."""

    @property
    def header(self) -> bytes:
        """The top of a file of rejects: the header as it stands; empty where there is none."""

    def read(
        self, blocks: Iterable[bytes], reread: Reread, before: int = 0
    ) -> Iterator[Row | Reject]:
        """All rows of the file, good and bad, in order.

        *blocks* are UTF-8 from the file's start, none of them empty or longer than the cap; rows
        are numbered from *before* + 1.
        """


def reject_overlong(
    overlong: Overlong, *, number: int, line: int, display: str, reread: Reread
) -> Reject:
    """The reject for a line over the cap."""
    message = f"the line has {overlong.length:,} bytes; a row may have {LINE_CAP:,} ({CAP_TEXT})"
    return Reject(
        number=number,
        line=line,
        problems=(Problem(display, line, 1, message),),
        raw=overlong.head,
        reread=lambda: reread(overlong.offset, overlong.length),
    )

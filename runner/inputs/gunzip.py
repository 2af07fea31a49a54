"""Unpacks gzip as it is read: neither a large file nor a bomb is ever held in memory.

A file may hold several members one after another, as `cat a.gz b.gz` makes them, and zeros behind
the last, as tapes do (RFC 1952 §2.2; the zeros as gzip itself takes them).
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from runner.errors import WrongInput

MAGIC: Final = b"\x1f\x8b"
"""What every gzip file begins with (RFC 1952 §2.3.1)."""

UNPACKED_BLOCK: Final = 256 * 1024
"""Most bytes yielded at a time."""

_GZIP: Final = 16 + zlib.MAX_WBITS


def gunzip(blocks: Iterable[bytes], display: str) -> Iterator[bytes]:
    """What *blocks* hold, unpacked, in blocks of at most ``UNPACKED_BLOCK``; none is empty.

    Nothing at all is nothing when unpacked.

    Raises:
        WrongInput: they are not gzip, are damaged, or end too soon.
    """
    member = zlib.decompressobj(_GZIP)
    offset = 0
    started = padding = False
    for block in blocks:
        # Only a whole file may be shorter than the magic; then it is cut off.
        if offset == 0 and not (block.startswith(MAGIC) or MAGIC.startswith(block)):
            raise _no_gzip(display)
        rest = block
        offset += len(block)
        while rest:
            if not started:
                rest = rest.lstrip(b"\0") if padding else rest
                if not rest:
                    break
                started = True
            try:
                if unpacked := member.decompress(rest, UNPACKED_BLOCK):
                    yield unpacked
            except zlib.error as error:
                raise _damaged(display, offset - len(rest), error) from error
            rest = member.unconsumed_tail
            if member.eof:
                rest = member.unused_data
                member, started, padding = zlib.decompressobj(_GZIP), False, True
    if started:
        raise WrongInput(
            f"{display} is cut off: its gzip data ends too soon",
            where=f"{display}, byte {offset}, its end",
            how="fetch or copy it again, and test it with: gzip -t",
        )


def _no_gzip(display: str) -> WrongInput:
    return WrongInput(
        f"{display} is called .gz, but is not compressed with gzip",
        where=f"{display}, byte 0",
        how="leave .gz out of its name if it is plain text, or compress it with: gzip",
    )


def _damaged(display: str, offset: int, error: zlib.error) -> WrongInput:
    return WrongInput(
        f"{display} is damaged: its gzip data cannot be unpacked",
        where=f"{display}, at or behind byte {offset}",
        why=str(error).rpartition(": ")[2],
        how="fetch or copy it again, and test it with: gzip -t",
    )

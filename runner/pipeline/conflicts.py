"""Finds rows of one input that bear the same key but ask something different.

Every row has to be compared with all before it, and memory must not grow with the input: keys are
dealt into buckets that spill to temporary files, and each bucket is small enough to be looked
through by itself.
"""

import hashlib
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Final, Self

from runner.rows import InputRow

_BUCKETS: Final = 64
_IN_MEMORY: Final = 64 * 1024
_RECORD: Final = struct.Struct(">16s16sQQI")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row that asks something else under a key that another row had first."""

    position: int
    line: int
    asks: int
    """How many requests it stands for."""
    first_position: int
    first_line: int


class ConflictFinder:
    """Collects the rows of one input; a context manager, because of its files."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._buckets: list[SpooledTemporaryFile[bytes]] = []

    def __enter__(self) -> Self:
        for _ in range(_BUCKETS):
            bucket = self._open.enter_context(SpooledTemporaryFile(max_size=_IN_MEMORY))
            self._buckets.append(bucket)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def add(self, row: InputRow) -> None:
        """Take note of *row*; rows come in the order of the input."""
        bodies = b"".join([ask.body for ask in row.asks])
        asked = hashlib.blake2b(bodies, digest_size=16).digest()
        self._buckets[row.key[0] % _BUCKETS].write(
            _RECORD.pack(row.key, asked, row.position, row.line, len(row.asks))
        )

    def conflicts(self) -> Iterator[Conflict]:
        """Every row that contradicts the first one of its key."""
        for bucket in self._buckets:
            bucket.seek(0)
            first: dict[bytes, tuple[bytes, int, int]] = {}
            for key, asked, position, line, asks in _RECORD.iter_unpack(bucket.read()):
                first_asked, *before = first.setdefault(key, (asked, position, line))
                if asked != first_asked:
                    yield Conflict(position, line, asks, *before)

"""Bytes that can be read from their start as often as wanted, and known again by their digest.

    origin ─▶ bytes as they lie (digest) ─▶ unpacked, where they are gzip ─▶ blocks

What a file or standard input has to add is how its bytes are read, and whether they are still the
same ones.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

from runner.errors import WrongInput
from runner.inputs.gunzip import gunzip

BLOCK: Final = 256 * 1024
"""Bytes read at a time."""


class Origin(ABC):
    """Where a prompt set's bytes come from."""

    def __init__(self, path: Path, display: str, *, packed: bool) -> None:
        """*packed*: the bytes are gzip, and ``blocks`` unpacks them."""
        self.path = path
        self.display = display
        self.packed = packed
        self.bytes_read = 0
        """Of the present or latest pass, as they lie: packed bytes count as such."""
        self._digest: str | None = None

    @property
    @abstractmethod
    def size(self) -> int:
        """Bytes as they lay when this was made."""

    @abstractmethod
    def _as_they_lie(self) -> Generator[bytes, None, None]:
        """One pass over the bytes, in blocks of at most ``BLOCK``.

        Raises:
            WrongInput: they changed since this was made, or cannot be read.
        """

    @abstractmethod
    def _compare_now(self) -> None:
        """Compare what is there now with what was there at first.

        Raises:
            WrongInput: it is something else.
        """

    def blocks(self) -> Generator[bytes, None, None]:
        """One pass over the bytes; when it is over or closed, ``digest`` is known.

        Raises:
            WrongInput: they changed since this was made, are damaged, or cannot be read.
        """
        self._digest = None
        self.bytes_read = 0
        seen = hashlib.sha256()

        def note(block: bytes) -> None:
            seen.update(block)
            self.bytes_read += len(block)

        try:
            yield from self._unpacked(note)
        finally:
            self._digest = seen.hexdigest()

    def read_again(self) -> Generator[bytes, None, None]:
        """As ``blocks``, for a second look: leaves digest and ``bytes_read`` alone."""
        yield from self._unpacked(lambda _: None)

    def digest(self) -> str:
        """SHA-256, in hex, over exactly the bytes that the latest pass read, as they lie.

        Raises:
            ValueError: no pass is over yet: a bug of the caller's.
        """
        if self._digest is None:
            raise ValueError(f"{self.display}: a digest needs a pass that has ended")
        return self._digest

    def check_unchanged(self, digest: str | None = None) -> None:
        """Compare what is there with what was at first; with *digest*, also the latest pass.

        Raises:
            WrongInput: it is something else now.
        """
        self._compare_now()
        if digest is not None and digest != self.digest():
            raise changed(self.display)

    def _unpacked(self, note: Callable[[bytes], None]) -> Generator[bytes, None, None]:
        with closing(self._as_they_lie()) as raw:
            yield from gunzip(_noted(raw, note), self.display) if self.packed else _noted(raw, note)


def _noted(blocks: Iterable[bytes], note: Callable[[bytes], None]) -> Generator[bytes, None, None]:
    for block in blocks:
        note(block)
        yield block


def changed(display: str) -> WrongInput:
    """What there is to say of a file that is not what it was."""
    return WrongInput(
        f"{display} changed while it was being read",
        how="wait until nothing writes to it any more, then give the same command again",
    )

"""The newest batch's number in a small file beside the store: what an older copy of it lacks.

    STORE.newest    <install 8> <newest batch, 19 digits>
                    <install 8>      a line for each store that stood here before, and has posted

Made before anything is loaded, with the batch 0. Written before an intent is durable, so it is
never behind what may have left, with a ``?`` in front of the number; once it is durable, and before
anything leaves, that becomes a space. A crash in between leaves a number that was never sent, and
is not taken for one. It is not synced for each batch: after a power cut it may be behind the store,
which says nothing, and an older copy would have to be put back in the same minute to go unseen.
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, Self

from runner.store.values import StoreUnwritable

_LINE: Final = re.compile(rb"([a-z2-7]{8})([ ?])(\d{19})\n")
_LENGTH: Final = 29
_INSTALL_ENDS: Final = 8
_SENT: Final = b" "
_MAYBE: Final = b"?"
_BEFORE: Final = re.compile(rb"^([a-z2-7]{8})$", re.MULTILINE)
_LONGEST: Final = 64 * 1024


class Mark:
    """The side file of one store, held open by its engine."""

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file
        self._install = ""
        self._intended = 0
        # An intent is written by the store's thread, and confirmed by the engine's.
        self._lock = Lock()

    @classmethod
    def beside(cls, store: Path) -> Self:
        """Open the side file of *store*; it is made, empty, if there is none.

        Raises:
            StoreUnwritable: it cannot be opened.
        """
        path = _beside(store)
        try:
            return cls(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise _unwritable(path, error) from error

    @classmethod
    def to_look(cls, store: Path) -> Self | None:
        """Open the side file of *store* for ``read`` and ``before`` alone; None if there is none.

        Raises:
            StoreUnwritable: it cannot be opened.
        """
        path = _beside(store)
        try:
            return cls(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unwritable(path, error, "read") from error

    def read(self) -> tuple[str, int] | None:
        """The install and the newest batch that was sent, or about to be; None if the file says
        nothing.

        Raises:
            StoreUnwritable: it cannot be read just now.
        """
        found = _LINE.fullmatch(self._pread(_LENGTH, 0))
        if found is None:
            return None
        return found[1].decode(), int(found[3]) - (found[2] == _MAYBE)

    def before(self) -> list[str]:
        """The installs that have posted here before that one.

        Raises:
            StoreUnwritable: it cannot be read just now.
        """
        return [each.decode() for each in _BEFORE.findall(self._pread(_LONGEST, _LENGTH))]

    def _pread(self, length: int, offset: int) -> bytes:
        try:
            return os.pread(self._file, length, offset)
        except OSError as error:
            raise _unwritable(self._path, error, "read") from error

    def write(self, install: str, batch: int) -> None:
        """The store knows all up to *batch*.

        Raises:
            StoreUnwritable: it could not be written, so nothing may be sent.
        """
        self._write(install, batch, _SENT)

    def intend(self, install: str, batch: int) -> None:
        """The intent of *batch* is about to be durable.

        Raises:
            StoreUnwritable: as ``write``.
        """
        self._write(install, batch, _MAYBE)

    def confirm(self, batch: int) -> None:
        """The intent of *batch* is durable: it is sent from now on, even if this cannot be written.
        The next intent, which must be, tells it too."""
        with self._lock, suppress(StoreUnwritable):
            if batch == self._intended:
                self._put(_SENT, _INSTALL_ENDS)

    def _write(self, install: str, batch: int, sent: bytes) -> None:
        with self._lock:
            try:
                if install != self._install:
                    self._keep(install)
            except OSError as error:
                raise _unwritable(self._path, error) from error
            # In place and of one length: needs no room on the disk, and is never half new.
            self._put(install.encode() + sent + f"{batch:019}\n".encode(), 0)
            self._intended = batch

    def _put(self, text: bytes, at: int) -> None:
        try:
            os.pwrite(self._file, text, at)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def _keep(self, install: str) -> None:
        """Another install than *install* that has posted stays known."""
        whose, batch = self.read() or (install, 0)
        if whose != install and batch and whose not in self.before():
            os.pwrite(self._file, f"{whose}\n".encode(), os.fstat(self._file).st_size)
        self._install = install

    def close(self) -> None:
        os.close(self._file)


def _beside(store: Path) -> Path:
    path = store.resolve()
    return path.with_name(f"{path.name}.newest")


def _unwritable(path: Path, error: OSError, done: str = "written") -> StoreUnwritable:
    return StoreUnwritable(f"{path} cannot be {done}: {error.strerror or error}")

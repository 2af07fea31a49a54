"""The file itself: opened safely, read in blocks, and known again by its stamp.

A file is read more than once (all of it is validated before any of it is loaded), so each pass has
to notice when it is not the same file any more (FAULTS.md §3, F43).
"""

import difflib
import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from runner.errors import WrongInput
from runner.inputs.origin import BLOCK, Origin, changed

_KINDS: Final = (
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells a file from another, or from itself before an edit, without reading it."""

    size: int
    mtime_ns: int
    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


class Source(Origin):
    """A regular file that is read from its start, once or several times."""

    def __init__(self, path: Path, display: str, *, packed: bool = False) -> None:
        """Look at the file, without reading it.

        Raises:
            WrongInput: there is none, it may not be read, or it is no regular file.
        """
        super().__init__(path, display, packed=packed)
        with self._open() as file:
            self.stamp = Stamp.of(os.fstat(file.fileno()))

    @property
    def size(self) -> int:
        return self.stamp.size

    def _as_they_lie(self) -> Generator[bytes, None, None]:
        with self._open() as file:
            self._compare(os.fstat(file.fileno()))
            while block := self._read(file):
                yield block
            self._compare(os.fstat(file.fileno()))
        self._compare_now()

    def _compare_now(self) -> None:
        try:
            status = os.stat(self.path)
        except OSError:
            raise changed(self.display) from None
        self._compare(status)

    def _compare(self, status: os.stat_result) -> None:
        if Stamp.of(status) != self.stamp:
            raise changed(self.display)

    def _read(self, file: BinaryIO) -> bytes:
        try:
            return file.read(BLOCK)
        except OSError as error:
            raise WrongInput(
                f"{self.display} cannot be read: {error.strerror}",
                how="check the disk it lies on, or copy the file elsewhere and use the copy",
            ) from error

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        try:
            _refuse_other_kinds(os.stat(self.path), self.display)
            # Not blocking: what was a file a moment ago may be a pipe by now, and opening a
            # pipe waits for its writer.
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self.path, flags)
        except (OSError, ValueError) as error:
            raise _cannot_open(self.path, self.display, error) from error
        with open(descriptor, "rb", buffering=0) as file:
            _refuse_other_kinds(os.fstat(descriptor), self.display)
            yield file


def _refuse_other_kinds(status: os.stat_result, display: str) -> None:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise WrongInput(
            f"{display} is a folder, not a file", how="name one of the files that are in it"
        )
    kind = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "no regular file")
    raise WrongInput(
        f"{display} is {kind}, not a file",
        why="a prompt set is read twice: all of it is checked before any of it is loaded",
        how=f"write it to a file first (cat {display} > prompts.csv) and name that",
    )


def _cannot_open(path: Path, display: str, error: OSError | ValueError) -> WrongInput:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.ENOENT:
        return _missing(path, display)
    if code == errno.ELOOP:
        return WrongInput(
            f"{display} is a symbolic link that leads back to itself",
            how=f"look where it leads (ls -l {display}) and name the file itself",
        )
    if code in (errno.EACCES, errno.EPERM):
        return WrongInput(
            f"{display} may not be read by this user",
            how=f"look at its rights and those of its folder: ls -ld {display} {path.parent}",
        )
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return WrongInput(f"{display!r} cannot be opened: {reason}", how="check the name of the file")


def _missing(path: Path, display: str) -> WrongInput:
    if path.is_symlink():
        return WrongInput(
            f"{display} is a symbolic link to {path.readlink()}, which does not exist",
            how="name a file that exists",
        )
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return WrongInput(
            f"no such file: {display}",
            why=f"its folder, {path.parent}, cannot be listed either",
            how="name a file that exists",
        )
    near = difflib.get_close_matches(path.name, names, n=1)
    why = f"did you mean {path.with_name(near[0])}?" if near else None
    return WrongInput(f"no such file: {display}", why=why, how="name a file that exists")

"""Output files that are never half there, and never somebody else's.

    .runner-export-….part ── written, synced ──▶ fingerprint noted ──▶ renamed to demo.csv
                                                 .runner-exports.json

The note in the same folder tells our own earlier file, which may be replaced, from any other, which
is replaced only by force: a file is ours as long as it holds, to the byte, what a job wrote there
(size and SHA-256), so an edited one is not. The note names the new content before the rename and
keeps that of the file it replaces: whichever of the two a ``kill -9`` leaves is known as ours. It
stands in the folder and not in the store, because a store may be thrown away and its exports not.

A part is locked while its writer lives; one that is not locked is left over, and the next export
removes it. Files are 0600, or as a person made the file that is replaced. Where there are no POSIX
locks, two exports into one folder at the same moment may need force the next time.
"""

import errno
import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from runner.errors import RunnerError, TryLater, WrongInput
from runner.failpoints import Point, hit

if sys.platform != "win32":
    import fcntl

NOTE: Final = ".runner-exports.json"
_SCHEMA: Final = "runner.exports/1"
_PART: Final = (".runner-export-", ".part")

_PASSING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE})
"""Errors of the disk that may be gone another time."""


class _Print(msgspec.Struct, frozen=True):
    """What tells a file of ours."""

    job: str
    bytes: int
    sha256: str


class _Note(msgspec.Struct):
    """The contents of ``NOTE``."""

    schema: str = _SCHEMA
    files: dict[str, list[_Print]] = msgspec.field(default_factory=dict)
    """By file name: what was written there, newest first."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """A file that is to be replaced."""

    seen: tuple[int, ...]
    """Changes when the file does."""
    ours: _Print | None
    mode: int


class Unwritable(WrongInput):
    """The file system refuses the file, whatever is said to it."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished file."""

    path: Path
    rows: int
    """Without the header."""
    bytes: int


class OutputFile:
    """One file, written aside and put in place as a whole. For one thread at a time."""

    def __init__(self, path: Path, *, job: str, force: bool) -> None:
        self._path = path
        self._job = job
        self._force = force
        self._standing: _Standing | None = None
        self._file: BinaryIO | None = None
        self._part = path
        self._size = 0
        self._hash = hashlib.sha256()

    def begin(self) -> None:
        """See that the file may be written, and open a part for it; makes the folder.

        Raises:
            WrongInput: it may not, or cannot.
            TryLater: the disk is full or failing.
        """
        folder = self._path.parent
        with _told(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            with _alone(folder):
                self._standing = self._look()
                _remove_leftovers(folder)
                handle, part = tempfile.mkstemp(prefix=_PART[0], suffix=_PART[1], dir=folder)
                self._part = Path(part)
                self._file = os.fdopen(handle, "wb")
                _lock(handle)

    def write(self, data: bytes) -> None:
        """Add *data*.

        Raises:
            TryLater: the disk is full or failing.
        """
        with _told(self._path):
            self._opened().write(data)
        self._hash.update(data)
        self._size += len(data)

    def publish(self, rows: int) -> Exported:
        """Put the file in place; *rows* is only passed on.

        Raises:
            WrongInput: meanwhile something stands there that is not ours.
            TryLater: the disk is full or failing.
        """
        file = self._opened()
        folder = self._path.parent
        with _told(self._path):
            file.flush()
            os.fsync(file.fileno())
            with _alone(folder):
                if _seen(self._path) != (self._standing and self._standing.seen):
                    self._standing = self._look()
                hit(Point.EXPORT_WRITTEN)
                self._note_down()
                hit(Point.EXPORT_NOTED)
                if self._standing and self._standing.ours:
                    self._part.chmod(self._standing.mode)
                # Elsewhere than on POSIX an open file cannot be renamed.
                file.close()
                self._part.replace(self._path)
                hit(Point.EXPORT_RENAMED)
        self._file = None
        return Exported(self._path, rows, self._size)

    def discard(self) -> None:
        """Drop what is not in place; does nothing after ``publish``."""
        if self._file is None:
            return
        # Closing writes out what is buffered, which fails once more on a full disk.
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._part.unlink(missing_ok=True)
        self._file = None

    def _opened(self) -> BinaryIO:
        if self._file is None:
            raise RuntimeError("the file was not begun, or is finished")
        return self._file

    def _look(self) -> _Standing | None:
        """What stands where the file shall be, if it may be replaced."""
        seen = _seen(self._path)
        if seen is None:
            return None
        mode = seen[0]
        if stat.S_ISDIR(mode):
            raise WrongInput(f"{self._path} is a folder", how="name a file: -o FILE")
        if not stat.S_ISREG(mode) and not (stat.S_ISLNK(mode) and _leads_to_a_file(self._path)):
            raise WrongInput(f"{self._path} is no plain file", how="write to a pipe with -o -")
        ours = self._own() if stat.S_ISREG(mode) else None
        if ours is None and not self._force:
            what = (
                "exists, and is not an earlier export of this job as it was written"
                if stat.S_ISREG(mode)
                else "is a symbolic link"
            )
            raise WrongInput(
                f"{self._path} {what}",
                how="move it away, name another file with -o, or overwrite it with --force",
            )
        return _Standing(seen, ours, stat.S_IMODE(mode))

    def _own(self) -> _Print | None:
        """The fingerprint of the file that stands there, if this job wrote it so."""
        known = _read_note(self._path.parent).files.get(self._path.name, [])
        size = self._path.lstat().st_size
        candidates = [each for each in known if each.job == self._job and each.bytes == size]
        if not candidates:
            return None
        with self._path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        return next((each for each in candidates if each.sha256 == found), None)

    def _note_down(self) -> None:
        note = _read_note(self._path.parent)
        prints = [_Print(self._job, self._size, self._hash.hexdigest())]
        if self._standing and self._standing.ours:
            prints.append(self._standing.ours)
        note.files[self._path.name] = prints
        _write_note(self._path.parent, note)


def _seen(path: Path) -> tuple[int, ...] | None:
    """What tells whether the thing at *path* changed, its mode first; None if nothing is there."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns


def _leads_to_a_file(link: Path) -> bool:
    # /dev/stdout is a link as well, and must survive --force.
    return link.is_file() or not link.exists()


def _read_note(folder: Path) -> _Note:
    """Nothing is known as ours where the note is missing or broken."""
    try:
        return msgspec.json.decode((folder / NOTE).read_bytes(), type=_Note)
    except (FileNotFoundError, msgspec.DecodeError):
        return _Note()


def _write_note(folder: Path, note: _Note) -> None:
    handle, part = tempfile.mkstemp(prefix=_PART[0], suffix=_PART[1], dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(note), indent=1) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(folder / NOTE)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _remove_leftovers(folder: Path) -> None:
    for part in folder.glob("*".join(_PART)):
        with suppress(OSError):
            if _is_left_over(part):
                part.unlink()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say what an error of the file system means for *path*."""
    try:
        yield
    except OSError as error:
        raise _in_words(path, error) from error


def _in_words(path: Path, error: OSError) -> RunnerError:
    if error.errno in _PASSING:
        return TryLater(
            f"{path} was not written: {error.strerror}",
            why="an earlier export there is as it was; answers that the store could not save are "
            "asked for again, free of charge",
            how="make room, then: runner export",
        )
    return Unwritable(
        f"{path} cannot be written: {error.strerror}",
        where=str(error.filename) if error.filename else None,
        how="name a file in a folder that is writable: -o FILE",
    )


if sys.platform != "win32":

    @contextmanager
    def _alone(folder: Path) -> Iterator[None]:
        """No other export looks at the folder's note, or makes or removes parts, meanwhile."""
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # Some network file systems lock no folders: then the last one wins.
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _lock(handle: int) -> None:
        """Mark a part as being written, for as long as *handle* is open."""
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _is_left_over(part: Path) -> bool:
        handle = os.open(part, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        return True

else:

    @contextmanager
    def _alone(folder: Path) -> Iterator[None]:
        yield

    def _lock(handle: int) -> None:
        """An open file cannot be removed here: that is the mark."""

    def _is_left_over(part: Path) -> bool:
        return True

"""Where log lines go: a text stream, a file. A line leaves whole or not at all, ended by ``\\n``.

A log that cannot be written never stops the work: the tasks it would tell of are in the store.
"""

import os
import stat
from pathlib import Path
from typing import Protocol, TextIO

from runner.errors import WrongInput


class Sink(Protocol):
    """Takes lines."""

    def write(self, line: str) -> bool:
        """Write *line* and its end; False if that failed."""

    def close(self) -> None:
        """Let go of what was opened here."""


class StreamSink:
    """A stream that somebody else opened, such as stderr."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> bool:
        try:
            try:
                self._stream.write(f"{line}\n")
            except UnicodeEncodeError:
                encoding = self._stream.encoding or "ascii"
                known = line.encode(encoding, "backslashreplace").decode(encoding)
                self._stream.write(f"{known}\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            return False
        return True

    def close(self) -> None:
        """The stream stays open: it is not ours."""


class FileSink:
    """A file that lines are appended to, each with one system call; created 0600."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        try:
            self._fd: int | None = os.open(path, flags, 0o600)
        except OSError as error:
            folder = path.parent
            raise WrongInput(
                f"the log file cannot be opened: {error.strerror or error}",
                where=str(path),
                how=None if folder.is_dir() else f"mkdir -p {folder}",
            ) from error
        self._torn = _ends_within_a_line(self._fd)

    def write(self, line: str) -> bool:
        if self._fd is None:
            return False
        data = f"{line}\n".encode(errors="backslashreplace")
        # What an earlier crash or a full disk cut off must not run into this line.
        data = b"\n" + data if self._torn else data
        try:
            written = os.write(self._fd, data)
        except OSError:
            return False
        if written:
            self._torn = written < len(data)
        return written == len(data)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _ends_within_a_line(fd: int) -> bool:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return False
    return os.pread(fd, 1, status.st_size - 1) != b"\n"

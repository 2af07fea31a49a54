"""The file that `--skip-bad` writes: rejected rows as they came, ready to be mended and loaded."""

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from runner.errors import WrongInput
from runner.inputs.rows import Reject


def refuse_rejects_file(path: Path, source: Path) -> None:
    """See that the rejects of *source* may be written to *path*.

    Raises:
        WrongInput: it is a folder, lies in none that is there, or is the input itself.
    """
    if path.is_dir():
        raise WrongInput(f"--skip-bad {path} is a folder", how="name a file in it")
    if not path.parent.is_dir():
        raise WrongInput(f"--skip-bad {path}: there is no folder {path.parent}", how="create it")
    if path.exists() and source.exists() and path.samefile(source):
        raise WrongInput(
            f"--skip-bad {path} is the input itself",
            why="the rows that can be asked would be lost from it",
            how="name another file",
        )


class RejectsFile:
    """Written aside and renamed at the end, so that it is never half a file."""

    def __init__(self, path: Path, header: bytes) -> None:
        """*header* is the top of the file: a CSV's column names, nothing for JSON Lines.

        Raises:
            WrongInput: the file cannot be written there.
        """
        try:
            handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        except OSError as error:
            raise WrongInput(
                f"--skip-bad {path} cannot be written: {error.strerror}",
                how="name a file in a folder that exists and is writable",
            ) from error
        self._path = path
        self._aside = Path(aside)
        self._file = os.fdopen(handle, "wb")
        self._file.write(header)

    def write(self, reject: Reject) -> None:
        """Add one row."""
        for piece in reject.pieces():
            self._file.write(piece)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        whole = False
        try:
            self._file.close()
            if kind is None:
                self._aside.replace(self._path)
                whole = True
        finally:
            if not whole:
                self._aside.unlink(missing_ok=True)

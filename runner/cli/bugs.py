"""What nobody foresaw: a report file without secrets and without the value of any variable."""

import os
import platform
import sys
import traceback
from datetime import datetime
from pathlib import Path

from runner import __version__
from runner.cli.session import Session
from runner.clock import to_text
from runner.errors import RunnerError


class Bug(RunnerError):
    """Our mistake; ``exit_code`` is that of a bug."""


def report(session: Session, error: BaseException, argv: list[str]) -> Bug:
    """Write the report about *error* and return what to tell about it."""
    now = session.clock.now()
    settings = session.known_settings
    folder = (settings.workspace if settings else Path.cwd()) / "logs"
    text = session.voice.mask(_text(error, argv, now))
    name = f"bug-{now:%Y-%m-%dT%H%M%SZ}-{os.getpid()}.txt"
    try:
        folder.mkdir(exist_ok=True)
        path = folder / name
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        path.chmod(0o600)
        where = f"report written to {path} (secrets removed)"
    except OSError as trouble:
        session.voice.raw(text)
        where = f"the report could not be written to {folder}: {trouble.strerror}; it stands above"
    safe = f"; the tasks are safe in {settings.store_name}" if settings else ""
    return Bug(f"unexpected {type(error).__name__} in {_place(error)}{safe}", why=where)


def trace(error: BaseException) -> str:
    """Where *error* came from, without the value of any variable."""
    kept = traceback.TracebackException.from_exception(error, capture_locals=False)
    return "".join(kept.format())


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "runner" in Path(frame.filename).parts]
    if not ours:
        return "runner"
    last = ours[-1]
    parts = Path(last.filename).parts
    start = len(parts) - 1 - parts[::-1].index("runner")
    return f"{Path(*parts[start:])}:{last.lineno}"


def _text(error: BaseException, argv: list[str], now: datetime) -> str:
    return "\n".join(
        [
            f"runner {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"{to_text(now)}",
            f"command: {' '.join(['runner', *argv])}",
            f"encoding: {sys.getfilesystemencoding()}",
            "",
            trace(error),
        ]
    )

"""What one look came to."""

from dataclasses import dataclass
from enum import StrEnum

from runner.errors import CredentialsRefused, Exit, RunnerError, TryLater


class Level(StrEnum):
    """How much it matters for the night."""

    OK = "ok"
    WARN = "warn"
    """Worth a look; a run goes on all the same."""
    FAIL = "fail"
    """It will stop a run, or spoil what it brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """One word, for programs."""
    level: Level
    text: str
    how: str | None = None
    """What to do about it."""
    exit: Exit = Exit.SOME_FAILED
    """What a command ends with for it, if it failed."""


def fine(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, level=Level.OK, text=text)


def doubtful(check: str, text: str, how: str | None = None) -> Finding:
    """Worth a look."""
    return Finding(check=check, level=Level.WARN, text=text, how=how)


def wrong(check: str, text: str, how: str | None = None) -> Finding:
    """To be put right before the night."""
    return Finding(check=check, level=Level.FAIL, text=text, how=how)


def of_error(check: str, error: RunnerError) -> Finding:
    """What would stop a run with *error*."""
    text = error.what if error.why is None else f"{error.what}: {error.why}"
    exit = Exit.SOME_FAILED
    if isinstance(error, CredentialsRefused | TryLater):
        exit = error.exit_code
    return Finding(check=check, level=Level.FAIL, text=text, how=error.how, exit=exit)

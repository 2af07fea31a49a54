"""What can go wrong, sorted by what the caller does next, and the exit code of each.

A message has up to four parts: what happened, where, why if that is known, and how to go on
(a command to paste). No message ever carries a secret.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from errno import errorcode
from os import strerror
from typing import Final


class Exit(IntEnum):
    """How a command ended. `runner help exit-codes` prints this table."""

    DONE = 0
    """Everything asked for is done, or there was nothing to do."""
    SOME_FAILED = 1
    """More tasks failed than --max-failures allows, the only tasks left wait for a person's
    decision, or a check found a fault."""
    WRONG_INPUT = 2
    """Wrong flag, job file or input, and nothing was sent; or a store or folder is unusable."""
    NOT_FINISHED = 3
    """Tasks are still waiting; the next run picks them up."""
    MONEY = 4
    """Stopped by a budget, hold, balance or daily limit."""
    CREDENTIALS = 5
    """Credentials are missing or were refused."""
    BUG = 70
    """Our bug."""
    TRY_LATER = 75
    """Another engine holds the store, or the API was never reached."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; the state is saved."""
    TERMINATED = 143
    """Stopped by SIGTERM; the state is saved."""


_PRECEDENCE: Final = (
    Exit.BUG,
    Exit.INTERRUPTED,
    Exit.TERMINATED,
    Exit.WRONG_INPUT,
    Exit.CREDENTIALS,
    Exit.MONEY,
    Exit.TRY_LATER,
    Exit.NOT_FINISHED,
    Exit.SOME_FAILED,
    Exit.DONE,
)


def reason_of(error: OSError) -> str:
    """The system's own words for *error*; libraries put sentences around them that repeat where."""
    if error.errno is not None and error.errno in errorcode:
        return strerror(error.errno)
    return error.strerror or type(error).__name__


def gravest(codes: Iterable[Exit]) -> Exit:
    """The one code to end with when several apply."""
    return min(codes, key=_PRECEDENCE.index, default=Exit.DONE)


class RunnerError(Exception):
    """Something a person has to know about; ``exit_code`` is how the command ends."""

    exit_code: Exit = Exit.BUG

    def __init__(
        self, what: str, *, where: str | None = None, why: str | None = None, how: str | None = None
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.how = how

    def lines(self) -> list[str]:
        """The message as printed, without the leading ``error: ``."""
        text = [self.what]
        if self.where:
            text.append(f"  at {self.where}")
        if self.why:
            text.append(f"  {self.why}")
        if self.how:
            text.append(f"  go on with: {self.how}")
        return text


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file that a person wrote."""

    path: str
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


class WrongInput(RunnerError):
    """A flag, job file or input is wrong; nothing was sent."""

    exit_code = Exit.WRONG_INPUT

    def __init__(
        self,
        what: str,
        *,
        problems: Iterable[Problem] = (),
        where: str | None = None,
        why: str | None = None,
        how: str | None = None,
    ) -> None:
        super().__init__(what, where=where, why=why, how=how)
        self.problems = tuple(problems)
        """Each mistake with its place, all of one file at once."""


class CredentialsRefused(RunnerError):
    """Login or password is missing, or the API refuses them."""

    exit_code = Exit.CREDENTIALS


class MoneyStopped(RunnerError):
    """A budget, a hold, the balance or a daily limit stopped the run."""

    exit_code = Exit.MONEY


class TryLater(RunnerError):
    """Nothing is wrong with the tasks: the store is held by another engine, or nobody answers."""

    exit_code = Exit.TRY_LATER


class StoreBroken(RunnerError):
    """The store cannot be used safely: newer than this program, edited, corrupt, replaced."""

    exit_code = Exit.WRONG_INPUT

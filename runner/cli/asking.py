"""Asks before something is lost for good. Where nobody can answer, that is an error, never a guess.

--yes ......................... not asked
a terminal .................... asked on stderr, answered on stdin; anything but yes stops it
no terminal, or --no-input .... exit 2, at once, naming --yes
"""

import sys
from typing import TYPE_CHECKING

from runner.cli.layout import count
from runner.cli.session import Session
from runner.cli.terminal import fitted, is_terminal
from runner.errors import Exit, RunnerError, WrongInput
from runner.money import short

if TYPE_CHECKING:
    from runner.app import Spending


class Declined(RunnerError):
    """A person was asked and did not say yes: nothing was sent, as where nobody can be asked."""

    exit_code = Exit.WRONG_INPUT


def confirm(session: Session, doing: str) -> None:
    """Return if the person wants it done; *doing* says what: ``drop 900 queued tasks of brands``.

    Raises:
        WrongInput: there is nobody to ask, and ``--yes`` was not given.
        Declined: the answer is not yes.
    """
    if session.shared.yes:
        return
    if session.shared.no_input or not _somebody_there(session):
        raise WrongInput(
            f"this would {doing}; nobody can be asked whether to, so nothing was changed",
            why="--no-input was given" if session.shared.no_input else "there is no terminal",
            how="the same command with --yes, or with --dry-run to see what it would do",
        )
    if not _answered_yes(session, doing):
        raise Declined("not confirmed; nothing was changed")


def _answered_yes(session: Session, doing: str) -> bool:
    voice = session.voice
    voice.stderr.write(fitted(f"{voice.mask(doing)}? [y/N] ", voice.stderr.encoding))
    voice.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        # Ctrl-D leaves the cursor behind the question.
        voice.raw("")
    return answer.strip().lower() in {"y", "yes"}


def agree(session: Session, spending: "Spending") -> None:
    """Return if the person wants so much to be held or spent.

    Raises:
        WrongInput: there is nobody to ask, and ``--yes`` was not given.
        Declined: the answer is not yes.
    """
    if session.shared.yes:
        return
    run, queued = spending.run.name, f"{count(spending.tasks, 'task')} stay queued"
    cost = spending.cost
    expected = "unknown" if cost is None else short(cost.expected)
    doing = f"post {count(spending.tasks, 'task')} of {run}, holding {short(spending.hold)}"
    doing += f", expected cost {expected}"
    if cost is not None:
        doing += f" ({short(cost.low)} to {short(cost.high)})"
    elif spending.careful > spending.hold:
        doing += f", {short(spending.careful)} set aside"
    if session.shared.no_input or not _somebody_there(session):
        raise WrongInput(
            f"this would {doing}; nobody can be asked whether to, so nothing was sent",
            why="it is more than [limits] confirm_above_usd, and "
            + ("--no-input was given" if session.shared.no_input else "there is no terminal"),
            how=f"the same command with --yes ({queued}), or drop them: runner cancel {run}",
        )
    if not _answered_yes(session, doing):
        raise Declined(f"not confirmed; nothing was sent, {queued}", how=f"runner cancel {run}")


def _somebody_there(session: Session) -> bool:
    # None where the caller has closed it.
    return sys.stdin is not None and is_terminal(sys.stdin) and is_terminal(session.voice.stderr)

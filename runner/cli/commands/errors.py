"""``runner errors [RUN]``: what failed, why, and what to do about it."""

from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit


@verb("errors")
@run_argument
def command(session: Session, /, run: str | None) -> Exit:
    """Failures of RUN grouped by cause, with the API's words and a command to go on.

    Without RUN the newest run is taken.
    """
    from runner.cli.actions import errors

    return errors.errors(session, run)

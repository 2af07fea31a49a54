"""``runner status [RUN|JOB]``: where things stand."""

from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit


@verb("status")
@run_argument
def command(session: Session, /, run: str | None) -> Exit:
    """Where all runs stand, the newest last, or those of one job, or one run."""
    from runner.cli.actions import status

    return status.status(session, run)

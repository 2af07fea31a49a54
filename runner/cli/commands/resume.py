"""``runner resume [JOB|RUN]``: send again."""

from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit


@verb("resume")
@run_argument
def command(session: Session, /, run: str | None) -> Exit:
    """End the pause of RUN, of JOB, or, without either, of the whole store.

    It ends what `pause` with the same words began: a job or run that was paused on its own stays
    paused, and is named. A run that is under way goes on by itself; another is started with `run`.
    """
    from runner.cli.actions import pause

    return pause.resume(session, run)

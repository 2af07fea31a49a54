"""``runner pause [JOB|RUN]``: stop sending."""

import click

from runner.cli.session import Session
from runner.cli.until import Later, Until
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit


@verb("pause")
@run_argument
@click.option(
    "--until",
    type=Until(),
    metavar="WHEN",
    help="Send again from then on: 06:00, 90m, 2d, 2026-11-22 (UTC).",
)
@click.option("--reason", default="", metavar="TEXT", help="Shown wherever the pause is.")
def command(session: Session, /, run: str | None, until: Later | None, reason: str) -> Exit:
    """Post nothing more of RUN, of JOB, or, without either, of the whole store.

    A run that is under way stops posting at its next step; what was sent before is still collected.
    A job's pause holds for its later runs too. It lasts until `runner resume`, or --until.
    """
    from runner.cli.actions import pause

    return pause.pause(session, run, until, reason)

"""``runner cost [RUN|JOB]``: where the money went."""

import click

from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit


@verb("cost")
@run_argument
@click.option(
    "--by",
    type=click.Choice(["run", "job", "provider", "model", "day"]),
    help="A line for each; a day is a UTC day.",
)
def command(session: Session, /, run: str | None, by: str | None) -> Exit:
    """What was advanced, charged and refunded, and what is still held, of all runs or of RUN.

    Held money may still be charged; money at risk is of attempts of which nobody knows yet whether
    they were taken, or whose refund has not been seen.
    """
    from runner.cli.actions import cost

    return cost.cost(session, run, by)

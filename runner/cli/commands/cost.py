"""``runner cost [RUN|JOB]``: where the money went."""

import click

from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit


@verb("cost")
@run_argument
@click.option(
    "--by",
    type=click.Choice(["run", "job", "provider", "model", "account", "day"]),
    help="A line for each; a day is a UTC day.",
)
@click.option(
    "--reconcile",
    is_flag=True,
    help="Compare with the account's own listing first; end with 1 if it differs.",
)
def command(session: Session, /, run: str | None, by: str | None, reconcile: bool) -> Exit:
    """What was advanced, charged and refunded, and what is still held, of all runs or of RUN.

    Held money may still be charged; money at risk is of attempts of which nobody knows yet whether
    they were taken, or whose refund has not been seen. --reconcile makes the day's audit now: it
    lists the account's tasks of two days, which is free, opens an incident for what differs, and
    books what failed tasks cost in the end; those with money at risk are looked for in thirty days.
    """
    from runner.cli.actions import cost

    return cost.cost(session, run, by, reconcile=reconcile)

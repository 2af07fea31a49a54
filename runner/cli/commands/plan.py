"""``runner plan JOB``: tasks, calls, hold and cost, before anything is spent."""

from decimal import Decimal
from pathlib import Path
from typing import Unpack

import click

from runner.cli.kinds import Dollars
from runner.cli.session import Session
from runner.cli.verbs import COUNT, PATH, DataOptions, data_options, verb
from runner.errors import Exit


class PlanOptions(DataOptions):
    """The options of `plan`."""

    sample: int
    limit: int | None
    skip_bad: Path | None
    fresh: bool
    run: str | None
    changed: str | None
    budget: Decimal | None
    max_hold: Decimal | None


@verb("plan")
@click.argument(
    "job", metavar="JOB", help="A job file, a data file, or the name of a job in jobs/."
)
@click.option(
    "--sample",
    type=click.IntRange(0, 100),
    default=3,
    show_default=True,
    metavar="N",
    help="Show the first N prompts as they would be sent.",
)
@click.option("--limit", type=COUNT, metavar="N", help="Only the first N rows of the input.")
@click.option(
    "--skip-bad", type=PATH, metavar="FILE", help="Leave bad rows out, as run does; writes no FILE."
)
@click.option("--fresh", is_flag=True, help="As if in a new run: everything is asked anew.")
@click.option("--run", metavar="KEY", help="Of the run KEY instead of the current one.")
@click.option(
    "--changed",
    type=click.Choice(["ask", "keep"]),
    help="Tasks edited since they were asked: count them, or leave them out.",
)
@click.option("--budget", type=Dollars(), metavar="USD", help="Hard stop, instead of the job's.")
@click.option(
    "--max-hold", type=Dollars(), metavar="USD", help="Most to be held in advances at one time."
)
@data_options
def command(session: Session, /, job: str, **given: Unpack[PlanOptions]) -> Exit:
    """Show what running JOB now would send, hold and cost, and whether a limit would stop it: 4.

    Costs are estimated from earlier answers in this store, of the same model with the same search
    and reasoning; where there are none they are unknown. The input is checked row by row as `check`
    does; nothing is sent but one free call for the balance, and nothing is queued.
    """
    from runner.cli.actions import plan

    return plan.plan(session, job, given)

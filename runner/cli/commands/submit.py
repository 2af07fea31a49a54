"""``runner submit [JOB|RUN…]``: post what is pending, and leave."""

from decimal import Decimal
from typing import TypedDict, Unpack

import click

from runner.cli.kinds import Dollars
from runner.cli.session import Session
from runner.cli.verbs import COUNT, verb, wait_lock_option
from runner.errors import Exit


class SubmitOptions(TypedDict):
    """The options of `submit`."""

    limit: int | None
    budget: Decimal | None
    max_hold: Decimal | None
    wait_lock: float


@verb("submit")
@click.argument(
    "runs", metavar="[JOB|RUN]...", nargs=-1, help="Whose tasks; without any, everybody's."
)
@click.option("--limit", type=COUNT, metavar="N", help="Post at most N tasks.")
@click.option("--budget", type=Dollars(), metavar="USD", help="Hard stop, instead of the job's.")
@click.option(
    "--max-hold", type=Dollars(), metavar="USD", help="Most to be held in advances at one time."
)
@wait_lock_option
def command(session: Session, /, runs: tuple[str, ...], **given: Unpack[SubmitOptions]) -> Exit:
    """Post queued tasks, up to 100 a call, and leave without waiting for answers.

    Budgets are those of the runs' job files. Tasks that wait for a backoff are left: code 3.
    """
    from runner.cli.actions import steps

    return steps.submit(session, runs, given)

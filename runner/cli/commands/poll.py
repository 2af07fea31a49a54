"""``runner poll [RUN|JOB]``: fetch finished answers, and post nothing."""

from typing import TypedDict, Unpack

import click

from runner.cli.kinds import Duration
from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb, wait_lock_option
from runner.errors import Exit


class PollOptions(TypedDict):
    """The options of `poll`."""

    wait: float
    wait_lock: float


@verb("poll")
@run_argument
@click.option(
    "--wait",
    type=Duration(endless=True),
    default="0",
    show_default=True,
    help="How long to wait for answers; 0 takes what is there: 30s, 5m, 6h, 2d, forever.",
)
@wait_lock_option
def command(session: Session, /, run: str | None, **given: Unpack[PollOptions]) -> Exit:
    """Fetch answers and store them; nothing is posted, and no file is written.

    Answers of other runs that come in are stored too. Code 3 says that some are still to come.
    """
    from runner.cli.actions import steps

    return steps.poll(session, run, given)

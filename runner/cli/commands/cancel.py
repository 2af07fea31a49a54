"""``runner cancel [RUN|JOB]``: drop what was not sent yet."""

from typing import Unpack

import click

from runner.cli.selecting import Selectors, selector_options
from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit


class CancelOptions(Selectors):
    """The options of `cancel`."""

    dry_run: bool


@verb("cancel")
@run_argument
@selector_options()
@click.option("-n", "--dry-run", is_flag=True, help="Only count; nothing is changed.")
def command(session: Session, /, run: str | None, **given: Unpack[CancelOptions]) -> Exit:
    """Drop the queued tasks of RUN, or of all runs of JOB; without either, of the newest run.

    They are never asked in that run, and are no failures. What was sent cannot be recalled: it is
    billed, and its answers are collected and kept, but it is not sent again, whatever becomes of
    it; --limit and --state mean queued tasks alone. Asks before it does anything; without a
    terminal it needs --yes.
    """
    from runner.cli.actions import cancel

    return cancel.cancel(session, run, given)

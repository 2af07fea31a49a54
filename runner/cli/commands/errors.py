"""``runner errors [RUN]``: what failed, why, and what to do about it."""

from typing import Unpack

import click

from runner.cli.selecting import Selectors, selector_options
from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit


class ErrorsOptions(Selectors):
    """The options of `errors`."""

    rows: bool


@verb("errors")
@run_argument
@selector_options(but=["gone"])
@click.option("--rows", is_flag=True, help="List the tasks instead, as `runner tasks` does.")
def command(session: Session, /, run: str | None, **given: Unpack[ErrorsOptions]) -> Exit:
    """Failures of RUN grouped by cause, with the API's words and a command to go on.

    Without RUN the newest run is taken. --limit goes with --rows.
    """
    from runner.cli.actions import errors

    return errors.errors(session, run, given)

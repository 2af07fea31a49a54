"""``runner status [RUN|JOB]``: where things stand."""

from typing import TypedDict

import click

from runner.cli.kinds import Duration
from runner.cli.moments import When
from runner.cli.selecting import selector_options
from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit

BY_ITSELF = "auto"
"""``--watch`` without a number."""


class StatusOptions(TypedDict):
    """The options of `status`."""

    watch: float | None
    """Seconds between two looks; 0 leaves it to what the output is; None looks once."""
    since: When | None
    strict: bool


@verb("status")
@run_argument
@click.option(
    "--watch",
    is_flag=False,
    flag_value=BY_ITSELF,
    metavar="[SECONDS]",
    help="Look again every 2 s, or 60 s off a terminal, until all is finished or Ctrl-C.",
)
@selector_options("since")
@click.option("--strict", is_flag=True, help="End with 1 if a task failed or a row was rejected.")
def command(
    session: Session, /, run: str | None, watch: str | None, since: When | None, strict: bool
) -> Exit:
    """Where all runs stand, the newest last, or those of one job, or one run.

    --since leaves out runs that began before.
    """
    from runner.cli.actions import status

    every_s, run = _interval(watch, run)
    return status.status(session, run, {"watch": every_s, "since": since, "strict": strict})


def _interval(watch: str | None, run: str | None) -> tuple[float | None, str | None]:
    """The seconds of ``--watch``, and RUN, which may stand right behind ``--watch``.

    Raises:
        BadParameter: what stands there is neither.
    """
    if watch is None or watch == BY_ITSELF:
        return None if watch is None else 0.0, run
    plain = watch.isascii() and watch.replace(".", "", 1).isdigit()
    try:
        seconds = float(watch) if plain else Duration().convert(watch, None, None)
    except click.BadParameter:
        if run is None:
            return 0.0, watch
        raise
    if not 0 < seconds <= 86_400:
        raise click.BadParameter("--watch takes seconds, more than 0 and at most a day")
    return seconds, run

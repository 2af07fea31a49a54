"""``runner runs [JOB]``: the list of runs."""

from typing import Unpack

from runner.cli.selecting import Selectors, selector_options
from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit


@verb("runs")
@run_argument
@selector_options("of_job", "since", "until", "limit")
def command(session: Session, /, run: str | None, **given: Unpack[Selectors]) -> Exit:
    """List runs, the newest first: of JOB, of those that began in a time, or all.

    Off a terminal: a header, then lines of cells with tabs between them.
    """
    from runner.cli.actions import runs

    return runs.runs(session, run, given)

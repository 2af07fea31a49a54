"""``runner check JOB``: every mistake with its place, before anything is sent."""

from typing import Unpack

import click

from runner.cli.session import Session
from runner.cli.verbs import DataOptions, data_options, verb
from runner.errors import Exit


@verb("check")
@click.argument(
    "jobs", metavar="JOB...", nargs=-1, required=True, help="Job files, data files, names of jobs."
)
@data_options
def command(session: Session, /, jobs: tuple[str, ...], **given: Unpack[DataOptions]) -> Exit:
    """Validate job files and every row of their inputs. Nothing is sent and nothing is written.

    Each mistake is a line on stderr: PATH:LINE:COL: message.
    """
    from runner.cli.actions import check

    return check.check(session, jobs, given)

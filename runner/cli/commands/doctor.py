"""``runner doctor``: what can spoil a night, told the evening before."""

from typing import TypedDict, Unpack

import click

from runner.cli.session import Session
from runner.cli.verbs import verb
from runner.errors import Exit


class DoctorOptions(TypedDict):
    """The options of `doctor`."""

    job: tuple[str, ...]
    offline: bool


@verb("doctor")
@click.option(
    "--job",
    multiple=True,
    metavar="JOB",
    help="Look at JOB too: its file, every row of its input, its limits. May be repeated.",
)
@click.option("--offline", is_flag=True, help="Call nobody.")
def command(session: Session, /, **given: Unpack[DoctorOptions]) -> Exit:
    """Check everything that can spoil a night: the disk, the store, login and balance, the clock,
    the way of postbacks, what waits too long, and the jobs that are named.

    ✓ is fine; ! is worth a look, and a run goes on all the same; ✗ will stop a run or spoil what it
    brings, and the command ends with 1: with 5 if it is the login, with 75 if nobody answers. A
    store in a file is read whole, some seconds for a million tasks. Nothing is changed, and the
    calls are free.
    """
    from runner.cli.actions import doctor

    return doctor.doctor(session, given)

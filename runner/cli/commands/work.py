"""``runner work``: the engine as a daemon."""

from decimal import Decimal
from typing import Unpack

import click

from runner.cli.kinds import Dollars, Roles
from runner.cli.session import Session
from runner.cli.verbs import ListenOptions, listen_options, verb, wait_lock_option
from runner.errors import Exit
from runner.store.workers import Role

ROLES = tuple(str(role) for role in Role)


class WorkOptions(ListenOptions):
    """The options of `work`."""

    drain: bool
    role: frozenset[str]
    budget: Decimal | None
    max_hold: Decimal | None
    wait_lock: float


@verb("work")
@click.option("--drain", is_flag=True, help="End when nothing can be done any more.")
@click.option(
    "--role",
    type=Roles(ROLES),
    metavar="ROLES",
    default=frozenset(ROLES),
    help=f"What it does, with commas: {', '.join(ROLES)}. Default: all.",
)
@click.option("--budget", type=Dollars(), metavar="USD", help="Per run, instead of the jobs'.")
@click.option(
    "--max-hold", type=Dollars(), metavar="USD", help="Per run: most to be held in advances."
)
@wait_lock_option
@listen_options
def command(session: Session, /, **given: Unpack[WorkOptions]) -> Exit:
    """Post and collect everything in the store until stopped; what `load` adds is taken up.

    On a PostgreSQL store any number of them share the work, on any hosts, each with the roles that
    it is given: without `submit` and `live` it never posts. `runner workers` lists them.

    Ctrl-C or SIGTERM stops it politely. Under systemd (Type=notify) it says when it is ready.
    Results are in the store: `runner export` writes them.
    """
    from runner.cli.actions import work

    return work.work(session, given)

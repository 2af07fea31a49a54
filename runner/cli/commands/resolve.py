"""``runner resolve TASK``: a person decides what nobody else can."""

from typing import Unpack

import click

from runner.cli.kinds import TaskNumber
from runner.cli.selecting import Selectors, selector_options
from runner.cli.session import Session
from runner.cli.verbs import verb
from runner.errors import Exit

SELECTORS = ("of_run", "of_job", "provider", "model", "where", "tasks_from")


class ResolveOptions(Selectors):
    """The options of `resolve`."""

    adopt: str | None
    absent: bool
    pay_again: bool
    write_off: bool
    dry_run: bool


@verb("resolve")
@click.argument(
    "tasks",
    metavar="[TASK]...",
    type=TaskNumber(),
    nargs=-1,
    help="Their numbers, as `tasks` and `show` print them.",
)
@click.option("--adopt", metavar="ID", help="It is this task of the API's: collect its answer.")
@click.option("--absent", is_flag=True, help="They are not at the API: post them anew.")
@click.option(
    "--pay-again", is_flag=True, help="With --absent: even if they were paid for after all."
)
@click.option("--write-off", is_flag=True, help="Give them up; they are failed from then on.")
@selector_options(*SELECTORS)
@click.option("-n", "--dry-run", is_flag=True, help="Only tell; nothing is changed.")
def command(session: Session, /, tasks: tuple[int, ...], **given: Unpack[ResolveOptions]) -> Exit:
    """Decide about quarantined tasks: nobody can tell whether the API took them.

    Look for their tags (`runner show TASK`) in the API's own list of tasks. What is there is
    adopted by its id, which is believed only if the API does not show another tag for it. What is
    not there may be asked anew: if it was there after all, it is paid for twice, which --pay-again
    accepts. What is written off keeps its money at risk. Without TASK the other options choose.
    Asks before it does anything; without a terminal it needs --yes. Works beside an engine.
    """
    from runner.cli.actions import resolve

    return resolve.resolve(session, tasks, given)

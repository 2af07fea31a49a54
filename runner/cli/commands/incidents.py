"""``runner incidents``: where the API's records and ours differ."""

from typing import TypedDict, Unpack

import click

from runner.cli.session import Session
from runner.cli.verbs import verb
from runner.errors import Exit


class IncidentsOptions(TypedDict):
    """The options of `incidents`."""

    everything: bool
    close: tuple[int, ...]


@verb("incidents")
@click.option("--all", "everything", is_flag=True, help="Closed ones, too.")
@click.option(
    "--close",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="N",
    help="You have seen to this one: list it no more; may be repeated.",
)
def command(session: Session, /, **given: Unpack[IncidentsOptions]) -> Exit:
    """List what was paid for without use, and where else the API's records are not ours.

    double_charge: a second task at the API for one attempt, or one for an attempt that was taken
    for not sent. orphan: a task with a tag of this store's that is not in it. cost_differs: the
    API lists another cost than was booked; that of a failed task is booked with the incident.
    not_listed: the API took a task and does not list it. strange_reply: a reply to a post told of
    what was not in it, or that it held too many tasks. Amounts are what was paid without use, or by
    which the records differ. A closed incident is kept, and no sum changes.
    """
    from runner.cli.actions import incidents

    return incidents.incidents(session, given)

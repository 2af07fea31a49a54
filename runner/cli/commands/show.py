"""``runner show TASK``: everything about one task."""

from typing import TypedDict, Unpack

import click

from runner.cli.kinds import TaskNumber
from runner.cli.session import Session
from runner.cli.verbs import COUNT, verb
from runner.errors import Exit


class ShowOptions(TypedDict):
    """The options of `show`."""

    attempt: int | None
    prompt: bool
    answer: bool
    raw: bool


@verb("show")
@click.argument("task", type=TaskNumber(), help="Its number, as `tasks` and exports print it.")
@click.option("--attempt", type=COUNT, metavar="N", help="The answer or reply of this attempt.")
@click.option("--prompt", is_flag=True, help="Only the prompt.")
@click.option("--answer", is_flag=True, help="Only the answer.")
@click.option("--raw", is_flag=True, help="Only the API's reply, byte for byte.")
def command(session: Session, /, task: int, **given: Unpack[ShowOptions]) -> Exit:
    """Everything about one task: state, attempts with times and money, prompt, answer, sources.

    What a terminal would obey is written out, as \\x1b; --json and exports have every text exactly,
    --raw what the API sent.
    """
    from runner.cli.actions import show

    return show.show(session, task, given)

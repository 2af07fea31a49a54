"""``runner tasks [RUN|JOB]``: tasks one by one."""

from typing import Unpack

import click

from runner.cli.selecting import Selectors, selector_options
from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit


class TasksOptions(Selectors):
    """The options of `tasks`."""

    columns: str | None
    count: bool


@verb("tasks")
@run_argument
@selector_options()
@click.option(
    "--columns",
    metavar="NAME,…",
    help="Only these columns: ours, as --json names them, or columns of the input.",
)
@click.option("--count", is_flag=True, help="Only say how many there are.")
def command(session: Session, /, run: str | None, **given: Unpack[TasksOptions]) -> Exit:
    """List tasks of RUN, of JOB's runs, or of all runs; `show` takes a number from the list.

    All selectors must hold; values of one that is repeated are alternatives. An age counts from
    the latest thing that happened to the task.

    Off a terminal there is a header, then a line for each task, cells with tabs between them; what
    would end a cell or move a cursor is written out. With --json each line is a document.
    """
    from runner.cli.actions import tasks

    return tasks.tasks(session, run, given)

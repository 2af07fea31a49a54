"""``runner export [RUN|JOB]``: results as files."""

from typing import Unpack

import click

from runner.cli.selecting import Selectors, selector_options
from runner.cli.session import Session
from runner.cli.verbs import run_argument, verb
from runner.errors import Exit


class ExportOptions(Selectors):
    """The options of `export`."""

    output: str | None
    format: tuple[str, ...]
    raw_cells: bool
    force: bool


@verb("export")
@run_argument
@click.option("-o", "--output", metavar="FILE|-", help="One file, or - for stdout.")
@click.option(
    "--format",
    type=click.Choice(["csv", "jsonl"]),
    multiple=True,
    help="Default: by the name of FILE; csv with -o -; without -o what the job says.",
)
@selector_options(but=["gone", "limit"])
@click.option("--raw-cells", is_flag=True, help="Leave CSV cells that look like formulas.")
@click.option("--force", is_flag=True, help="Overwrite a file that is no earlier export.")
def command(session: Session, /, run: str | None, **given: Unpack[ExportOptions]) -> Exit:
    """Write the results of RUN, or of the newest run: a line for each row, target and sample.

    Failures are in it; selectors leave out all other tasks. Your own columns come first. Without
    -o the files go where the job says. A file appears whole or not at all, and only an earlier
    export of the same job is overwritten.
    """
    from runner.cli.actions import export

    return export.export(session, run, given)

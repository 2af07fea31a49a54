"""``runner load JOB|FILE``: prompts into the queue, and nothing else."""

from pathlib import Path
from typing import Unpack

import click

from runner.cli.session import Session
from runner.cli.verbs import COUNT, PATH, DataOptions, data_options, verb
from runner.errors import Exit


class LoadOptions(DataOptions):
    """The options of `load`."""

    limit: int | None
    fresh: bool
    pay_again: bool
    skip_bad: Path | None
    changed: str | None
    trust_docs: bool
    dry_run: bool


@verb("load")
@click.argument("job", help="A job file, a data file, or the name of a job in jobs/.")
@click.option("--limit", type=COUNT, metavar="N", help="Only the first N rows of the input.")
@click.option("--fresh", is_flag=True, help="Start a new run: everything is asked, and paid, anew.")
@click.option(
    "--pay-again",
    is_flag=True,
    help="With --fresh, though the newest is unfinished; or though a target looks renamed.",
)
@click.option(
    "--skip-bad", type=PATH, metavar="FILE", help="Write bad rows to FILE and load the others."
)
@click.option(
    "--changed",
    type=click.Choice(["ask", "keep"]),
    help="Tasks edited since they were asked: ask them again, or keep the answers.",
)
@click.option(
    "--trust-docs",
    is_flag=True,
    help="Ask a Gemini model by Standard though the list of models says that it cannot be.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only count; nothing is kept.")
@data_options
def command(session: Session, /, job: str, **given: Unpack[LoadOptions]) -> Exit:
    """Put what is new in JOB into the queue and send nothing.

    The whole input is checked first: with one bad row nothing is loaded. A `runner work` or `runner
    submit` posts it. Loading the same input again adds nothing. New models are looked up, a free
    call a day: one that does not exist, or cannot do what is asked of it, is refused.
    """
    from runner.cli.actions import load

    return load.load(session, job, given)

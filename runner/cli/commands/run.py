"""``runner run JOB``: the one command for cron and campaigns."""

from pathlib import Path
from typing import Unpack

import click

from runner.cli.session import Session
from runner.cli.verbs import (
    COUNT,
    PATH,
    DataOptions,
    ListenOptions,
    SendingOptions,
    data_options,
    listen_options,
    sending_options,
    verb,
)
from runner.errors import Exit


class RunOptions(DataOptions, SendingOptions, ListenOptions):
    """The options of `run`."""

    limit: int | None
    fresh: bool
    pay_again: bool
    run: str | None
    skip_bad: Path | None
    changed: str | None
    trust_docs: bool
    dry_run: bool


@verb("run")
@click.argument(
    "jobs",
    metavar="JOB...",
    nargs=-1,
    required=True,
    help="A job file, a data file, or the name of a job in jobs/; several start together.",
)
@click.option("--limit", type=COUNT, metavar="N", help="Only the first N rows of the input.")
@click.option("--fresh", is_flag=True, help="Start a new run: everything is asked, and paid, anew.")
@click.option(
    "--pay-again",
    is_flag=True,
    help="With --fresh, though the newest is unfinished; or though a target looks renamed.",
)
@click.option("--run", metavar="KEY", help="Go on with the run KEY instead of the current one.")
@click.option(
    "--skip-bad", type=PATH, metavar="FILE", help="Write bad rows to FILE and ask the others."
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
@click.option("-n", "--dry-run", is_flag=True, help="Only count; nothing is sent or kept.")
@sending_options
@listen_options
@data_options
def command(session: Session, /, jobs: tuple[str, ...], **given: Unpack[RunOptions]) -> Exit:
    """Load what is new in each JOB, send it, collect the answers, export them.

    A data file (.csv, .jsonl) needs --provider and --model. Starting the same command again
    continues it: what was asked is not asked again, and not paid again. Models that do not exist,
    or cannot do what is asked of them, are refused before anything is queued.
    """
    from runner.cli.actions import run

    return run.run(session, jobs, given)

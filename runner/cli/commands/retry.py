"""``runner retry [RUN]``: send failed tasks again."""

from typing import Unpack

import click

from runner.cli.selecting import Selectors, selector_options
from runner.cli.session import Session
from runner.cli.verbs import (
    SendingOptions,
    run_argument,
    sending_options,
    verb,
)
from runner.errors import Exit


class RetryOptions(Selectors, SendingOptions):
    """The options of `retry`."""

    job: str | None
    pay_again: bool
    dry_run: bool


@verb("retry")
@run_argument
@click.option(
    "--error",
    type=click.IntRange(10_000, 99_999),
    multiple=True,
    metavar="CODE",
    help="Only failures with this code of the API, refused ones too; may be repeated.",
)
@click.option(
    "--pay-again",
    is_flag=True,
    help="Also what may have been paid for already: expired, answer lost, written off.",
)
@selector_options("provider", "model", "since", "until", "where", "tasks_from", "limit")
@click.option("--job", metavar="JOB", help="The run's job file, if it is not where it was.")
@click.option("-n", "--dry-run", is_flag=True, help="Only count; nothing is sent or changed.")
@sending_options
def command(session: Session, /, run: str | None, **given: Unpack[RetryOptions]) -> Exit:
    """Send failed tasks of RUN again, then go on as `run` does.

    Taken are tasks that the API accepted and then failed, or did not answer in 72 hours. What it
    refused is taken only with --error, as it would be refused again. Without RUN the newest run is
    taken. Earlier attempts stay on record; run it twice, and nothing is sent twice.
    """
    from runner.cli.actions import retry

    return retry.retry(session, run, given)

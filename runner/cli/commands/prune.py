"""``runner prune [JOB] --older-than 90d``: old texts go, what they cost stays."""

from typing import TypedDict, Unpack

import click

from runner.cli.kinds import Duration
from runner.cli.session import Session
from runner.cli.verbs import verb
from runner.errors import Exit


class PruneOptions(TypedDict):
    """The options of `prune`."""

    older_than: float
    keep: str
    dry_run: bool


@verb("prune")
@click.argument("job", metavar="[JOB|RUN]", required=False, help="Only its runs; else all.")
@click.option(
    "--older-than",
    type=Duration(),
    required=True,
    metavar="AGE",
    help="Only runs in which nothing has happened for so long: 90d.",
)
@click.option(
    "--keep",
    type=click.Choice(["costs", "answers"]),
    default="costs",
    show_default=True,
    help="costs: prompts, input cells and answers go; answers: only the API's raw replies go.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only count; nothing is deleted.")
def command(session: Session, /, job: str | None, **given: Unpack[PruneOptions]) -> Exit:
    """Delete prompts, input cells, answers and raw replies of finished runs, for good.

    States, counts and every cost stay, and no sum changes. Never touched are tasks that wait, are
    quarantined, or were edited and not decided about. What is pruned cannot be retried; exports of
    such a run say so in their names and lines, and replace no earlier export. Asks before it does
    anything; without a terminal it needs --yes.
    """
    from runner.cli.actions import prune

    return prune.prune(session, job, given)

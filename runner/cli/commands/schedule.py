"""``runner schedule cron|systemd JOB``: lines to paste."""

import click

from runner.cli.kinds_of_time import TimeOfDay
from runner.cli.session import Session
from runner.cli.verbs import verb
from runner.cli.words import OneOf
from runner.errors import Exit


@verb("schedule")
@click.argument("kind", type=OneOf("cron", "systemd"), help="What starts it on this machine.")
@click.argument("job", help="A job file, or the name of a job in jobs/.")
@click.option(
    "--at",
    type=TimeOfDay(),
    default="02:15",
    show_default=True,
    metavar="HH:MM",
    help="When, each day, by this machine's local time.",
)
@click.option(
    "--user", is_flag=True, help="systemd: units of your own manager, which need no root."
)
def command(session: Session, /, kind: str, job: str, at: tuple[int, int], user: bool) -> Exit:
    """Print what starts JOB once a day, with the paths of this machine. Nothing is written.

    cron: add the line with `crontab -e`. systemd: two units, each below its path.
    The job has to load: what would stop the night is said now.
    """
    from runner.cli.actions import schedule

    return schedule.schedule(session, kind, job, at=at, user=user)

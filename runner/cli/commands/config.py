"""``runner config show|path``: what holds here, and who says so."""

import click

from runner.cli.session import Session
from runner.cli.verbs import verb
from runner.cli.words import OneOf
from runner.errors import Exit


@verb("config")
@click.argument("what", type=OneOf("show", "path"), help="The settings, or where runner.toml is.")
@click.option("--origin", is_flag=True, help="With show: where each value comes from.")
def command(session: Session, /, what: str, origin: bool) -> Exit:
    """Show the settings that a command started here would use, and the limits that always hold.

    A flag goes before the environment, that before runner.toml, that before the default. Secrets
    show as ********. `config path` prints the path of the workspace's runner.toml, whether it is
    there yet or not.
    """
    from runner.cli.actions import config

    return config.show(session, origin=origin) if what == "show" else config.path(session, origin)

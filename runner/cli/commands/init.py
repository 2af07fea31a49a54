"""``runner init [DIR]``: a workspace to begin in."""

from pathlib import Path
from typing import TypedDict, Unpack

import click

from runner.cli.session import Session
from runner.cli.verbs import PATH, verb
from runner.errors import Exit


class InitOptions(TypedDict):
    """The options of `init`."""

    job: str | None
    from_file: Path | None
    encoding: str | None
    delimiter: str | None


@verb("init")
@click.argument("folder", metavar="[DIR]", required=False, type=PATH, help="Default: here.")
@click.option("--job", metavar="NAME", help="How to call the job; default: example, or as FILE.")
@click.option(
    "--from", "from_file", type=PATH, metavar="FILE", help="Make the job for this prompt file."
)
@click.option("--encoding", help="Encoding of FILE; default UTF-8.")
@click.option("--delimiter", help="Column separator of FILE, if it is not clear.")
def command(session: Session, /, folder: Path | None, **given: Unpack[InitOptions]) -> Exit:
    """Make runner.toml, jobs/NAME.toml, a data file and .gitignore in DIR; overwrite nothing.

    With --from the job asks the column of FILE that looks most like a prompt. FILE is copied into
    data/ unless it lies in DIR already.
    """
    from runner.cli.actions import init

    return init.init(session, folder or Path(), given)

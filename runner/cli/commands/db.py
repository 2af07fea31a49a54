"""``runner db claim|trust|backup FILE|copy --to PLACE``: care of the store itself."""

from pathlib import Path

import click

from runner.cli.session import Session
from runner.cli.verbs import PATH, verb
from runner.cli.words import OneOf
from runner.errors import Exit, WrongInput


@verb("db")
@click.argument(
    "what", type=OneOf("claim", "trust", "backup", "copy"), help="What to do; see above."
)
@click.argument("file", type=PATH, required=False, help="backup: where to.")
@click.option("--force", is_flag=True, help="backup: overwrite FILE.")
@click.option("--to", metavar="PLACE", help="copy: postgresql://…, or a new file.")
@click.option("--pay-again", is_flag=True, help="trust: accept that what waits may be paid twice.")
def command(
    session: Session,
    /,
    what: str,
    file: Path | None,
    force: bool,
    to: str | None,
    pay_again: bool,
) -> Exit:
    """Look after the place that the queue is in.

    claim: a store that was copied from another host, or that went on elsewhere, is refused until
    this is said. Say it only when nothing uses the other copy any more. It becomes a store of its
    own, and before it posts anything it looks through the account for what the other copy has
    posted meanwhile. Say it also after a PostgreSQL server was restored, or failed over to a
    standby that was behind.

    trust: a store that was put back, moved or claimed posts nothing until the account's listing has
    shown what was posted since. Where it cannot, because it is not there, shows no tags or lags for
    days, this says how many tasks wait, and may be paid for twice; with --pay-again the store is
    taken at its word. First look at the account yourself: what was not posted is not paid twice.

    backup: copy the store, as it stands at this moment, to FILE; it may be in use meanwhile. When
    such a copy is put back later, what was posted since is found in the account, not paid twice.

    copy: copy the whole store from its file to an empty PostgreSQL database, or from a database to
    a new file, and compare every row. Nothing may be at work in it. The one that was left is marked
    and refused from then on: go on with the other.
    """
    from runner.cli.actions import db

    if pay_again and what != "trust":
        raise WrongInput("--pay-again goes with trust", how="runner db --help")
    if what == "trust":
        return db.trust(session, file, to, force=force, pay_again=pay_again)
    if what == "claim":
        return db.claim(session, file, to, force=force)
    if what == "copy":
        return db.copy(session, file, to, force=force)
    return db.backup(session, file, to, force=force)

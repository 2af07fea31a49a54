"""``runner workers``: the engines of a store."""

from runner.cli.session import Session
from runner.cli.verbs import verb
from runner.errors import Exit


@verb("workers")
def command(session: Session, /) -> Exit:
    """List the engines at work on this store, and those that ended within a day.

    STATE is working (it has shown itself lately), ended (by itself), or taken for dead: no sign of
    it, and what it left open is taken over.

    DOES names its roles (`runner work --role`), FOR ALL what it alone does now for the account.
    """
    from runner.cli.actions import workers

    return workers.workers(session)

"""``runner verify``: everything in the store recounted."""

from runner.cli.session import Session
from runner.cli.verbs import verb
from runner.errors import Exit


@verb("verify")
def command(session: Session, /) -> Exit:
    """Recount the whole store: no row lost, no attempt without a tag of its own, no cent astray.

    Every row stands for its tasks and every task is in one state; the counts and sums that other
    commands show are those of a fresh count; each attempt has one tag, which names it, and each id
    of the API's one attempt; every advance is charged, refunded, reserved or at risk; whatever
    waits has a time or somebody to take it up; every answer belongs to a finished attempt. Nothing
    is changed, nothing is sent. Ends with 1 if something does not add up, and says what.
    """
    from runner.cli.actions import verify

    return verify.verify(session)

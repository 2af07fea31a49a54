"""Replies that come after their worker was taken for dead (FAULTS.md 34).

A worker that was cut off from the store keeps its answers and brings them when it is back. Death is
only assumed here, so meanwhile others have put its attempts in doubt, and may have decided:

    still in doubt, or taken for absent .. the id counts: posted
    the same id was found meanwhile ...... nothing is new
    another attempt, or another id ....... paid beside it, with an incident
    not taken, refused, or lost .......... stays in doubt, for the reconciler to prove
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from runner.store.postgres.connection import Db
from runner.store.postgres.deaths import outlived
from runner.store.postgres.reconciling import found
from runner.store.reconciling import Found, Sighting
from runner.task import Accepted, Outcome, Tag

TAKEN_FOR_DEAD: Final = "the process died between its intent to post and the reply"
"""What a batch says that somebody else ended. Its reply may come all the same."""


def book_late(db: Db, outcomes: Sequence[Outcome], *, now: datetime) -> Found:
    """Book what *outcomes* say was taken as if a listing had shown it."""
    outlived(db, [tag.task for each in outcomes if (tag := Tag.parse(each.tag))])
    taken = [each for each in outcomes if isinstance(each, Accepted)]
    return found(
        db,
        [
            Sighting(tag=each.tag, remote_id=each.remote_id, cost=each.cost_nanousd)
            for each in taken
        ],
        now=now,
    )

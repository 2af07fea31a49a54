"""How a worker begins: what the dead one left open is counted, put in doubt, and let go."""

import sqlite3
from datetime import datetime
from typing import Final

from runner.lifecycle import Reason
from runner.store.sqlite.deaths import APART, POISON, ask_later, count_deaths
from runner.store.sqlite.identity import begin_worker as register
from runner.store.sqlite.reconciling import quarantine

_MESSAGE: Final = (
    f"the process died {APART} times while it was being posted with others, then "
    f"{POISON - APART} times while it was being posted alone"
)


def begin_worker(db: sqlite3.Connection, *, roles: str, now: datetime) -> int:
    count_deaths(db)
    worker = register(db, roles=roles, now=now)
    _hold_poison(db, now=now)
    ask_later(db, now=now)
    return worker


def _hold_poison(db: sqlite3.Connection, *, now: datetime) -> None:
    """Post no more what was posted alone and killed the process too often."""
    held = db.execute(
        """
        SELECT t.id, t.attempt FROM deaths d CROSS JOIN tasks t ON t.id = d.task_id
         WHERE d.posting >= ? AND t.state = 'unknown'
        """,
        (POISON,),
    ).fetchall()
    if held:
        quarantine(db, held, message=_MESSAGE, reason=Reason.POISON, now=now)

"""How a worker begins: what the dead one left open is counted, put in doubt, and let go."""

from datetime import datetime
from typing import Final

from runner.clock import to_ms
from runner.lifecycle import Reason
from runner.store.postgres.connection import Db, show_presence
from runner.store.postgres.deaths import APART, POISON, ask_later, count_deaths
from runner.store.postgres.identity import begin_worker as register
from runner.store.postgres.identity import dead_workers
from runner.store.postgres.reconciling import quarantine

_MESSAGE: Final = (
    f"the process died {APART} times while it was being posted with others, then "
    f"{POISON - APART} times while it was being posted alone"
)


def begin_worker(db: Db, *, before: int | None, now: datetime) -> int:
    """*before*: the worker that this process was until now."""
    # Two that start at once would both count the same deaths.
    db.execute("LOCK TABLE workers IN SHARE ROW EXCLUSIVE MODE")
    dead = dead_workers(db, but=before)
    count_deaths(db, dead)
    worker = register(db, dead, now=now)
    db.execute("UPDATE workers SET ended_at = %s WHERE id = ANY(%s::bigint[])", (to_ms(now), dead))
    show_presence(db, worker)
    _hold_poison(db, now=now)
    ask_later(db, now=now)
    return worker


def _hold_poison(db: Db, *, now: datetime) -> None:
    """Post no more what was posted alone and killed the process too often."""
    held = db.execute(
        """
        SELECT t.id, t.attempt FROM deaths d JOIN tasks t ON t.id = d.task_id
         WHERE d.posting >= %s AND t.state = 'unknown'
        """,
        (POISON,),
    ).fetchall()
    if held:
        quarantine(db, held, message=_MESSAGE, reason=Reason.POISON, now=now)

"""How a worker begins, and what it and others take over from those that are dead.

    dead worker ── what it was posting ────▶ counted, in doubt (Live: answer lost)
                ── what it was asking for ─▶ due now
    ended, or living long past a post's deadline ── that post ──▶ in doubt

Death is only assumed (`living`), so what is in doubt waits the settle time before anybody decides,
and a reply that comes all the same is booked (`late_replies`). Living workers are left alone.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from runner.clock import to_ms
from runner.lifecycle import Event, Reason, State, after
from runner.store.postgres.connection import Db, show_presence
from runner.store.postgres.deaths import APART, POISON, ask_later, count_deaths
from runner.store.postgres.identity import begin_worker as register
from runner.store.postgres.late_replies import TAKEN_FOR_DEAD
from runner.store.postgres.living import bury, find_dead, without_reader
from runner.store.postgres.lost_answers import lose_calls
from runner.store.postgres.ready_list import trust_ready_list
from runner.store.postgres.reconciling import quarantine
from runner.store.workers import OVERDUE, Inherited

_MESSAGE: Final = (
    f"the process died {APART} times while it was being posted with others, then "
    f"{POISON - APART} times while it was being posted alone"
)


def begin_worker(db: Db, *, before: int | None, roles: str, now: datetime) -> int:
    """*before*: the worker that this process was until now, whose life is over."""
    dead = find_dead(db, now=now)
    if before is not None and before not in dead:
        dead.append(before)
    _let_go(db, dead, now=now)
    for account in without_reader(db, now=now):
        # Nobody has seen its list lately.
        trust_ready_list(db, False, now=now, account=account)
    worker = register(db, roles=roles, now=now)
    show_presence(db, worker)
    return worker


def take_over(db: Db, worker: int, *, now: datetime) -> Inherited:
    dead = find_dead(db, but=worker, now=now)
    return Inherited(workers=tuple(dead), batches=_let_go(db, dead, now=now))


def _let_go(db: Db, dead: Sequence[int], *, now: datetime) -> int:
    count_deaths(db, dead)
    bury(db, dead, now=now)
    lost = lose_batches(db, now=now)
    db.execute(
        """
        UPDATE tasks SET leased_by = NULL, due_at = least(due_at, %s)
         WHERE state = 'posted' AND leased_by = ANY(%s::bigint[])
        """,
        (to_ms(now), list(dead)),
    )
    if dead:
        _hold_poison(db, now=now)
        ask_later(db, now=now)
    return lost


def lose_batches(db: Db, *, now: datetime) -> int:
    """Open batches of which nobody is expected to bring the reply. Returns how many."""
    # Nobody settles one of them meanwhile; one that is just being settled is passed over.
    batches = [
        batch
        for (batch,) in db.execute(
            """
            SELECT b.id FROM batches b JOIN workers w ON w.id = b.worker_id
             WHERE b.outcome IS NULL AND (w.ended_at IS NOT NULL OR b.deadline < %s)
             ORDER BY b.id FOR UPDATE OF b SKIP LOCKED
            """,
            (to_ms(now - OVERDUE),),
        )
    ]
    if not batches:
        return 0
    # Before the rest: a Live answer that nobody read is nowhere, so there is nothing to look for.
    lose_calls(db, batches, now=now)
    doubt = {
        "unknown": after(State.POSTING, Event.LOST),
        "now": to_ms(now),
        "batches": batches,
        "message": TAKEN_FOR_DEAD,
    }
    # Word for word the condition of the index tasks_in_doubt, or all tasks would be read through.
    db.execute(
        """
        UPDATE attempts
           SET state = %(unknown)s, at_risk_nanousd = reserved_nanousd, reserved_nanousd = 0,
               message = %(message)s
         WHERE state = 'posting' AND task_id IN (SELECT id FROM tasks
                                                  WHERE state IN ('posting', 'unknown')
                                                    AND state = 'posting')
           AND batch_id = ANY(%(batches)s::bigint[])
        """,
        doubt,
    )
    db.execute(
        """
        UPDATE tasks SET state = %(unknown)s, due_at = NULL
         WHERE state IN ('posting', 'unknown') AND state = 'posting'
           AND EXISTS (SELECT 1 FROM attempts a
                        WHERE a.task_id = tasks.id AND a.number = tasks.attempt
                          AND a.batch_id = ANY(%(batches)s::bigint[]))
        """,
        doubt,
    )
    db.execute(
        """
        UPDATE batches SET outcome = 'unknown', message = %(message)s, settled_at = %(now)s
         WHERE id = ANY(%(batches)s::bigint[])
        """,
        doubt,
    )
    return len(batches)


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

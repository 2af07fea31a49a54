"""Live answers that come after their worker was taken for dead (FAULTS.md 34).

The call was booked as lost, its money as at risk; but the worker was only cut off, and brings what
came of it when it is back:

    not asked again since .. the loss is undone, and what came of the call is booked as ever
    asked again, or ended .. the attempt's own money is booked; its answer is kept beside the
                             other one, with an incident: it was paid twice
"""

from datetime import datetime

from runner.clock import to_ms
from runner.lifecycle import Reason, State
from runner.money import Evidence
from runner.rows import Attempt, Batch
from runner.store.endings import Answered, AnswerLost, LiveEnding, RemotelyFailed
from runner.store.postgres.collecting import keep_answers
from runner.store.postgres.connection import Db
from runner.store.postgres.follow_ups import with_history
from runner.store.postgres.late_replies import TAKEN_FOR_DEAD
from runner.store.postgres.lost_answers import DIED
from runner.store.postgres.reconciling import open_incident
from runner.store.reconciling import IncidentKind, NewIncident
from runner.task import NotTaken, Refused, RemoteId


def is_late(db: Db, batch: Batch) -> bool:
    """Whether *batch* was put in doubt by somebody else; nobody does so until this is committed."""
    ended = db.execute(
        "SELECT outcome, message FROM batches WHERE id = %s FOR UPDATE", (batch.id,)
    ).fetchone()
    return ended is not None and tuple(ended) == ("unknown", TAKEN_FOR_DEAD)


def reopen(db: Db, batch: Batch) -> bool:
    """Undo the loss of the call *batch*, as if nobody had taken its worker for dead; False if its
    task has gone on without it."""
    (attempt,) = batch.attempts
    if _asks_something_else(db, attempt):
        return False
    key = {
        "task": attempt.task,
        "number": attempt.number,
        "posting": State.POSTING,
        "pending": State.PENDING,
        "failed": State.FAILED,
        "lost": Reason.ANSWER_LOST,
        "died": DIED,
    }
    # The way back of `lost_answers.lose`; what follows moves the task by the table of moves again.
    task = db.execute(
        """
        UPDATE tasks SET state = %(posting)s, reason = '', due_at = NULL,
               tries = greatest(0, tries - 1)
         WHERE id = %(task)s AND attempt = %(number)s
           AND (state = %(pending)s OR (state = %(failed)s AND reason = %(lost)s))
           AND EXISTS (SELECT 1 FROM attempts a
                        WHERE a.task_id = %(task)s AND a.number = %(number)s
                          AND a.state = 'failed' AND a.message = %(died)s)
        """,
        key,
    )
    if task.rowcount == 0:
        return False
    db.execute(
        """
        UPDATE attempts
           SET state = 'posting', message = NULL, ended_at = NULL,
               reserved_nanousd = at_risk_nanousd, at_risk_nanousd = 0
         WHERE task_id = %(task)s AND number = %(number)s
        """,
        key,
    )
    db.execute(
        "UPDATE batches SET outcome = NULL, message = NULL, settled_at = NULL WHERE id = %s",
        (batch.id,),
    )
    return True


def _asks_something_else(db: Db, attempt: Attempt) -> bool:
    """Whether a person has edited the request of *attempt*, and had it put back to be asked."""
    row = db.execute(
        """
        SELECT p.body, f.history
          FROM tasks t
          JOIN payloads p ON p.task_id = t.id
          LEFT JOIN follow_ups f ON f.task_id = t.id
         WHERE t.id = %s AND t.state = %s
        """,
        (attempt.task, State.PENDING),
    ).fetchone()
    return row is not None and with_history(*row).encode() != attempt.body


def book_beside(
    db: Db, batch: Batch, ending: LiveEnding, remote_id: RemoteId | None, *, now: datetime
) -> None:
    """Book what *ending* says of an attempt whose task has gone on without it."""
    (attempt,) = batch.attempts
    db.execute(
        """
        UPDATE attempts SET remote_id = %s,
               accepted_at = (SELECT intended_at FROM batches WHERE id = %s)
         WHERE task_id = %s AND number = %s
        """,
        (remote_id, batch.id, attempt.task, attempt.number),
    )
    match ending:
        case Answered():
            keep_answers(db, [ending], to_ms(now))
            incident = NewIncident(
                kind=IncidentKind.DOUBLE_CHARGE,
                message="a Live answer came after its call was taken for lost and given up",
                amount=ending.charge,
                task=attempt.task,
                attempt=attempt.number,
                tag=attempt.tag,
            )
            open_incident(db, incident, now=now)
        case NotTaken() | Refused():
            _charge(db, attempt.task, attempt.number, 0)
        case RemotelyFailed(cost=cost) | AnswerLost(cost=cost) if cost is not None:
            _charge(db, attempt.task, attempt.number, cost)
        case _:
            pass  # Its money stays at risk.


def _charge(db: Db, task: int, number: int, cost: int) -> None:
    db.execute(
        """
        UPDATE attempts
           SET charged_nanousd = %(cost)s, charge_evidence = %(reported)s,
               over_reserve_nanousd = greatest(0, %(cost)s - at_risk_nanousd), at_risk_nanousd = 0
         WHERE task_id = %(task)s AND number = %(number)s
        """,
        {"cost": cost, "reported": Evidence.REPORTED, "task": task, "number": number},
    )

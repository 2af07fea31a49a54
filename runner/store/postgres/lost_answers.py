"""Live answers that were lost on their way: whether they are asked again, and what is at risk.

No listing is asked about them, since the API keeps no Live answer. DESIGN.md §4.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from runner.clock import to_ms
from runner.lifecycle import Event, Reason, State, after
from runner.money import Evidence
from runner.store.endings import AnswerLost
from runner.store.postgres.collecting import keep_replies
from runner.store.postgres.connection import Db
from runner.task import TaskId

DIED: Final = "the process died while the call was open; its answer, if there was one, is lost"


def tries_left(db: Db, task: TaskId) -> bool:
    """Whether the policy allows another try after the one that fails now."""
    tries, allowed = db.execute(
        "SELECT t.tries, r.tries FROM tasks t JOIN runs r ON r.id = t.run_id WHERE t.id = %s",
        (task,),
    ).fetchone()
    return int(tries) + 1 < int(allowed)


def lose(db: Db, lost: AnswerLost, moment: int) -> None:
    """Book an answer that will never come, of a task whose Live call is open."""
    (resend,) = db.execute(
        "SELECT r.live_resend FROM tasks t JOIN runs r ON r.id = t.run_id WHERE t.id = %s",
        (lost.task,),
    ).fetchone()
    again = bool(resend) and tries_left(db, lost.task)
    db.execute(
        """
        UPDATE tasks
           SET state = %(state)s, reason = %(reason)s, due_at = %(due_at)s, tries = tries + 1
         WHERE id = %(task)s AND attempt = %(attempt)s AND state = 'posting'
        """,
        {
            "state": after(State.POSTING, Event.TRY_AGAIN if again else Event.ANSWER_LOST),
            "reason": "" if again else Reason.ANSWER_LOST,
            "due_at": to_ms(lost.again_at) if again else None,
            "task": lost.task,
            "attempt": lost.attempt,
        },
    )
    db.execute(
        """
        UPDATE attempts
           SET state = 'failed', code = %(code)s, message = %(message)s, ended_at = %(now)s,
               reserved_nanousd = 0,
               at_risk_nanousd = CASE WHEN %(cost)s IS NULL THEN reserved_nanousd ELSE 0 END,
               charged_nanousd = coalesce(%(cost)s, 0),
               charge_evidence = CASE WHEN %(cost)s IS NULL THEN NULL ELSE %(reported)s END,
               over_reserve_nanousd = greatest(0, coalesce(%(cost)s, 0) - reserved_nanousd)
         WHERE task_id = %(task)s AND number = %(attempt)s
        """,
        {
            "code": lost.code,
            "message": lost.message,
            "now": moment,
            "cost": lost.cost,
            "reported": Evidence.REPORTED,
            "task": lost.task,
            "attempt": lost.attempt,
        },
    )
    if lost.reply:
        keep_replies(db, [(lost.task, lost.attempt, lost.reply)])


def lose_calls(db: Db, batches: Sequence[int], *, now: datetime) -> int:
    """Live calls among the open *batches*, whose answers nobody is expected to read. Returns how
    many; their batches are closed with those of the posts."""
    # Word for word the condition of the index tasks_in_doubt, or all tasks would be read through.
    left = db.execute(
        """
        SELECT t.id, t.attempt
          FROM tasks t
          JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
          JOIN batches b ON b.id = a.batch_id
         WHERE t.state IN ('posting', 'unknown') AND t.state = 'posting'
           AND b.endpoint LIKE '%%/live' AND b.id = ANY(%s::bigint[])
         ORDER BY t.id FOR UPDATE OF t
        """,
        (list(batches),),
    ).fetchall()
    for task, attempt in left:
        lost = AnswerLost(
            task=task, attempt=attempt, code=None, message=DIED, reply=b"", again_at=now, cost=None
        )
        lose(db, lost, to_ms(now))
    return len(left)

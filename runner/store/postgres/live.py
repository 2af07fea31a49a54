"""Live calls: answered in the same call, or never; the answer is kept nowhere else.

    answered ............. completed, at the cost that the reply reports
    failed at the API .... failed(remote), or pending again while it has tries left
    certainly not taken .. pending again, as for a post
    answer lost .......... failed(answer_lost), what was reserved at risk; pending again only where
                           the run says live_resend and the task has tries left

The intent is that of every post (``posting.begin_batch``), for one task. DESIGN.md §4. An answer
that comes after its worker was taken for dead is none the less real: ``late_answers``.
"""

from dataclasses import replace
from datetime import datetime

from runner.clock import to_ms
from runner.failpoints import Point, hit
from runner.lifecycle import State
from runner.rows import Batch
from runner.store.endings import Answered, AnswerLost, LiveEnding, RemotelyFailed
from runner.store.postgres.collecting import answer, fail
from runner.store.postgres.connection import Db
from runner.store.postgres.deaths import outlived
from runner.store.postgres.late_answers import book_beside, is_late, reopen
from runner.store.postgres.lost_answers import lose, tries_left
from runner.store.postgres.posting import settle_batch
from runner.store.values import AttemptOver
from runner.task import NotTaken, Refused, RemoteId


def settle_live(
    db: Db,
    batch: Batch,
    ending: LiveEnding,
    *,
    remote_id: RemoteId | None,
    outcome: str,
    code: int | None,
    message: str | None,
    told: datetime,
    now: datetime,
) -> None:
    if is_late(db, batch) and not reopen(db, batch):
        book_beside(db, batch, ending, remote_id, now=now)
        _close(db, batch, outcome, code, message, to_ms(now))
        return
    if isinstance(ending, NotTaken | Refused):
        settle_batch(db, batch, [ending], outcome=outcome, code=code, message=message, now=now)
        return
    _check_open(db, batch, ending)
    outlived(db, [ending.task])
    ahead = now - told
    moment = to_ms(now)
    (intended,) = db.execute(
        "SELECT intended_at FROM batches WHERE id = %s", (batch.id,)
    ).fetchone()
    db.execute(
        "UPDATE attempts SET remote_id = %s, accepted_at = %s WHERE task_id = %s AND number = %s",
        (remote_id, intended, ending.task, ending.attempt),
    )
    db.execute("UPDATE tasks SET posted_at = %s WHERE id = %s", (intended, ending.task))
    match ending:
        case Answered():
            answer(db, [ending], moment, State.POSTING)
        case RemotelyFailed():
            again_at = ending.again_at
            if again_at is not None:
                again_at = again_at + ahead if tries_left(db, ending.task) else None
            fail(db, [replace(ending, again_at=again_at)], moment, State.POSTING)
        case AnswerLost():
            lose(db, replace(ending, again_at=ending.again_at + ahead), moment)
    _close(db, batch, outcome, code, message, moment)
    hit(Point.LIVE_OUTCOME_INSIDE)


def _close(
    db: Db, batch: Batch, outcome: str, code: int | None, message: str | None, moment: int
) -> None:
    db.execute(
        "UPDATE batches SET outcome = %s, code = %s, message = %s, settled_at = %s WHERE id = %s",
        (outcome, code, message, moment, batch.id),
    )


def _check_open(db: Db, batch: Batch, ending: Answered | RemotelyFailed | AnswerLost) -> None:
    (attempt,) = batch.attempts
    row = db.execute(
        "SELECT 1 FROM tasks WHERE id = %s AND attempt = %s AND state = 'posting' FOR UPDATE",
        (attempt.task, attempt.number),
    ).fetchone()
    if row is None or (ending.task, ending.attempt) != (attempt.task, attempt.number):
        raise AttemptOver(f"batch {batch.id} was settled already, or is another task's")

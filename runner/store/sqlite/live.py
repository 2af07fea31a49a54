"""Live calls: answered in the same call, or never; the answer is kept nowhere else.

    answered ............. completed, at the cost that the reply reports
    failed at the API .... failed(remote), or pending again while it has tries left
    certainly not taken .. pending again, as for a post
    answer lost .......... failed(answer_lost), what was reserved at risk; pending again only where
                           the run says live_resend and the task has tries left

The intent is that of every post (``posting.begin_batch``), for one task. DESIGN.md §4.
"""

import sqlite3
from dataclasses import replace
from datetime import datetime

from runner.clock import to_ms
from runner.failpoints import Point, hit
from runner.lifecycle import State
from runner.rows import Batch
from runner.store.endings import Answered, AnswerLost, LiveEnding, RemotelyFailed
from runner.store.sqlite.collecting import answer, fail
from runner.store.sqlite.deaths import outlived
from runner.store.sqlite.lost_answers import lose, tries_left
from runner.store.sqlite.posting import settle_batch
from runner.store.values import AttemptOver
from runner.task import NotTaken, Refused, RemoteId


def settle_live(
    db: sqlite3.Connection,
    batch: Batch,
    ending: LiveEnding,
    *,
    remote_id: RemoteId | None,
    outcome: str,
    code: int | None,
    message: str | None,
    now: datetime,
) -> None:
    if isinstance(ending, NotTaken | Refused):
        settle_batch(db, batch, [ending], outcome=outcome, code=code, message=message, now=now)
        return
    _check_open(db, batch, ending)
    outlived(db, [ending.task])
    moment = to_ms(now)
    db.execute(
        "UPDATE attempts SET remote_id = ?, accepted_at = ? WHERE task_id = ? AND number = ?",
        (remote_id, to_ms(batch.intended_at), ending.task, ending.attempt),
    )
    db.execute(
        "UPDATE tasks SET posted_at = ? WHERE id = ?", (to_ms(batch.intended_at), ending.task)
    )
    match ending:
        case Answered():
            answer(db, [ending], moment, State.POSTING)
        case RemotelyFailed():
            again_at = ending.again_at if tries_left(db, ending.task) else None
            fail(db, [replace(ending, again_at=again_at)], moment, State.POSTING)
        case AnswerLost():
            lose(db, ending, moment)
    db.execute(
        "UPDATE batches SET outcome = ?, code = ?, message = ?, settled_at = ? WHERE id = ?",
        (outcome, code, message, moment, batch.id),
    )
    hit(Point.LIVE_OUTCOME_INSIDE)


def _check_open(
    db: sqlite3.Connection, batch: Batch, ending: Answered | RemotelyFailed | AnswerLost
) -> None:
    (attempt,) = batch.attempts
    row = db.execute(
        "SELECT 1 FROM tasks WHERE id = ? AND attempt = ? AND state = 'posting'",
        (attempt.task, attempt.number),
    ).fetchone()
    if row is None or (ending.task, ending.attempt) != (attempt.task, attempt.number):
        raise AttemptOver(f"batch {batch.id} was settled already, or is another task's")

"""The intent before the post, and what became of it."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from runner.clock import to_ms
from runner.lifecycle import Event, Reason, State, after
from runner.money import ADVANCE, BASE_PRICE_STANDARD, Evidence
from runner.store.protocol import AttemptOver, Ceiling, Idle
from runner.store.sqlite.identity import install_id
from runner.task import (
    Accepted,
    Attempt,
    Batch,
    Endpoint,
    Lost,
    NotTaken,
    Outcome,
    Refused,
    Tag,
    TaskId,
    identity_digest,
)

FIRST_ASK_MS: Final = 60_000
"""A posted task is asked for by its id a minute later, unless the ready list shows it sooner."""


def targets_to_post(
    db: sqlite3.Connection, run: int, *, now: datetime
) -> list[tuple[int, Endpoint]]:
    rows = db.execute(
        """
        SELECT id, endpoint FROM targets g
         WHERE run_id = :run
           AND EXISTS (SELECT 1 FROM tasks t
                        WHERE t.run_id = :run AND t.target_id = g.id
                          AND t.state = 'pending' AND t.changed = 0 AND t.due_at <= :now)
         ORDER BY id
        """,
        {"run": run, "now": to_ms(now)},
    )
    return [(target, Endpoint.parse(endpoint)) for target, endpoint in rows]


def begin_batch(
    db: sqlite3.Connection,
    *,
    run: int,
    target: int,
    account: int,
    worker: int,
    limit: int,
    now: datetime,
    patience: timedelta,
    ceiling: Ceiling,
    seal: Callable[[tuple[Attempt, ...]], str],
) -> Batch | Idle:
    endpoint, name, reserve = db.execute(
        "SELECT endpoint, name, reserve_nanousd FROM targets WHERE id = ?", (target,)
    ).fetchone()
    affordable = _affordable(db, run, reserve, limit, ceiling)
    if isinstance(affordable, Idle):
        return affordable
    taken = db.execute(
        """
        UPDATE tasks SET state = :posting, attempt = attempt + 1, ready = 0, polls = 0
         WHERE id IN (SELECT id FROM tasks
                       WHERE run_id = :run AND target_id = :target
                         AND state = 'pending' AND changed = 0 AND due_at <= :now
                       ORDER BY due_at, id LIMIT :limit)
        RETURNING id, attempt, row_id, sample, turn
        """,
        {
            "posting": after(State.PENDING, Event.INTENDED),
            "run": run,
            "target": target,
            "now": to_ms(now),
            "limit": affordable,
        },
    ).fetchall()
    if not taken:
        return Idle.NOTHING_DUE
    attempts = _attempts(db, run, name, sorted(taken))
    deadline = now + patience
    (batch,) = db.execute(
        """
        INSERT INTO batches
               (account_id, worker_id, endpoint, size, body_sha256, intended_at, deadline)
        VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id
        """,
        (account, worker, endpoint, len(attempts), seal(attempts), to_ms(now), to_ms(deadline)),
    ).fetchone()
    db.executemany(
        """
        INSERT INTO attempts (task_id, number, run_id, batch_id, tag, state, reserved_nanousd)
        VALUES (?, ?, ?, ?, ?, 'posting', ?)
        """,
        ((a.task, a.number, run, batch, a.tag, reserve) for a in attempts),
    )
    return Batch(
        id=batch,
        endpoint=Endpoint.parse(endpoint),
        attempts=attempts,
        intended_at=now,
        deadline=deadline,
    )


def _affordable(
    db: sqlite3.Connection, run: int, reserve: int, limit: int, ceiling: Ceiling
) -> int | Idle:
    """How many more attempts the run's limits leave room for."""
    charged, open_money = db.execute(
        """
        SELECT charged_nanousd, reserved_nanousd + at_risk_nanousd FROM run_money WHERE run_id = ?
        """,
        (run,),
    ).fetchone()
    if ceiling.budget is not None:
        limit = min(limit, (ceiling.budget - charged - open_money) // reserve)
        if limit <= 0:
            return Idle.BUDGET
    if ceiling.hold is not None:
        limit = min(limit, (ceiling.hold - open_money) // reserve)
        if limit <= 0:
            return Idle.HOLD
    return limit


def _attempts(
    db: sqlite3.Connection, run: int, target: str, taken: list[tuple[int, int, int, int, int]]
) -> tuple[Attempt, ...]:
    (tag_part,) = db.execute("SELECT tag_part FROM runs WHERE id = ?", (run,)).fetchone()
    install = install_id(db)
    marks = ", ".join("?" * len(taken))
    bodies = dict(
        db.execute(
            f"SELECT task_id, body FROM payloads WHERE task_id IN ({marks})", [t[0] for t in taken]
        )
    )
    keys = dict(
        db.execute(f"SELECT id, key FROM rows WHERE id IN ({marks})", [t[2] for t in taken])
    )
    attempts = []
    for task, number, row, sample, turn in taken:
        digest = identity_digest(keys[row], target, sample, turn)
        tag = Tag(install, tag_part, TaskId(task), digest, number)
        attempts.append(
            Attempt(task=TaskId(task), number=number, tag=str(tag), body=bodies[task].encode())
        )
    return tuple(attempts)


def settle_batch(
    db: sqlite3.Connection,
    batch: Batch,
    outcomes: Sequence[Outcome],
    *,
    outcome: str,
    code: int | None,
    message: str | None,
    now: datetime,
) -> None:
    by_tag = {found.tag: found for found in outcomes}
    moment = to_ms(now)
    moves, bookings = [], []
    for attempt in batch.attempts:
        found = by_tag[attempt.tag]
        moves.append(_move(attempt, found, moment))
        bookings.append(_booking(attempt, found, moment))
    moved = db.executemany(
        """
        UPDATE tasks
           SET state = :state, reason = :reason, due_at = :due_at,
               posted_at = coalesce(:posted_at, posted_at)
         WHERE id = :task AND state = 'posting' AND attempt = :number
        """,
        moves,
    ).rowcount
    if moved != len(moves):
        raise AttemptOver(f"batch {batch.id} was settled already, in whole or in part")
    db.executemany(
        """
        UPDATE attempts
           SET state = :state, remote_id = :remote_id, code = :code, message = :message,
               accepted_at = :accepted_at, ended_at = :ended_at,
               advanced_nanousd = coalesce(:advance, 0), advance_evidence = :evidence,
               at_risk_nanousd = CASE WHEN :state = 'unknown' THEN reserved_nanousd ELSE 0 END,
               reserved_nanousd = CASE WHEN :state = 'posted' THEN reserved_nanousd ELSE 0 END
         WHERE task_id = :task AND number = :number
        """,
        bookings,
    )
    db.execute(
        "UPDATE batches SET outcome = ?, code = ?, message = ?, settled_at = ? WHERE id = ?",
        (outcome, code, message, moment, batch.id),
    )


def _move(attempt: Attempt, found: Outcome, moment: int) -> dict[str, object]:
    event, reason, due_at = Event.LOST, "", None
    posted_at = None
    match found:
        case Accepted():
            event, due_at, posted_at = Event.ACCEPTED, moment + FIRST_ASK_MS, moment
        case NotTaken(wait_s=wait_s):
            event, due_at = Event.NOT_TAKEN, moment + int(wait_s * 1000)
        case Refused():
            event, reason = Event.REFUSED, str(Reason.REFUSED)
        case Lost():
            event = Event.LOST
    return {
        "task": attempt.task,
        "number": attempt.number,
        "state": after(State.POSTING, event),
        "reason": reason,
        "due_at": due_at,
        "posted_at": posted_at,
    }


def _booking(attempt: Attempt, found: Outcome, moment: int) -> dict[str, object]:
    line: dict[str, object] = {
        "task": attempt.task,
        "number": attempt.number,
        "state": "unknown",
        "remote_id": None,
        "code": None,
        "message": None,
        "accepted_at": None,
        "ended_at": None,
        "advance": None,
        "evidence": None,
    }
    match found:
        case Accepted(remote_id=remote_id, cost_nanousd=cost):
            # No vendor example of a posting's cost was readable: a reported one counts, else the
            # advance and the base price (API.md §5 Cost).
            reported = cost is not None and cost > 0
            line |= {
                "state": "posted",
                "remote_id": remote_id,
                "accepted_at": moment,
                "advance": cost if reported else ADVANCE + BASE_PRICE_STANDARD,
                "evidence": Evidence.REPORTED if reported else Evidence.COMPUTED,
            }
        case Refused(code=code, message=message):
            line |= {"state": "refused", "code": code, "message": message, "ended_at": moment}
        case NotTaken(why=why, code=code):
            line |= {"state": "not_taken", "code": code, "message": why, "ended_at": moment}
        case Lost(why=why, code=code):
            line |= {"code": code, "message": why}
    return line

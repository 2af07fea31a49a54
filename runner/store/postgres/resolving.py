"""Quarantined tasks that a person decides about, and how much there is in a store."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from runner.clock import to_ms
from runner.errors import WrongInput
from runner.lifecycle import Event, Reason, State, after
from runner.money import ADVANCE, BASE_PRICE_STANDARD, Evidence
from runner.store.amounts import Money
from runner.store.listing import Selection
from runner.store.postgres.connection import Db
from runner.store.postgres.selecting import condition
from runner.store.reconciling import IncidentKind
from runner.store.resolving import Contents, Held
from runner.task import Endpoint, RemoteId, TaskId

_ABSENT: Final = "a person found no trace of it at the API"
_GIVEN_UP: Final = "a person gave it up; whether the API had it is not known"


def held(db: Db, which: Selection) -> list[Held]:
    sql, values = condition(replace(which, states=frozenset({State.QUARANTINED})))
    rows = db.execute(
        f"""
        SELECT t.id, t.attempt, a.tag, t.run_id, g.endpoint, a.at_risk_nanousd,
               (SELECT name FROM accounts c WHERE c.id = t.account_id)
          FROM tasks t
          JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
          JOIN targets g ON g.id = t.target_id
         WHERE {sql} ORDER BY t.id LIMIT %(limit)s
        """,
        values | {"limit": which.limit},
    )
    return [
        Held(
            task=TaskId(task),
            attempt=attempt,
            tag=tag,
            run=run,
            endpoint=Endpoint.parse(endpoint),
            at_risk=at_risk,
            account=account,
        )
        for task, attempt, tag, run, endpoint, at_risk, account in rows
    ]


def adopt(db: Db, task: int, attempt: int, remote_id: RemoteId, *, now: datetime) -> bool:
    _refuse_known(db, remote_id)
    moved = db.execute(
        """
        UPDATE tasks
           SET state = %(posted)s, reason = '', due_at = %(now)s, ready = 0, polls = 0,
               posted_at = (SELECT b.intended_at FROM attempts a JOIN batches b ON b.id = a.batch_id
                             WHERE a.task_id = %(task)s AND a.number = %(attempt)s)
         WHERE id = %(task)s AND attempt = %(attempt)s AND state = 'quarantined'
        """,
        {
            "posted": after(State.QUARANTINED, Event.FOUND),
            "now": to_ms(now),
            "task": task,
            "attempt": attempt,
        },
    ).rowcount
    if not moved:
        return False
    db.execute(
        """
        UPDATE attempts
           SET state = 'posted', remote_id = %s, accepted_at = %s, ended_at = NULL, message = NULL,
               reserved_nanousd = at_risk_nanousd, at_risk_nanousd = 0, advanced_nanousd = %s,
               advance_evidence = %s
         WHERE task_id = %s AND number = %s
        """,
        (
            remote_id,
            to_ms(now),
            ADVANCE + BASE_PRICE_STANDARD,
            Evidence.COMPUTED,
            task,
            attempt,
        ),
    )
    return True


def _refuse_known(db: Db, remote_id: RemoteId) -> None:
    known = db.execute(
        "SELECT task_id, number FROM attempts WHERE remote_id = %s", (remote_id,)
    ).fetchone()
    if known is not None:
        task, number = known
        raise WrongInput(
            f"the API's id {remote_id} is that of attempt {number} of task {task}",
            why="one task at the API is the answer to one attempt",
            how=f"runner show {task}",
        )
    told = db.execute(
        "SELECT id, tag FROM incidents WHERE remote_id = %s AND kind IN (%s, %s)",
        (remote_id, IncidentKind.DOUBLE_CHARGE, IncidentKind.ORPHAN),
    ).fetchone()
    if told is not None:
        raise WrongInput(
            f"incident {told[0]} is about the API's id {remote_id}",
            why=f"it bears the tag {told[1]}, which is another attempt's",
            how="runner incidents --all",
        )


def ask_absent(db: Db, attempts: Sequence[tuple[int, int]], *, now: datetime) -> int:
    to = after(State.QUARANTINED, Event.ASKED_AGAIN)
    moved = _move(db, attempts, to, "", to_ms(now))
    db.executemany(
        """
        UPDATE attempts
           SET state = 'absent', at_risk_nanousd = 0, message = %s, ended_at = %s
         WHERE task_id = %s AND number = %s
        """,
        ((_ABSENT, to_ms(now), *each) for each in moved),
    )
    return len(moved)


def write_off(db: Db, attempts: Sequence[tuple[int, int]], *, now: datetime) -> int:
    to = after(State.QUARANTINED, Event.WRITTEN_OFF)
    moved = _move(db, attempts, to, Reason.WRITTEN_OFF, None)
    # Giving up is no knowledge: what is at risk stays there.
    db.executemany(
        """
        UPDATE attempts SET state = 'failed', message = %s, ended_at = %s
         WHERE task_id = %s AND number = %s
        """,
        ((_GIVEN_UP, to_ms(now), *each) for each in moved),
    )
    return len(moved)


def _move(
    db: Db,
    attempts: Sequence[tuple[int, int]],
    to: State,
    reason: str,
    due_at: int | None,
) -> list[tuple[int, int]]:
    """Move those (task, attempt) that are still quarantined; returns them."""
    return db.execute(
        """
        UPDATE tasks SET state = %(state)s, reason = %(reason)s, due_at = %(due_at)s
          FROM unnest(%(tasks)s::bigint[],
                       %(numbers)s::bigint[]) AS e(task, attempt)
         WHERE tasks.id = e.task AND tasks.attempt = e.attempt AND tasks.state = 'quarantined'
        RETURNING tasks.id, tasks.attempt
        """,
        {
            "state": to,
            "reason": reason,
            "due_at": due_at,
            "tasks": [task for task, _ in attempts],
            "numbers": [number for _, number in attempts],
        },
    ).fetchall()


def contents(db: Db) -> Contents:
    runs, rows, attempts, answers, incidents = db.execute(
        """
        SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM rows),
               (SELECT count(*) FROM attempts), (SELECT count(*) FROM results),
               (SELECT count(*) FROM incidents WHERE closed_at IS NULL)
        """
    ).fetchone()
    states = dict.fromkeys(State, 0)
    for state, n in db.execute("SELECT state, count(*) FROM tasks GROUP BY state"):
        states[State(state)] = n
    sums = db.execute(
        """
        SELECT coalesce(sum(reserved_nanousd), 0), coalesce(sum(at_risk_nanousd), 0),
               coalesce(sum(advanced_nanousd), 0), coalesce(sum(charged_nanousd), 0),
               coalesce(sum(refunded_nanousd), 0), coalesce(sum(over_reserve_nanousd), 0)
          FROM charges
        """
    ).fetchone()
    names = ("reserved", "at_risk", "advanced", "charged", "refunded", "over_reserve")
    return Contents(
        runs=runs,
        rows=rows,
        states=states,
        attempts=attempts,
        answers=answers,
        incidents=incidents,
        money=Money(**dict(zip(names, sums, strict=True))),
    )

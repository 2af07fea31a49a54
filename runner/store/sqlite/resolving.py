"""Quarantined tasks that a person decides about, and how much there is in a store."""

import sqlite3
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
from runner.store.reconciling import IncidentKind
from runner.store.resolving import Contents, Held
from runner.store.sqlite.reconciling import move
from runner.store.sqlite.selecting import condition
from runner.task import Endpoint, RemoteId, TaskId

_ABSENT: Final = "a person found no trace of it at the API"
_GIVEN_UP: Final = "a person gave it up; whether the API had it is not known"


def held(db: sqlite3.Connection, which: Selection) -> list[Held]:
    sql, values = condition(replace(which, states=frozenset({State.QUARANTINED})))
    rows = db.execute(
        f"""
        SELECT t.id, t.attempt, a.tag, t.run_id, g.endpoint, a.at_risk_nanousd,
               (SELECT name FROM accounts c WHERE c.id = t.account_id)
          FROM tasks t
          JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
          JOIN targets g ON g.id = t.target_id
         WHERE {sql} ORDER BY t.id LIMIT :limit
        """,
        values | {"limit": -1 if which.limit is None else which.limit},
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


def adopt(
    db: sqlite3.Connection, task: int, attempt: int, remote_id: RemoteId, *, now: datetime
) -> bool:
    _refuse_known(db, remote_id)
    moved = db.execute(
        """
        UPDATE tasks
           SET state = :posted, reason = '', due_at = :now, ready = 0, polls = 0,
               posted_at = (SELECT b.intended_at FROM attempts a JOIN batches b ON b.id = a.batch_id
                             WHERE a.task_id = :task AND a.number = :attempt)
         WHERE id = :task AND attempt = :attempt AND state = 'quarantined'
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
           SET state = 'posted', remote_id = ?, accepted_at = ?, ended_at = NULL, message = NULL,
               reserved_nanousd = at_risk_nanousd, at_risk_nanousd = 0, advanced_nanousd = ?,
               advance_evidence = ?
         WHERE task_id = ? AND number = ?
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


def _refuse_known(db: sqlite3.Connection, remote_id: RemoteId) -> None:
    known = db.execute(
        "SELECT task_id, number FROM attempts WHERE remote_id = ?", (remote_id,)
    ).fetchone()
    if known is not None:
        task, number = known
        raise WrongInput(
            f"the API's id {remote_id} is that of attempt {number} of task {task}",
            why="one task at the API is the answer to one attempt",
            how=f"runner show {task}",
        )
    told = db.execute(
        "SELECT id, tag FROM incidents WHERE remote_id = ? AND kind IN (?, ?)",
        (remote_id, IncidentKind.DOUBLE_CHARGE, IncidentKind.ORPHAN),
    ).fetchone()
    if told is not None:
        raise WrongInput(
            f"incident {told[0]} is about the API's id {remote_id}",
            why=f"it bears the tag {told[1]}, which is another attempt's",
            how="runner incidents --all",
        )


def ask_absent(
    db: sqlite3.Connection, attempts: Sequence[tuple[int, int]], *, now: datetime
) -> int:
    to = after(State.QUARANTINED, Event.ASKED_AGAIN)
    moved = move(db, State.QUARANTINED, attempts, to, "", to_ms(now))
    db.executemany(
        """
        UPDATE attempts
           SET state = 'absent', at_risk_nanousd = 0, message = ?, ended_at = ?
         WHERE task_id = ? AND number = ?
        """,
        ((_ABSENT, to_ms(now), *each) for each in moved),
    )
    return len(moved)


def write_off(db: sqlite3.Connection, attempts: Sequence[tuple[int, int]], *, now: datetime) -> int:
    to = after(State.QUARANTINED, Event.WRITTEN_OFF)
    moved = move(db, State.QUARANTINED, attempts, to, Reason.WRITTEN_OFF, None)
    # Giving up is no knowledge: what is at risk stays there.
    db.executemany(
        """
        UPDATE attempts SET state = 'failed', message = ?, ended_at = ?
         WHERE task_id = ? AND number = ?
        """,
        ((_GIVEN_UP, to_ms(now), *each) for each in moved),
    )
    return len(moved)


def contents(db: sqlite3.Connection) -> Contents:
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

"""Edited requests: noted, and sent only when a person says so (DESIGN.md §10).

payloads.hash ........ the request as it is asked
changes.hash ......... the request that the input has now, undecided
payloads.kept_hash ... the edit of which a person said: keep the old request
"""

from datetime import datetime

from runner.clock import to_ms
from runner.failpoints import Point, hit
from runner.lifecycle import MOVES, Event, Reason, State, after
from runner.store.postgres.connection import Db
from runner.store.values import Decision


def note_changes(db: Db, scope: dict[str, object]) -> None:
    """Compare known tasks with what the staged input asks; an edit taken back is no change."""
    known = """
          FROM staged_asks a
          JOIN staged_rows r ON r.position = a.position
          JOIN tasks t ON t.row_id = r.row_id AND t.target_id = a.target_id
                      AND t.sample = a.sample AND t.turn = a.turn AND t.id <= %(last_task)s
          JOIN payloads p ON p.task_id = t.id
    """
    # What a person drops stays dropped: nobody need be asked what to do about its edit.
    dropped = "t.state = 'cancelled' AND t.reason <> %(reason)s"
    scope = scope | {"reason": Reason.NO_FIRST_ANSWER}
    db.execute(
        f"""
        INSERT INTO changes (task_id, hash, body)
        SELECT t.id, a.hash, a.body {known}
         WHERE p.hash <> a.hash AND p.kept_hash IS DISTINCT FROM a.hash AND NOT ({dropped})
        ON CONFLICT (task_id) DO UPDATE SET hash = excluded.hash, body = excluded.body
        """,
        scope,
    )
    db.execute(
        f"""
        DELETE FROM changes WHERE task_id IN (
            SELECT t.id {known}
             WHERE t.changed <> 0
               AND (p.hash = a.hash OR p.kept_hash IS NOT DISTINCT FROM a.hash OR {dropped}))
        """,
        scope,
    )
    db.execute(
        f"""
        UPDATE tasks
           SET changed = (EXISTS (SELECT 1 FROM changes c WHERE c.task_id = tasks.id))::int
         WHERE id IN (SELECT t.id {known}
                       WHERE t.changed
                          <> (EXISTS (SELECT 1 FROM changes c WHERE c.task_id = t.id))::int)
        """,
        scope,
    )


def decide_changes(db: Db, run: int, decision: Decision, *, now: datetime) -> int:
    if decision is Decision.KEEP:
        kept = db.execute(
            """
            UPDATE payloads
               SET kept_hash = (SELECT hash FROM changes c WHERE c.task_id = payloads.task_id)
             WHERE task_id IN (SELECT id FROM tasks WHERE run_id = %s AND changed = 1)
            """,
            (run,),
        ).rowcount
        db.execute(
            """
            DELETE FROM changes
             WHERE task_id IN (SELECT id FROM tasks WHERE run_id = %s AND changed = 1)
            """,
            (run,),
        )
        db.execute("UPDATE tasks SET changed = 0 WHERE run_id = %s AND changed = 1", (run,))
        return kept
    askable = [State.PENDING, *(s for s, moves in MOVES.items() if _by_change(s, moves))]
    asked = sum(_ask_changed(db, run, state, now) for state in askable) + _ask_later(db, run)
    hit(Point.CHANGES_INSIDE)
    return asked


def reconsider(db: Db, run: int) -> int:
    undecided = "SELECT EXISTS (SELECT 1 FROM tasks WHERE run_id = %s AND changed = 1)"
    if db.execute(undecided, (run,)).fetchone()[0]:
        return 0
    forgotten = db.execute(
        """
        UPDATE payloads SET kept_hash = NULL
         WHERE kept_hash IS NOT NULL
           AND task_id IN (SELECT id FROM tasks WHERE run_id = %s AND state <> 'cancelled')
        """,
        (run,),
    ).rowcount
    if forgotten:
        # Else the same input again would be nothing new.
        db.execute("UPDATE loads SET digest = '' WHERE run_id = %s", (run,))
    return forgotten


def _by_change(state: State, moves: dict[Event, State]) -> bool:
    # A quarantined task may still be at the API: only `resolve` may give it another attempt.
    return Event.ASKED_AGAIN in moves and state is not State.QUARANTINED


def _ask_changed(db: Db, run: int, state: State, now: datetime) -> int:
    scope = {"run": run, "state": state, "now": to_ms(now)}
    take_edits(
        db,
        "SELECT id FROM tasks WHERE run_id = %(run)s AND changed = 1 AND state = %(state)s",
        scope,
    )
    to = state if state is State.PENDING else after(state, Event.ASKED_AGAIN)
    return db.execute(
        """
        UPDATE tasks SET state = %(to)s, reason = '', changed = 0, tries = 0, due_at = %(now)s
         WHERE run_id = %(run)s AND changed = 1 AND state = %(state)s
        """,
        scope | {"to": to},
    ).rowcount


def _ask_later(db: Db, run: int) -> int:
    """Edits of a follow-up without a first answer count when its first question is asked again."""
    scope: dict[str, object] = {"run": run, "reason": Reason.NO_FIRST_ANSWER}
    waiting = "run_id = %(run)s AND changed = 1 AND state = 'cancelled' AND reason = %(reason)s"
    take_edits(db, f"SELECT id FROM tasks WHERE {waiting}", scope)
    return db.execute(f"UPDATE tasks SET changed = 0 WHERE {waiting}", scope).rowcount


def take_edits(db: Db, chosen: str, scope: dict[str, object]) -> None:
    """The edited requests of the *chosen* tasks are what is asked from now on.

    Who calls it clears ``changed``. What was kept before is an edit again: keep was said of a
    request that is gone.
    """
    db.execute(
        f"""
        UPDATE payloads
           SET (hash, body) = (SELECT hash, body FROM changes c WHERE c.task_id = payloads.task_id),
               kept_hash = NULL
         WHERE task_id IN (SELECT c.task_id FROM ({chosen}) AS p JOIN changes c ON c.task_id = p.id)
        """,
        scope,
    )
    db.execute(f"DELETE FROM changes WHERE task_id IN ({chosen})", scope)

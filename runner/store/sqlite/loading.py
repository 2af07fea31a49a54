"""Runs and their rows: what is new is queued, what is known is left alone, what changed is noted.

A chunk is staged in temporary tables and merged by a few set-based statements, whatever its size.
"""

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from runner.clock import from_ms, to_ms
from runner.errors import WrongInput
from runner.lifecycle import MOVES, Event, State, after
from runner.store.protocol import Added, Decision, Run
from runner.task import InputRow, Target, short_digest

STAGING = (
    """
    CREATE TEMP TABLE IF NOT EXISTS staged_rows (
        position INTEGER PRIMARY KEY, line INTEGER, key BLOB, row_id INTEGER, cells TEXT
    )
    """,
    """
    CREATE TEMP TABLE IF NOT EXISTS staged_asks (
        position INTEGER, target_id INTEGER, sample INTEGER, turn INTEGER, hash BLOB, body TEXT
    )
    """,
    "CREATE INDEX IF NOT EXISTS temp.staged_asks_by_row ON staged_asks (position)",
)


def newest_run(db: sqlite3.Connection, job: str, key: str) -> Run | None:
    found = runs(db, job=job, key=key)
    return found[-1] if found else None


def runs(db: sqlite3.Connection, *, job: str | None = None, key: str | None = None) -> list[Run]:
    rows = db.execute(
        """
        SELECT r.id, j.name, r.key, r.fresh, r.api, r.key_columns, r.created_at
          FROM runs r JOIN jobs j ON j.id = r.job_id
         WHERE (:job IS NULL OR j.name = :job) AND (:key IS NULL OR r.key = :key)
         ORDER BY r.id
        """,
        {"job": job, "key": key},
    )
    return [
        Run(
            id=id_,
            job=name,
            key=key_,
            fresh=fresh,
            api=api,
            key_columns=tuple(json.loads(key_columns)),
            created_at=from_ms(created_at),
        )
        for id_, name, key_, fresh, api, key_columns, created_at in rows
    ]


def begin_run(
    db: sqlite3.Connection,
    *,
    job: str,
    key: str,
    fresh: int,
    api: str,
    key_columns: Sequence[str],
    targets: Sequence[tuple[Target, int]],
    now: datetime,
) -> Run:
    db.execute("INSERT OR IGNORE INTO jobs (name) VALUES (?)", (job,))
    (job_id,) = db.execute("SELECT id FROM jobs WHERE name = ?", (job,)).fetchone()
    # From the job's own words, so that a store rebuilt from nothing makes the same tags.
    tag_part = short_digest(json.dumps([job, key, fresh]).encode(), 8)
    db.execute(
        """
        INSERT OR IGNORE INTO runs (job_id, key, fresh, tag_part, api, key_columns, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """,
        (job_id, key, fresh, tag_part, api, json.dumps(list(key_columns)), to_ms(now)),
    )
    (run,) = (found for found in runs(db, job=job, key=key) if found.fresh == fresh)
    db.execute("INSERT OR IGNORE INTO run_money (run_id) VALUES (?)", (run.id,))
    for target, reserve in targets:
        _keep_target(db, run.id, target, reserve)
    return run


def _keep_target(db: sqlite3.Connection, run: int, target: Target, reserve: int) -> None:
    row = db.execute(
        "SELECT endpoint FROM targets WHERE run_id = ? AND name = ?", (run, target.name)
    ).fetchone()
    if row and row[0] != str(target.endpoint):
        raise WrongInput(
            f'target "{target.name}" was {row[0]} in this run and is {target.endpoint} now',
            why="its tasks would be asked of another API than the one that answered the others",
            how="give the new target a name of its own, or start a new run with --fresh",
        )
    db.execute(
        """
        INSERT INTO targets (run_id, name, endpoint, model, parameters, reserve_nanousd)
        VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (run_id, name) DO UPDATE
           SET model = excluded.model, parameters = excluded.parameters,
               reserve_nanousd = excluded.reserve_nanousd
        """,
        (
            run,
            target.name,
            str(target.endpoint),
            target.model,
            json.dumps(dict(target.parameters), sort_keys=True, default=str),
            reserve,
        ),
    )


def begin_load(
    db: sqlite3.Connection,
    run: int,
    *,
    digest: str,
    source: str,
    columns: Sequence[str],
    now: datetime,
) -> int | None:
    latest = db.execute(
        "SELECT digest, finished_at FROM loads WHERE run_id = ? ORDER BY id DESC LIMIT 1", (run,)
    ).fetchone()
    if latest and latest[0] == digest and latest[1] is not None:
        return None
    row = db.execute(
        """
        INSERT INTO loads (run_id, digest, source, columns, started_at) VALUES (?, ?, ?, ?, ?)
        RETURNING id
        """,
        (run, digest, source, json.dumps(list(columns)), to_ms(now)),
    ).fetchone()
    return int(row[0])


def end_load(db: sqlite3.Connection, load: int, *, rejected: int, now: datetime) -> None:
    db.execute(
        "UPDATE loads SET rejected = ?, finished_at = ? WHERE id = ?", (rejected, to_ms(now), load)
    )


def add_rows(
    db: sqlite3.Connection, load: int, rows: Sequence[InputRow], *, now: datetime
) -> Added:
    if not rows:
        return Added()
    (run,) = db.execute("SELECT run_id FROM loads WHERE id = ?", (load,)).fetchone()
    asks = _stage(db, run, rows)
    scope = {
        "run": run,
        "load": load,
        "now": to_ms(now),
        "first": rows[0].position,
        "last": rows[-1].position,
        "pending": State.PENDING,
    }
    _merge_rows(db, scope)
    (last_task,) = db.execute("SELECT coalesce(max(id), 0) FROM tasks").fetchone()
    new = _queue_tasks(db, scope | {"last_task": last_task})
    if new < asks:
        _note_changes(db, scope | {"last_task": last_task})
    distinct, distinct_asks = db.execute(
        """
        SELECT count(DISTINCT i.position), count(a.position)
          FROM input_rows i LEFT JOIN staged_asks a ON a.position = i.position
         WHERE i.load_id = :load AND i.position BETWEEN :first AND :last AND i.duplicate_of IS NULL
        """,
        scope,
    ).fetchone()
    duplicates = len(rows) - distinct
    db.execute(
        "UPDATE loads SET row_count = row_count + ?, duplicates = duplicates + ? WHERE id = ?",
        (len(rows), duplicates, load),
    )
    return Added(rows=len(rows), duplicates=duplicates, new=new, known=distinct_asks - new)


def _stage(db: sqlite3.Connection, run: int, rows: Sequence[InputRow]) -> int:
    for statement in STAGING:
        db.execute(statement)
    db.execute("DELETE FROM staged_rows")
    db.execute("DELETE FROM staged_asks")
    targets = dict(db.execute("SELECT name, id FROM targets WHERE run_id = ?", (run,)).fetchall())
    db.executemany(
        "INSERT INTO staged_rows (position, line, key, cells) VALUES (?, ?, ?, ?)",
        ((row.position, row.line, row.key, row.cells.decode()) for row in rows),
    )
    db.executemany(
        "INSERT INTO staged_asks VALUES (?, ?, ?, ?, ?, ?)",
        (
            (
                row.position,
                targets[ask.target],
                ask.sample,
                ask.turn,
                hashlib.blake2b(ask.body, digest_size=8).digest(),
                ask.body.decode(),
            )
            for row in rows
            for ask in row.asks
        ),
    )
    return sum(len(row.asks) for row in rows)


def _merge_rows(db: sqlite3.Connection, scope: dict[str, object]) -> None:
    db.execute(
        """
        INSERT OR IGNORE INTO rows (run_id, key)
        SELECT :run, key FROM staged_rows ORDER BY position
        """,
        scope,
    )
    db.execute(
        """
        UPDATE staged_rows
           SET row_id = (SELECT id FROM rows WHERE run_id = :run AND rows.key = staged_rows.key)
        """,
        scope,
    )
    # A row that moved within the input has one line: where the latest load has it.
    db.execute(
        """
        DELETE FROM input_rows
         WHERE row_id IN (SELECT row_id FROM staged_rows)
           AND (load_id <> :load OR position BETWEEN :first AND :last)
        """,
        scope,
    )
    db.execute(
        """
        INSERT INTO input_rows (load_id, position, line, row_id, cells)
        SELECT :load, position, line, row_id, cells FROM staged_rows ORDER BY position
        """,
        scope,
    )
    db.execute(
        """
        UPDATE input_rows
           SET duplicate_of = (SELECT nullif(min(o.position), input_rows.position) FROM input_rows o
                                WHERE o.row_id = input_rows.row_id AND o.load_id = :load)
         WHERE load_id = :load AND position BETWEEN :first AND :last
        """,
        scope,
    )


def _queue_tasks(db: sqlite3.Connection, scope: dict[str, object]) -> int:
    new = db.execute(
        """
        INSERT OR IGNORE INTO tasks (run_id, row_id, target_id, sample, turn, state, due_at)
        SELECT :run, r.row_id, a.target_id, a.sample, a.turn, :pending, :now
          FROM staged_asks a JOIN staged_rows r ON r.position = a.position
         ORDER BY a.rowid
        """,
        scope,
    ).rowcount
    db.execute(
        """
        INSERT OR IGNORE INTO payloads (task_id, hash, body)
        SELECT t.id, a.hash, a.body
          FROM staged_asks a
          JOIN staged_rows r ON r.position = a.position
          JOIN tasks t ON t.row_id = r.row_id AND t.target_id = a.target_id
                      AND t.sample = a.sample AND t.turn = a.turn
         WHERE t.id > :last_task
         ORDER BY a.rowid
        """,
        scope,
    )
    return new


def _note_changes(db: sqlite3.Connection, scope: dict[str, object]) -> None:
    """Compare known tasks with what the input asks now; an edit taken back is no change."""
    known = """
          FROM staged_asks a
          JOIN staged_rows r ON r.position = a.position
          JOIN tasks t ON t.row_id = r.row_id AND t.target_id = a.target_id
                      AND t.sample = a.sample AND t.turn = a.turn AND t.id <= :last_task
          JOIN payloads p ON p.task_id = t.id
    """
    db.execute(
        f"""
        INSERT INTO changes (task_id, hash, body)
        SELECT t.id, a.hash, a.body {known}
         WHERE p.hash <> a.hash AND p.kept_hash IS NOT a.hash
        ON CONFLICT (task_id) DO UPDATE SET hash = excluded.hash, body = excluded.body
        """,
        scope,
    )
    db.execute(
        f"""
        DELETE FROM changes WHERE task_id IN (
            SELECT t.id {known} WHERE t.changed = 1 AND (p.hash = a.hash OR p.kept_hash IS a.hash))
        """,
        scope,
    )
    db.execute(
        f"""
        UPDATE tasks SET changed = EXISTS (SELECT 1 FROM changes c WHERE c.task_id = tasks.id)
         WHERE id IN (SELECT t.id {known}
                       WHERE t.changed <> EXISTS (SELECT 1 FROM changes c WHERE c.task_id = t.id))
        """,
        scope,
    )


def decide_changes(db: sqlite3.Connection, run: int, decision: Decision, *, now: datetime) -> int:
    if decision is Decision.KEEP:
        kept = db.execute(
            """
            UPDATE payloads
               SET kept_hash = (SELECT hash FROM changes c WHERE c.task_id = payloads.task_id)
             WHERE task_id IN (SELECT id FROM tasks WHERE run_id = ? AND changed = 1)
            """,
            (run,),
        ).rowcount
        db.execute(
            """
            DELETE FROM changes
             WHERE task_id IN (SELECT id FROM tasks WHERE run_id = ? AND changed = 1)
            """,
            (run,),
        )
        db.execute("UPDATE tasks SET changed = 0 WHERE run_id = ? AND changed = 1", (run,))
        return kept
    askable = [State.PENDING, *(s for s, moves in MOVES.items() if _by_change(s, moves))]
    return sum(_ask_changed(db, run, state, now) for state in askable)


def _by_change(state: State, moves: dict[Event, State]) -> bool:
    # A quarantined task may still be at the API: only `resolve` may give it another attempt.
    return Event.ASKED_AGAIN in moves and state is not State.QUARANTINED


def _ask_changed(db: sqlite3.Connection, run: int, state: State, now: datetime) -> int:
    scope = {"run": run, "state": state, "now": to_ms(now)}
    chosen = "SELECT id FROM tasks WHERE run_id = :run AND changed = 1 AND state = :state"
    db.execute(
        f"""
        UPDATE payloads
           SET (hash, body) = (SELECT hash, body FROM changes c WHERE c.task_id = payloads.task_id)
         WHERE task_id IN ({chosen})
        """,
        scope,
    )
    db.execute(f"DELETE FROM changes WHERE task_id IN ({chosen})", scope)
    to = state if state is State.PENDING else after(state, Event.ASKED_AGAIN)
    return db.execute(
        """
        UPDATE tasks SET state = :to, reason = '', changed = 0, tries = 0, due_at = :now
         WHERE run_id = :run AND changed = 1 AND state = :state
        """,
        scope | {"to": to},
    ).rowcount

"""The rows of a run: what is new is queued, what is known is left alone, what changed is noted.

A chunk is staged in temporary tables and merged by a few set-based statements, whatever its size.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from runner.clock import to_ms
from runner.failpoints import Point, hit
from runner.lifecycle import State
from runner.rows import InputRow
from runner.store.postgres import follow_ups
from runner.store.postgres.changes import note_changes
from runner.store.postgres.connection import Db
from runner.store.postgres.gone import withhold_unasked
from runner.store.postgres.runs import hold_run
from runner.store.values import Added

PART: Final = 2_000
"""Rows staged at a time. One transaction may have several parts: it is the commit that costs."""

STAGING: Final = (
    """
    CREATE TEMP TABLE IF NOT EXISTS staged_rows (
        position bigint PRIMARY KEY, line bigint, key bytea, row_id bigint, cells text
    ) ON COMMIT DROP
    """,
    """
    CREATE TEMP TABLE IF NOT EXISTS staged_asks (
        number bigint, position bigint, target_id bigint, sample bigint, turn bigint,
        hash bytea, body text
    ) ON COMMIT DROP
    """,
)


def begin_load(
    db: Db,
    run: int,
    *,
    digest: str,
    source: str,
    columns: Sequence[str],
    now: datetime,
) -> int | None:
    hold_run(db, run)
    latest = db.execute(
        "SELECT digest, finished_at FROM loads WHERE run_id = %s ORDER BY id DESC LIMIT 1", (run,)
    ).fetchone()
    if latest and latest[0] == digest and latest[1] is not None:
        return None
    row = db.execute(
        """
        INSERT INTO loads (run_id, digest, source, columns, started_at) VALUES (%s, %s, %s, %s, %s)
        RETURNING id
        """,
        (run, digest, source, json.dumps(list(columns)), to_ms(now)),
    ).fetchone()
    return int(row[0])


def being_loaded(db: Db, run: int) -> bool:
    """Whether the run's latest load is not finished: it goes on, or was broken off."""
    latest = db.execute(
        "SELECT finished_at FROM loads WHERE run_id = %s ORDER BY id DESC LIMIT 1", (run,)
    ).fetchone()
    return latest is not None and latest[0] is None


def end_load(db: Db, load: int, *, rejected: int, now: datetime) -> None:
    db.execute(
        "UPDATE loads SET rejected = %s, finished_at = %s WHERE id = %s",
        (rejected, to_ms(now), load),
    )
    hit(Point.LOAD_INSIDE)


def add_rows(db: Db, load: int, rows: Sequence[InputRow], *, now: datetime) -> Added:
    added = Added()
    for first in range(0, len(rows), PART):
        added += _add_part(db, load, rows[first : first + PART], now=now)
    hit(Point.ROWS_INSIDE)
    return added


def _add_part(db: Db, load: int, rows: Sequence[InputRow], *, now: datetime) -> Added:
    (run,) = db.execute("SELECT run_id FROM loads WHERE id = %s", (load,)).fetchone()
    hold_run(db, run)
    asks = _stage(db, run, rows)
    scope = {
        "run": run,
        "load": load,
        "now": to_ms(now),
        "first": rows[0].position,
        "last": rows[-1].position,
        "pending": State.PENDING,
    }
    lines_before, duplicates_before = _lines_of_part(db, scope)
    _merge_rows(db, scope)
    (last_task,) = db.execute("SELECT coalesce(max(id), 0) FROM tasks").fetchone()
    new = _queue_tasks(db, scope | {"last_task": last_task}, last_task)
    if new < asks:
        note_changes(db, scope | {"last_task": last_task})
    withhold_unasked(db, scope | {"last_task": last_task})
    lines, duplicates = _lines_of_part(db, scope)
    # A part that was added before is replaced, not counted twice.
    db.execute(
        "UPDATE loads SET row_count = row_count + %s, duplicates = duplicates + %s WHERE id = %s",
        (lines - lines_before, duplicates - duplicates_before, load),
    )
    (asked,) = db.execute(
        """
        SELECT count(*) FROM staged_asks a
         JOIN input_rows i ON i.load_id = %(load)s AND i.position = a.position
         WHERE i.duplicate_of IS NULL
        """,
        scope,
    ).fetchone()
    return Added(rows=lines, duplicates=duplicates, new=new, known=asked - new)


def _lines_of_part(db: Db, scope: dict[str, object]) -> tuple[int, int]:
    """Input lines in the positions of the part that is being added, and how many are duplicates."""
    lines, duplicates = db.execute(
        """
        SELECT count(*), count(duplicate_of) FROM input_rows
         WHERE load_id = %(load)s AND position BETWEEN %(first)s AND %(last)s
        """,
        scope,
    ).fetchone()
    return lines, duplicates


def _stage(db: Db, run: int, rows: Sequence[InputRow]) -> int:
    for statement in STAGING:
        db.execute(statement)
    db.execute("DELETE FROM staged_rows")
    db.execute("DELETE FROM staged_asks")
    targets = dict(db.execute("SELECT name, id FROM targets WHERE run_id = %s", (run,)).fetchall())
    db.copy(
        "staged_rows",
        "position, line, key, cells",
        ((row.position, row.line, row.key, row.cells.decode()) for row in rows),
    )
    db.copy(
        "staged_asks",
        "number, position, target_id, sample, turn, hash, body",
        (
            (
                number,
                row.position,
                targets[ask.target],
                ask.sample,
                ask.turn,
                hashlib.blake2b(ask.body, digest_size=8).digest(),
                ask.body.decode(),
            )
            for number, (row, ask) in enumerate((row, ask) for row in rows for ask in row.asks)
        ),
    )
    db.execute("ANALYZE staged_rows, staged_asks")
    return sum(len(row.asks) for row in rows)


def _merge_rows(db: Db, scope: dict[str, object]) -> None:
    db.execute(
        """
        INSERT INTO rows (run_id, key)
        SELECT %(run)s, key FROM staged_rows ORDER BY key
            ON CONFLICT DO NOTHING
        """,
        scope,
    )
    db.execute(
        """
        UPDATE staged_rows
           SET row_id = (SELECT id FROM rows WHERE run_id = %(run)s AND rows.key = staged_rows.key)
        """,
        scope,
    )
    # Else the row ids would be taken for unknown, and every join with them be done row by row.
    db.execute("ANALYZE staged_rows")
    # A row that moved within the input has one line: where the latest load has it.
    db.execute(
        """
        DELETE FROM input_rows
         WHERE row_id IN (SELECT row_id FROM staged_rows)
           AND (load_id <> %(load)s OR position BETWEEN %(first)s AND %(last)s)
        """,
        scope,
    )
    db.execute(
        """
        INSERT INTO input_rows (load_id, position, line, row_id, cells)
        SELECT %(load)s, position, line, row_id, cells FROM staged_rows ORDER BY position
        """,
        scope,
    )
    # + 0: a load that has just begun is not in the statistics yet, and all of it would be read
    # again for each row.
    db.execute(
        """
        UPDATE input_rows AS i SET duplicate_of = f.position
          FROM staged_rows r,
               LATERAL (SELECT min(o.position) AS position FROM input_rows o
                         WHERE o.row_id = r.row_id AND o.load_id + 0 = %(load)s) AS f
         WHERE i.load_id = %(load)s AND i.position = r.position AND f.position < r.position
        """,
        scope,
    )


def _queue_tasks(db: Db, scope: dict[str, object], last_task: int) -> int:
    new = db.execute(
        """
        WITH asked AS MATERIALIZED (
            SELECT r.row_id, a.target_id, a.sample, a.turn, a.number, a.hash, a.body
              FROM staged_asks a JOIN staged_rows r ON r.position = a.position),
        queued AS (
            INSERT INTO tasks (run_id, row_id, target_id, sample, turn, state, due_at)
            SELECT %(run)s, row_id, target_id, sample, turn, %(pending)s,
                   CASE turn WHEN 1 THEN %(now)s END
              FROM asked ORDER BY number
                ON CONFLICT DO NOTHING
            RETURNING id, row_id, target_id, sample, turn)
        INSERT INTO payloads (task_id, hash, body)
        SELECT q.id, a.hash, a.body
          FROM queued q
          JOIN asked a ON a.row_id = q.row_id AND a.target_id = q.target_id
                      AND a.sample = q.sample AND a.turn = q.turn
         ORDER BY a.number
            ON CONFLICT DO NOTHING
        """,
        scope,
    ).rowcount
    if db.execute("SELECT EXISTS (SELECT 1 FROM staged_asks WHERE turn > 1)").fetchone()[0]:
        follow_ups.add(db, last_task=last_task)
    return new

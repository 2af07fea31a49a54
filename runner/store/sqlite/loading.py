"""The rows of a run: what is new is queued, what is known is left alone, what changed is noted.

    row key ── not seen before ──▶ line, tasks, payloads: there is nothing to compare them with
            └─ seen, or shared ──▶ staged in temporary tables, merged by a few statements

In a first load nearly every row goes the short way, at less than half the cost.
"""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from operator import itemgetter
from typing import Final

import msgspec

from runner.clock import to_ms
from runner.failpoints import Point, hit
from runner.lifecycle import State
from runner.rows import InputRow
from runner.store.sqlite import follow_ups
from runner.store.sqlite.changes import note_changes
from runner.store.sqlite.gone import withhold_unasked
from runner.store.values import Added

PART: Final = 2_000
"""Rows staged at a time. One transaction may have several parts: it is the commit that costs."""

STAGING: Final = (
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


def being_loaded(db: sqlite3.Connection, run: int) -> bool:
    """Whether the run's latest load is not finished: it goes on, or was broken off."""
    latest = db.execute(
        "SELECT finished_at FROM loads WHERE run_id = ? ORDER BY id DESC LIMIT 1", (run,)
    ).fetchone()
    return latest is not None and latest[0] is None


def end_load(db: sqlite3.Connection, load: int, *, rejected: int, now: datetime) -> None:
    db.execute(
        "UPDATE loads SET rejected = ?, finished_at = ? WHERE id = ?", (rejected, to_ms(now), load)
    )
    hit(Point.LOAD_INSIDE)


def add_rows(
    db: sqlite3.Connection, load: int, rows: Sequence[InputRow], *, now: datetime
) -> Added:
    added = Added()
    for first in range(0, len(rows), PART):
        added += _add_part(db, load, rows[first : first + PART], now=now)
    hit(Point.ROWS_INSIDE)
    return added


def _add_part(
    db: sqlite3.Connection, load: int, rows: Sequence[InputRow], *, now: datetime
) -> Added:
    (run,) = db.execute("SELECT run_id FROM loads WHERE id = ?", (load,)).fetchone()
    scope = {
        "run": run,
        "load": load,
        "now": to_ms(now),
        "first": rows[0].position,
        "last": rows[-1].position,
        "pending": State.PENDING,
    }
    targets = dict(db.execute("SELECT name, id FROM targets WHERE run_id = ?", (run,)).fetchall())
    lines_before, duplicates_before = _lines_of_part(db, scope)
    fresh, others = _add_keys(db, run, rows)
    added = _merge(db, scope, others, targets) if others else Added()
    added += _add_fresh(db, scope, fresh, targets)
    lines, duplicates = _lines_of_part(db, scope)
    # A part that was added before is replaced, not counted twice.
    db.execute(
        "UPDATE loads SET row_count = row_count + ?, duplicates = duplicates + ? WHERE id = ?",
        (lines - lines_before, duplicates - duplicates_before, load),
    )
    return replace(added, rows=lines, duplicates=duplicates)


def _add_keys(
    db: sqlite3.Connection, run: int, rows: Sequence[InputRow]
) -> tuple[list[tuple[int, InputRow]], list[InputRow]]:
    """Give each row that the run has not seen a number; those rows, and all others.

    Rows that share a key are compared with each other, and follow-ups wait for what they follow:
    both are left to the others.
    """
    (last,) = db.execute("SELECT coalesce(max(id), 0) FROM rows").fetchone()
    times = Counter([row.key for row in rows])
    alone = rows
    if len(times) < len(rows) or any(ask.turn > 1 for row in rows for ask in row.asks):
        alone = [r for r in rows if times[r.key] == 1 and all(ask.turn == 1 for ask in r.asks)]
    numbered = list(enumerate(alone, start=last + 1))
    # By key, so that neighbours in the index are written together.
    added = db.executemany(
        "INSERT OR IGNORE INTO rows (id, run_id, key) VALUES (?, ?, ?)",
        sorted([(id, run, row.key) for id, row in numbered], key=itemgetter(2)),
    ).rowcount
    if added == len(rows):
        return numbered, []
    new = {id for (id,) in db.execute("SELECT id FROM rows WHERE id > ?", (last,))}
    fresh = [(id, row) for id, row in numbered if id in new]
    positions = {row.position for _, row in fresh}
    return fresh, [row for row in rows if row.position not in positions]


def _add_fresh(
    db: sqlite3.Connection,
    scope: dict[str, object],
    rows: Sequence[tuple[int, InputRow]],
    targets: Mapping[str, int],
) -> Added:
    """Lines and tasks of rows that nothing is known about, so nothing is looked up for them."""
    load = scope["load"]
    db.executemany(
        "INSERT INTO input_rows (load_id, position, line, row_id, cells) VALUES (?, ?, ?, ?, ?)",
        ((load, row.position, row.line, id, row.cells.decode()) for id, row in rows),
    )
    # A number that was ever given is never given again, whether its task is still here or not.
    (last,) = db.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'tasks'"
    ).fetchone()
    asks = [(id, ask) for id, row in rows for ask in row.asks]
    # One statement, for each has to look up that number and to note it anew.
    db.execute(
        """
        INSERT INTO tasks (id, run_id, row_id, target_id, sample, turn, state, due_at)
        SELECT :last_task + 1 + key, :run, json_extract(value, '$[0]'),
               json_extract(value, '$[1]'), json_extract(value, '$[2]'), 1, :pending, :now
          FROM json_each(:asks)
        """,
        scope
        | {
            "last_task": last,
            "asks": msgspec.json.encode(
                [(id, targets[ask.target], ask.sample) for id, ask in asks]
            ).decode(),
        },
    )
    db.executemany(
        "INSERT INTO payloads (task_id, hash, body) VALUES (?, ?, ?)",
        (
            (task, _hash(ask.body), ask.body.decode())
            for task, (_, ask) in enumerate(asks, start=last + 1)
        ),
    )
    return Added(new=len(asks))


def _hash(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=8).digest()


def _merge(
    db: sqlite3.Connection,
    scope: dict[str, object],
    rows: Sequence[InputRow],
    targets: Mapping[str, int],
) -> Added:
    """Lines and tasks of rows that were seen before, in this load or an earlier one."""
    asks = _stage(db, rows, targets)
    _merge_rows(db, scope)
    (last_task,) = db.execute("SELECT coalesce(max(id), 0) FROM tasks").fetchone()
    new = _queue_tasks(db, scope | {"last_task": last_task}, last_task)
    if new < asks:
        note_changes(db, scope | {"last_task": last_task})
    withhold_unasked(db, scope | {"last_task": last_task})
    (asked,) = db.execute(
        """
        SELECT count(*) FROM staged_asks a
         CROSS JOIN input_rows i ON i.load_id = :load AND i.position = a.position
         WHERE i.duplicate_of IS NULL
        """,
        scope,
    ).fetchone()
    return Added(new=new, known=asked - new)


def _lines_of_part(db: sqlite3.Connection, scope: dict[str, object]) -> tuple[int, int]:
    """Input lines in the positions of the part that is being added, and how many are duplicates."""
    lines, duplicates = db.execute(
        """
        SELECT count(*), count(duplicate_of) FROM input_rows
         WHERE load_id = :load AND position BETWEEN :first AND :last
        """,
        scope,
    ).fetchone()
    return lines, duplicates


def _stage(db: sqlite3.Connection, rows: Sequence[InputRow], targets: Mapping[str, int]) -> int:
    for statement in STAGING:
        db.execute(statement)
    db.execute("DELETE FROM staged_rows")
    db.execute("DELETE FROM staged_asks")
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
                _hash(ask.body),
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
        SELECT :run, key FROM staged_rows ORDER BY key
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


def _queue_tasks(db: sqlite3.Connection, scope: dict[str, object], last_task: int) -> int:
    new = db.execute(
        """
        INSERT OR IGNORE INTO tasks (run_id, row_id, target_id, sample, turn, state, due_at)
        SELECT :run, r.row_id, a.target_id, a.sample, a.turn, :pending,
               CASE a.turn WHEN 1 THEN :now END
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
    if db.execute("SELECT EXISTS (SELECT 1 FROM staged_asks WHERE turn > 1)").fetchone()[0]:
        follow_ups.add(db, last_task=last_task)
    return new

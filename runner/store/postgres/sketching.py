"""As much of a store as a rehearsal of one run needs, from the server into a new file.

All that is small is taken whole; of rows, tasks and charges those of the run; of answers nothing.
The file is thrown away: it is no store to go on with.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from runner.store.postgres.connection import Db
from runner.store.postgres.moving import Server, tables_of

_LEFT_OUT: Final = frozenset(
    {"replies", "results", "citations", "extra_replies", "inbox", "calls", "incidents", "scans"}
)
_OF_THE_RUN: Final = {
    "rows": "run_id = {run}",
    "tasks": "run_id = {run}",
    "attempts": "run_id = {run}",
    "loads": "run_id = {run}",
    "input_rows": "load_id IN (SELECT id FROM loads WHERE run_id = {run})",
    "batches": "id IN (SELECT batch_id FROM attempts WHERE run_id = {run})",
}
"""What grows with the past, and which of its rows are the run's; so does all that has a task."""

_ITS_TASKS: Final = "task_id IN (SELECT id FROM tasks WHERE run_id = {run})"


def is_empty(db: Db) -> bool:
    """Whether nothing was ever made in the database of *db*."""
    query = "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema())"
    return not db.execute(query).fetchone()[0]


def sketch(db: Db, path: Path, run: int) -> None:
    """Copy what there is of *run*, 0 for a new one, into the empty store in *path*."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA synchronous = OFF")
        file.execute("BEGIN IMMEDIATE")
        server = Server(db)
        triggers = file.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in triggers:
            file.execute(f"DROP TRIGGER {name}")
        for table, columns in tables_of(file).items():
            if table in _LEFT_OUT:
                continue
            rows = server.rows(table, columns, _which(table, columns).format(run=run))
            marks = ", ".join("?" * len(columns))
            file.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
        for _, sql in triggers:
            file.execute(sql)
        file.execute("COMMIT")


def _which(table: str, columns: Sequence[str]) -> str:
    if table in _OF_THE_RUN:
        return _OF_THE_RUN[table]
    return _ITS_TASKS if "task_id" in columns else "true"

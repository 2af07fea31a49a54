"""Whose store it is: the install id, the account it is bound to, the lives of its engine."""

import os
import secrets
import socket
import sqlite3
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime

from runner import __version__
from runner.clock import from_ms, to_ms
from runner.failpoints import Point, hit
from runner.lifecycle import Event, State, after
from runner.store.sqlite.living import bury, drop_leases
from runner.store.sqlite.lost_answers import lose_calls
from runner.store.sqlite.ready_list import trust_ready_list
from runner.store.workers import this_boot


def install_id(db: sqlite3.Connection) -> str:
    """Eight base32 characters that every tag of this store begins with; made once, at the latest
    with its first run: of whatever can be posted every copy knows whose it is."""
    row = db.execute("SELECT value FROM install WHERE name = 'install_id'").fetchone()
    if row:
        return str(row[0])
    return new_install_id(db)


def new_install_id(db: sqlite3.Connection) -> str:
    """From now on another one; where the old one is to be known is the caller's business."""
    made = b32encode(secrets.token_bytes(5)).decode().lower()
    db.execute("INSERT OR REPLACE INTO install (name, value) VALUES ('install_id', ?)", (made,))
    return made


def former_installs(db: sqlite3.Connection) -> list[str]:
    """The ids that the store had before it was claimed, the first one first."""
    row = db.execute("SELECT value FROM install WHERE name = 'former_installs'").fetchone()
    return str(row[0]).split() if row else []


def replaced_installs(db: sqlite3.Connection) -> list[str]:
    """The ids of stores that stood in the place of this one, and have posted."""
    row = db.execute("SELECT value FROM install WHERE name = 'replaced_installs'").fetchone()
    return str(row[0]).split() if row else []


def begin_worker(db: sqlite3.Connection, *, roles: str, now: datetime) -> int:
    """The kernel's lock on the store is ours, so every other worker is dead."""
    lose_batches(db, now=now)
    bury(db, now=now)
    db.execute(
        """
        UPDATE tasks SET leased_by = NULL, due_at = min(due_at, ?)
         WHERE state = 'posted' AND leased_by IS NOT NULL
        """,
        (to_ms(now),),
    )
    # This process has not seen the ready list yet.
    trust_ready_list(db, False, now=now)
    row = db.execute(
        """
        INSERT INTO workers (host, pid, boot, version, roles, started_at, heartbeat_at)
        VALUES (:host, :pid, :boot, :version, :roles, :now, :now)
        RETURNING id
        """,
        {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "boot": this_boot(),
            "version": __version__,
            "roles": roles,
            "now": to_ms(now),
        },
    ).fetchone()
    hit(Point.WORKER_INSIDE)
    return int(row[0])


def lose_batches(db: sqlite3.Connection, *, now: datetime) -> int:
    """Open batches of dead workers: nobody will ever read their replies. Returns tasks in doubt."""
    # Before the rest: a Live answer that nobody read is nowhere, so there is nothing to look for.
    lose_calls(db, now=now)
    doubt = {
        "unknown": after(State.POSTING, Event.LOST),
        "now": to_ms(now),
        "message": "the process died between its intent to post and the reply",
    }
    # Word for word the condition of the index tasks_in_doubt, or all tasks would be read through.
    db.execute(
        """
        UPDATE attempts
           SET state = :unknown, at_risk_nanousd = reserved_nanousd, reserved_nanousd = 0,
               message = :message
         WHERE state = 'posting' AND task_id IN (SELECT id FROM tasks
                                                  WHERE state IN ('posting', 'unknown')
                                                    AND state = 'posting')
        """,
        doubt,
    )
    lost = db.execute(
        """
        UPDATE tasks SET state = :unknown, due_at = NULL
         WHERE state IN ('posting', 'unknown') AND state = 'posting'
        """,
        doubt,
    ).rowcount
    db.execute(
        """
        UPDATE batches SET outcome = 'unknown', message = :message, settled_at = :now
         WHERE outcome IS NULL
        """,
        doubt,
    )
    return lost


def end_worker(db: sqlite3.Connection, worker: int, *, now: datetime) -> None:
    """It ends by itself: what it was asking for and what it did for all is free at once."""
    db.execute("UPDATE workers SET ended_at = ? WHERE id = ?", (to_ms(now), worker))
    drop_leases(db, worker)
    db.execute(
        """
        UPDATE tasks SET leased_by = NULL, due_at = min(due_at, ?)
         WHERE state = 'posted' AND leased_by = ?
        """,
        (to_ms(now), worker),
    )


@dataclass(frozen=True, slots=True)
class Worker:
    """One life of an engine process."""

    id: int
    host: str
    pid: int
    started_at: datetime


def current_worker(db: sqlite3.Connection) -> Worker | None:
    row = db.execute(
        """
        SELECT id, host, pid, started_at FROM workers
         WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1
        """
    ).fetchone()
    return Worker(row[0], row[1], row[2], from_ms(row[3])) if row else None

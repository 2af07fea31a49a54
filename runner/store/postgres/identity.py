"""Whose store it is: the install id, the account it is bound to, the lives of its engine."""

import os
import secrets
import socket
from base64 import b32encode
from dataclasses import dataclass
from datetime import datetime

from runner import __version__
from runner.clock import from_ms, to_ms
from runner.failpoints import Point, hit
from runner.store.postgres.connection import Db
from runner.store.postgres.living import drop_leases
from runner.store.workers import this_boot


def install_id(db: Db) -> str:
    """Eight base32 characters that every tag of this store begins with; made once, at the latest
    with its first run: of whatever can be posted every copy knows whose it is."""
    row = db.execute("SELECT value FROM install WHERE name = 'install_id'").fetchone()
    if row:
        return str(row[0])
    # Of two hosts that meet a new store at once, the first names it.
    db.execute("INSERT INTO install VALUES ('install_id', %s) ON CONFLICT DO NOTHING", (_new_id(),))
    return install_id(db)


def new_install_id(db: Db) -> str:
    """From now on another one; where the old one is to be known is the caller's business."""
    made = _new_id()
    db.execute(
        """
        INSERT INTO install (name, value) VALUES ('install_id', %s)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value
        """,
        (made,),
    )
    return made


def _new_id() -> str:
    return b32encode(secrets.token_bytes(5)).decode().lower()


def former_installs(db: Db) -> list[str]:
    """The ids that the store had before it was claimed, the first one first."""
    row = db.execute("SELECT value FROM install WHERE name = 'former_installs'").fetchone()
    return str(row[0]).split() if row else []


def replaced_installs(db: Db) -> list[str]:
    """The ids of stores that stood in the place of this one, and have posted."""
    row = db.execute("SELECT value FROM install WHERE name = 'replaced_installs'").fetchone()
    return str(row[0]).split() if row else []


def begin_worker(db: Db, *, roles: str, now: datetime) -> int:
    """Note that this process is one of the store's engines."""
    row = db.execute(
        """
        INSERT INTO workers (host, pid, boot, version, roles, started_at, heartbeat_at)
        VALUES (%(host)s, %(pid)s, %(boot)s, %(version)s, %(roles)s, %(now)s, %(now)s)
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


def end_worker(db: Db, worker: int, *, now: datetime) -> None:
    """It ends by itself: what it was asking for and what it did for all is free at once."""
    db.execute("UPDATE workers SET ended_at = %s WHERE id = %s", (to_ms(now), worker))
    drop_leases(db, worker)
    db.execute(
        """
        UPDATE tasks SET leased_by = NULL, due_at = least(due_at, %s)
         WHERE state = 'posted' AND leased_by = %s
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


def current_worker(db: Db) -> Worker | None:
    row = db.execute(
        """
        SELECT id, host, pid, started_at FROM workers
         WHERE ended_at IS NULL ORDER BY id DESC LIMIT 1
        """
    ).fetchone()
    return Worker(row[0], row[1], row[2], from_ms(row[3])) if row else None

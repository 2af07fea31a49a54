"""Whose store it is: the install id, the account it is bound to, the lives of its engine."""

import hashlib
import os
import secrets
import socket
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from runner import __version__
from runner.clock import from_ms, to_ms
from runner.errors import WrongInput
from runner.failpoints import Point, hit
from runner.lifecycle import Event, State, after
from runner.store.postgres.connection import WORKERS, Db
from runner.store.postgres.lost_answers import lose_calls
from runner.store.postgres.ready_list import trust_ready_list

TAKEN_FOR_DEAD: Final = "the process died between its intent to post and the reply"
"""What a batch says that somebody else ended. Its reply may come all the same (FAULTS.md 34)."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def install_id(db: Db) -> str:
    """Eight base32 characters that every tag of this store begins with; made once."""
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


def bind_account(db: Db, *, gateway: str, base_url: str, login: str) -> int:
    # The id that the store was made with: a claim does not change whose account it is.
    salt = [*former_installs(db), install_id(db)][0]
    login_hash = hashlib.sha256(f"{salt}:{login}".encode()).hexdigest()
    row = db.execute(
        "SELECT id, base_url, login_hash FROM accounts WHERE gateway = %s", (gateway,)
    ).fetchone()
    if row is None:
        made = db.execute(
            "INSERT INTO accounts (gateway, base_url, login_hash) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING RETURNING id",
            (gateway, base_url, login_hash),
        ).fetchone()
        hit(Point.ACCOUNT_INSIDE)
        if made is None:
            # Another host was first; whether it is the same account is to be seen.
            return bind_account(db, gateway=gateway, base_url=base_url, login=login)
        return int(made[0])
    account, bound_url, bound_login = row
    if bound_url != base_url:
        raise WrongInput(
            f"this store belongs to {bound_url}, not to {base_url}",
            why="ids and costs of two accounts must not mix in one store",
            how="name another store with --store, or set the base URL back",
        )
    if bound_login != login_hash:
        raise WrongInput(
            "this store belongs to another login of the same API",
            why="another login cannot read the results of the tasks in it",
            how="use the login it was made with, or name another store with --store",
        )
    return int(account)


def begin_worker(db: Db, dead: Sequence[int], *, now: datetime) -> int:
    """What the *dead* left open is let go; other workers go on."""
    lose_batches(db, dead, now=now)
    db.execute(
        """
        UPDATE tasks SET leased_by = NULL, due_at = least(due_at, %s)
         WHERE state = 'posted' AND leased_by = ANY(%s::bigint[])
        """,
        (to_ms(now), list(dead)),
    )
    # This process has not seen the ready list yet.
    trust_ready_list(db, False, now=now)
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    row = db.execute(
        """
        INSERT INTO workers (host, pid, boot, version, started_at) VALUES (%s, %s, %s, %s, %s)
        RETURNING id
        """,
        (socket.gethostname(), os.getpid(), boot, __version__, to_ms(now)),
    ).fetchone()
    hit(Point.WORKER_INSIDE)
    return int(row[0])


def lose_batches(db: Db, dead: Sequence[int], *, now: datetime) -> int:
    """Open batches of dead workers: nobody will ever read their replies. Returns tasks in doubt."""
    # Nobody settles one of them meanwhile.
    db.execute(
        """
        SELECT 1 FROM batches WHERE worker_id = ANY(%s::bigint[]) AND outcome IS NULL
         ORDER BY id FOR UPDATE
        """,
        (list(dead),),
    )
    # Before the rest: a Live answer that nobody read is nowhere, so there is nothing to look for.
    lose_calls(db, dead, now=now)
    doubt = {
        "unknown": after(State.POSTING, Event.LOST),
        "now": to_ms(now),
        "dead": list(dead),
        "message": TAKEN_FOR_DEAD,
    }
    # Word for word the condition of the index tasks_in_doubt, or all tasks would be read through.
    db.execute(
        """
        UPDATE attempts
           SET state = %(unknown)s, at_risk_nanousd = reserved_nanousd, reserved_nanousd = 0,
               message = %(message)s
         WHERE state = 'posting' AND task_id IN (SELECT id FROM tasks
                                                  WHERE state IN ('posting', 'unknown')
                                                    AND state = 'posting')
           AND batch_id IN (SELECT id FROM batches
                             WHERE worker_id = ANY(%(dead)s::bigint[]) AND outcome IS NULL)
        """,
        doubt,
    )
    lost = db.execute(
        """
        UPDATE tasks SET state = %(unknown)s, due_at = NULL
         WHERE state IN ('posting', 'unknown') AND state = 'posting'
           AND EXISTS (SELECT 1 FROM attempts a JOIN batches b ON b.id = a.batch_id
                        WHERE a.task_id = tasks.id AND a.number = tasks.attempt
                          AND b.worker_id = ANY(%(dead)s::bigint[]) AND b.outcome IS NULL)
        """,
        doubt,
    ).rowcount
    db.execute(
        """
        UPDATE batches SET outcome = 'unknown', message = %(message)s, settled_at = %(now)s
         WHERE outcome IS NULL AND worker_id = ANY(%(dead)s::bigint[])
        """,
        doubt,
    )
    return lost


def end_worker(db: Db, worker: int, *, now: datetime) -> None:
    db.execute("UPDATE workers SET ended_at = %s WHERE id = %s", (to_ms(now), worker))


def revive(db: Db, worker: int) -> None:
    """Count *worker* among the living again if it was taken for dead: what it is about to post is
    put in doubt when it really dies."""
    (ended_at,) = db.execute("SELECT ended_at FROM workers WHERE id = %s", (worker,)).fetchone()
    if ended_at is not None:
        db.execute("UPDATE workers SET ended_at = NULL WHERE id = %s", (worker,))


def dead_workers(db: Db, *, but: int | None = None) -> list[int]:
    """Workers that have not ended and hold no connection, and *but*, whose life is over.

    Death is only assumed (RECONCILING.md R1): who lost the connection for a moment is taken for
    dead, and what it posts meanwhile is found by the reconciler, which waits longer than that.
    """
    alive = set(living_workers(db)) - {but}
    rows = db.execute("SELECT id FROM workers WHERE ended_at IS NULL ORDER BY id")
    return [worker for (worker,) in rows if worker not in alive]


def living_workers(db: Db) -> list[int]:
    """Workers that have not ended and hold a connection."""
    rows = db.execute(
        """
        SELECT id FROM workers
         WHERE ended_at IS NULL
           AND id IN (SELECT objid::bigint FROM pg_locks
                       WHERE locktype = 'advisory' AND classid = %s AND granted
                         AND database = (SELECT oid FROM pg_database
                                          WHERE datname = current_database()))
         ORDER BY id
        """,
        (WORKERS,),
    )
    return [worker for (worker,) in rows]


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


def recent_calls(
    db: Db, account: int, kind: str, *, since: datetime, told: datetime, now: datetime
) -> list[datetime]:
    ahead = now - told
    rows = db.execute(
        "SELECT at FROM calls WHERE account_id = %s AND kind = %s AND at >= %s ORDER BY at",
        (account, kind, to_ms(since + ahead)),
    )
    return [from_ms(at) - ahead for (at,) in rows]


def note_call(
    db: Db, account: int, kind: str, *, at: datetime, told: datetime, now: datetime
) -> None:
    at += now - told
    db.execute(
        "DELETE FROM calls WHERE account_id = %s AND kind = %s AND at < %s",
        (account, kind, to_ms(at - timedelta(minutes=2))),
    )
    db.execute(
        "INSERT INTO calls (account_id, kind, at) VALUES (%s, %s, %s)", (account, kind, to_ms(at))
    )

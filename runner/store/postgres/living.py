"""The engines at work: who lives, by the server's clock and locks, and who does what for all."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from runner.clock import from_ms, to_ms
from runner.store.postgres.connection import WORKERS, Db
from runner.store.workers import (
    GRACE,
    LEASE,
    REMEMBERED,
    SILENCE,
    Duty,
    WorkerLine,
    WorkerState,
    certainly_gone,
)

LOADERS: Final = 0x6C6F6164
"""Class of the advisory lock that who loads holds."""


def beat(db: Db, worker: int, *, now: datetime) -> bool:
    before = db.execute(
        "SELECT ended_at FROM workers WHERE id = %s FOR UPDATE", (worker,)
    ).fetchone()
    db.execute(
        """
        UPDATE workers SET heartbeat_at = %s, ended_at = NULL, presumed_dead_at = NULL
         WHERE id = %s
        """,
        (to_ms(now), worker),
    )
    return before is not None and before[0] is None


def revive(db: Db, worker: int) -> None:
    """Count *worker* among the living again if it was taken for dead: what it is about to post is
    put in doubt when it really dies. Nobody takes it for dead until this is committed."""
    (ended_at,) = db.execute(
        "SELECT ended_at FROM workers WHERE id = %s FOR SHARE", (worker,)
    ).fetchone()
    if ended_at is not None:
        db.execute(
            "UPDATE workers SET ended_at = NULL, presumed_dead_at = NULL WHERE id = %s", (worker,)
        )


def find_dead(db: Db, *, but: int | None = None, now: datetime) -> list[int]:
    """Workers to be taken for dead, held so that nobody else does; not *but*."""
    connected = connected_workers(db)

    def dead_among(which: str, *values: object) -> list[int]:
        rows = db.execute(
            f"SELECT id, host, pid, boot, heartbeat_at FROM workers WHERE ended_at IS NULL {which}",
            values,
        )
        return [
            worker
            for worker, host, pid, boot, heartbeat_at in rows
            if is_dead(from_ms(heartbeat_at), connected=worker in connected, now=now)
            or certainly_gone(host, pid, boot)
        ]

    silent = dead_among("AND id <> %s", but or 0)
    # Looked at once more: one may have beaten since. One that is just posting is passed over.
    held = "AND id = ANY(%s::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED"
    return dead_among(held, silent) if silent else []


def is_dead(heartbeat_at: datetime, *, connected: bool, now: datetime) -> bool:
    return now - heartbeat_at > (SILENCE if connected else GRACE)


def connected_workers(db: Db) -> frozenset[int]:
    """Workers that hold a connection."""
    rows = db.execute(
        """
        SELECT objid::bigint FROM pg_locks
         WHERE locktype = 'advisory' AND classid = %s AND granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """,
        (WORKERS,),
    )
    return frozenset(worker for (worker,) in rows)


def bury(db: Db, dead: Collection[int], *, now: datetime) -> None:
    """Note that *dead* were taken for dead; what they did for all is anybody's."""
    moment, gone = to_ms(now), list(dead)
    db.execute(
        """
        UPDATE workers SET ended_at = %s, presumed_dead_at = %s WHERE id = ANY(%s::bigint[])
        """,
        (moment, moment, gone),
    )
    db.execute("DELETE FROM leases WHERE worker_id = ANY(%s::bigint[])", (gone,))


def living_workers(db: Db, *, now: datetime) -> list[int]:
    """Workers that have not ended and that nobody would take for dead now."""
    connected = connected_workers(db)
    rows = db.execute("SELECT id, heartbeat_at FROM workers WHERE ended_at IS NULL ORDER BY id")
    return [
        worker
        for worker, heartbeat_at in rows
        if not is_dead(from_ms(heartbeat_at), connected=worker in connected, now=now)
    ]


def hold_lease(
    db: Db,
    account: int,
    duty: Duty,
    worker: int,
    *,
    lasts: timedelta = LEASE,
    now: datetime,
) -> bool:
    moment = to_ms(now)
    # Mostly it is another's, and to see that nothing need be written.
    others = db.execute(
        """
        SELECT 1 FROM leases
         WHERE account_id = %s AND what = %s AND worker_id <> %s AND until > %s
        """,
        (account, duty, worker, moment),
    ).fetchone()
    if others is not None:
        return False
    held = db.execute(
        """
        INSERT INTO leases (account_id, what, worker_id, until)
        VALUES (%(account)s, %(what)s, %(worker)s, %(until)s)
            ON CONFLICT (account_id, what)
            DO UPDATE SET worker_id = excluded.worker_id, until = excluded.until
         WHERE leases.worker_id = excluded.worker_id OR leases.until <= %(now)s
        """,
        {
            "account": account,
            "what": duty,
            "worker": worker,
            "until": to_ms(now + lasts),
            "now": moment,
        },
    )
    return held.rowcount == 1


def hold_loading(db: Db) -> bool:
    """Be the only one who loads for as long as the connection lasts; False if another is."""
    (held,) = db.execute("SELECT pg_try_advisory_lock(%s, 0)", (LOADERS,)).fetchone()
    return bool(held)


def drop_leases(db: Db, worker: int) -> None:
    db.execute("DELETE FROM leases WHERE worker_id = %s", (worker,))


def without_reader(db: Db, *, now: datetime) -> list[int]:
    """Accounts whose ready list nobody reads, nor sees to it whether it is trusted."""
    rows = db.execute(
        """
        SELECT id FROM accounts
         WHERE id NOT IN (SELECT account_id FROM leases WHERE what = %s AND until > %s)
         ORDER BY id
        """,
        (Duty.READY_LIST, to_ms(now)),
    )
    return [account for (account,) in rows]


def workers(db: Db, *, now: datetime) -> list[WorkerLine]:
    connected = connected_workers(db)
    rows = db.execute(
        """
        SELECT w.id, w.host, w.pid, w.roles, w.version, w.started_at, w.heartbeat_at, w.ended_at,
               w.presumed_dead_at IS NOT NULL,
               (SELECT count(*) FROM batches b WHERE b.worker_id = w.id AND b.outcome IS NULL),
               ARRAY(SELECT l.what FROM leases l
                      WHERE l.worker_id = w.id AND l.until > %(now)s ORDER BY l.what)
          FROM workers w
         WHERE w.ended_at IS NULL OR w.ended_at > %(since)s
         ORDER BY w.ended_at IS NOT NULL, w.id DESC
        """,
        {"now": to_ms(now), "since": to_ms(now - REMEMBERED)},
    )
    return [
        WorkerLine(
            id=id_,
            host=host,
            pid=pid,
            roles=roles,
            version=version,
            started_at=from_ms(started_at),
            silent_s=max(0.0, (now - from_ms(ended_at or heartbeat_at)).total_seconds()),
            state=_state(
                ended=ended_at is not None,
                presumed=presumed,
                dead=is_dead(from_ms(heartbeat_at), connected=id_ in connected, now=now),
            ),
            open_batches=batches,
            leases=tuple(dict.fromkeys(leases)),
        )
        for (
            id_,
            host,
            pid,
            roles,
            version,
            started_at,
            heartbeat_at,
            ended_at,
            presumed,
            batches,
            leases,
        ) in rows
    ]


def _state(*, ended: bool, presumed: bool, dead: bool) -> WorkerState:
    if presumed or (dead and not ended):
        return WorkerState.TAKEN_FOR_DEAD
    return WorkerState.ENDED if ended else WorkerState.WORKING

"""The lives of the engine: one at a time, which the kernel's lock proves. Heartbeats are shown."""

import sqlite3
from datetime import datetime, timedelta

from runner.clock import from_ms, to_ms
from runner.store.workers import LEASE, REMEMBERED, SILENCE, Duty, WorkerLine, WorkerState


def beat(db: sqlite3.Connection, worker: int, *, now: datetime) -> bool:
    db.execute("UPDATE workers SET heartbeat_at = ? WHERE id = ?", (to_ms(now), worker))
    return True


def bury(db: sqlite3.Connection, *, now: datetime) -> None:
    """Every worker there was is dead: those that did not say so were killed."""
    db.execute(
        "UPDATE workers SET ended_at = :now, presumed_dead_at = :now WHERE ended_at IS NULL",
        {"now": to_ms(now)},
    )
    db.execute("DELETE FROM leases")


def hold_lease(
    db: sqlite3.Connection,
    account: int,
    duty: Duty,
    worker: int,
    *,
    lasts: timedelta = LEASE,
    now: datetime,
) -> bool:
    held = db.execute(
        """
        INSERT INTO leases (account_id, what, worker_id, until)
        VALUES (:account, :what, :worker, :until)
            ON CONFLICT (account_id, what)
            DO UPDATE SET worker_id = excluded.worker_id, until = excluded.until
         WHERE leases.worker_id = excluded.worker_id OR leases.until <= :now
        """,
        {
            "account": account,
            "what": duty,
            "worker": worker,
            "until": to_ms(now + lasts),
            "now": to_ms(now),
        },
    )
    return held.rowcount == 1


def drop_leases(db: sqlite3.Connection, worker: int) -> None:
    db.execute("DELETE FROM leases WHERE worker_id = ?", (worker,))


def workers(db: sqlite3.Connection, *, now: datetime) -> list[WorkerLine]:
    rows = db.execute(
        """
        SELECT w.id, w.host, w.pid, w.roles, w.version, w.started_at, w.heartbeat_at, w.ended_at,
               w.presumed_dead_at IS NOT NULL,
               (SELECT count(*) FROM batches b WHERE b.worker_id = w.id AND b.outcome IS NULL),
               (SELECT group_concat(DISTINCT l.what) FROM leases l
                 WHERE l.worker_id = w.id AND l.until > :now)
          FROM workers w
         WHERE w.ended_at IS NULL OR w.ended_at > :since
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
                presumed=bool(presumed),
                dead=now - from_ms(heartbeat_at) > SILENCE,
            ),
            open_batches=batches,
            leases=tuple(sorted((leases or "").split(","))) if leases else (),
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

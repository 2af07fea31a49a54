"""What the audit reads of our books, and what is kept of its outcome."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from runner.clock import from_ms, to_ms
from runner.store.auditing import Audit, Expected
from runner.store.reconciling import IncidentKind, Sighting
from runner.store.sqlite.recovering import installs
from runner.task import RemoteId, Tag

TASKS_AT_ONCE: Final = 20_000
"""Task numbers looked through in one read: some hundredths of a second."""


def strange(
    db: sqlite3.Connection, sightings: Sequence[Sighting]
) -> tuple[list[Sighting], list[Sighting]]:
    own = installs(db)
    ours: list[Sighting] = []
    foreign: list[Sighting] = []
    for sighting in sightings:
        tag = Tag.parse(sighting.tag)
        if tag is None:
            continue
        known = db.execute(
            """
            SELECT 1 FROM attempts
             WHERE task_id = :task AND number = :number AND tag = :tag AND remote_id = :remote_id
             UNION ALL
            SELECT 1 FROM extra_charges WHERE remote_id = :remote_id AND tag = :tag
            """,
            {
                "task": tag.task,
                "number": tag.attempt,
                "tag": sighting.tag,
                "remote_id": sighting.remote_id,
            },
        ).fetchone()
        if known is None:
            (ours if tag.install in own else foreign).append(sighting)
    return ours, foreign


def known_ids(db: sqlite3.Connection, ids: Sequence[str]) -> frozenset[str]:
    rows = db.execute(
        """
        SELECT remote_id FROM attempts WHERE remote_id IN (SELECT value FROM json_each(:ids))
         UNION
        SELECT remote_id FROM extra_charges WHERE remote_id IN (SELECT value FROM json_each(:ids))
        """,
        {"ids": json.dumps(list(ids))},
    )
    return frozenset(found for (found,) in rows)


def expected(
    db: sqlite3.Connection, account: int, start: datetime, end: datetime, *, after: int
) -> tuple[list[Expected], int | None]:
    rows = db.execute(
        """
        SELECT a.task_id, a.number, a.remote_id, a.tag, a.advanced_nanousd,
               CASE WHEN a.charge_evidence IS NOT NULL THEN a.charged_nanousd END,
               b.intended_api_at, a.state = 'failed'
          FROM attempts a CROSS JOIN batches b ON b.id = a.batch_id
         WHERE a.task_id > :after AND a.task_id <= :last AND a.remote_id IS NOT NULL
           AND b.account_id = :account AND b.intended_api_at BETWEEN :start AND :end
           -- No source says that Live tasks are listed; their cost came with their answer.
           AND b.endpoint NOT LIKE '%/live'
        """,
        {
            "after": after,
            "last": after + TASKS_AT_ONCE,
            "account": account,
            "start": to_ms(start),
            "end": to_ms(end),
        },
    )
    return [_expected(row) for row in rows], _go_on_after(db, after)


def failed_tasks(
    db: sqlite3.Connection,
    account: int,
    start: datetime,
    end: datetime,
    *,
    ended_since: datetime,
    after: int,
) -> tuple[list[Expected], int | None]:
    rows = db.execute(
        """
        SELECT a.task_id, a.number, a.remote_id, a.tag, a.advanced_nanousd,
               CASE WHEN a.charge_evidence IS NOT NULL THEN a.charged_nanousd END,
               b.intended_api_at, 1
          FROM attempts a CROSS JOIN batches b ON b.id = a.batch_id
         WHERE a.task_id > :after AND a.task_id <= :last AND a.remote_id IS NOT NULL
           AND a.state = 'failed' AND (a.at_risk_nanousd > 0 OR a.ended_at >= :ended_since)
           AND b.account_id = :account
           AND b.intended_api_at >= :start AND b.intended_api_at < :end
           AND b.endpoint NOT LIKE '%/live'
        """,
        {
            "after": after,
            "last": after + TASKS_AT_ONCE,
            "ended_since": to_ms(ended_since),
            "account": account,
            "start": to_ms(start),
            "end": to_ms(end),
        },
    )
    return [_expected(row) for row in rows], _go_on_after(db, after)


def _go_on_after(db: sqlite3.Connection, after: int) -> int | None:
    (newest,) = db.execute("SELECT coalesce(max(task_id), 0) FROM attempts").fetchone()
    last = after + TASKS_AT_ONCE
    return last if last < newest else None


def extra_expected(
    db: sqlite3.Connection, start: datetime, end: datetime, *, account: int | None = None
) -> list[Expected]:
    rows = db.execute(
        """
        SELECT task_id, attempt, remote_id, tag, advanced_nanousd,
               CASE WHEN charge_evidence IS NOT NULL THEN charged_nanousd END, posted_at,
               state = 'failed'
          FROM extra_charges
         WHERE posted_at BETWEEN :start AND :end
           AND (:account IS NULL OR account_id = :account)
        """,
        {"start": to_ms(start), "end": to_ms(end), "account": account},
    )
    return [_expected(row) for row in rows]


def _expected(row: tuple[Any, ...]) -> Expected:
    task, attempt, remote_id, tag, advanced, charged, accepted_api, failed = row
    return Expected(
        task=task,
        attempt=attempt,
        remote_id=RemoteId(remote_id),
        tag=tag,
        advanced=advanced,
        charged=charged,
        accepted_api=from_ms(accepted_api),
        failed=bool(failed),
    )


def last_audit(db: sqlite3.Connection, account: int) -> Audit | None:
    row = db.execute(
        """
        SELECT from_api_at, to_api_at, whole, listed, compared, listed_nanousd, booked_nanousd,
               differing, missing, incidents
          FROM audits WHERE account_id = ? ORDER BY to_api_at DESC, id DESC LIMIT 1
        """,
        (account,),
    ).fetchone()
    if row is None:
        return None
    start, end, whole, listed, compared, listed_cost, booked_cost, differing, missing, opened = row
    return Audit(
        start=from_ms(start),
        end=from_ms(end),
        whole=bool(whole),
        listed=listed,
        compared=compared,
        listed_cost=listed_cost,
        booked_cost=booked_cost,
        differing=differing,
        missing=missing,
        incidents=opened,
    )


def note_audit(db: sqlite3.Connection, account: int, audit: Audit, *, now: datetime) -> None:
    db.execute(
        """
        INSERT INTO audits (account_id, from_api_at, to_api_at, whole, listed, compared,
                            listed_nanousd, booked_nanousd, differing, missing, incidents, read_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """,
        (
            account,
            to_ms(audit.start),
            to_ms(audit.end),
            audit.whole,
            audit.listed,
            audit.compared,
            audit.listed_cost,
            audit.booked_cost,
            audit.differing,
            audit.missing,
            audit.incidents,
            to_ms(now),
        ),
    )


def sum_up(
    db: sqlite3.Connection,
    kind: IncidentKind,
    message: str,
    *,
    amount: int,
    now: datetime,
    account: int | None = None,
) -> bool:
    renewed = db.execute(
        """
        UPDATE incidents SET message = ?, amount_nanousd = ?
         WHERE kind = ? AND closed_at IS NULL AND remote_id IS NULL AND task_id IS NULL
           AND coalesce(account_id, 0) = ?
        """,
        (message, amount, kind, account or 0),
    )
    if renewed.rowcount:
        return False
    db.execute(
        """
        INSERT INTO incidents (kind, amount_nanousd, message, opened_at, account_id)
        VALUES (?, ?, ?, ?, ?)
        """,
        (kind, amount, message, to_ms(now), account),
    )
    return True

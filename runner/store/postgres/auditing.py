"""What the audit reads of our books, and what is kept of its outcome."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from runner.clock import from_ms, to_ms
from runner.store.auditing import Audit, Expected
from runner.store.postgres.connection import Db
from runner.store.postgres.recovering import installs
from runner.store.reconciling import IncidentKind, Sighting
from runner.task import RemoteId, Tag

TASKS_AT_ONCE: Final = 20_000
"""Task numbers looked through in one read: some hundredths of a second."""


def strange(db: Db, sightings: Sequence[Sighting]) -> tuple[list[Sighting], list[Sighting]]:
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
             WHERE task_id = %(task)s AND number = %(number)s AND tag = %(tag)s
               AND remote_id = %(remote_id)s
             UNION ALL
            SELECT 1 FROM extra_charges WHERE remote_id = %(remote_id)s AND tag = %(tag)s
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


def known_ids(db: Db, ids: Sequence[str]) -> frozenset[str]:
    rows = db.execute(
        """
        SELECT remote_id FROM attempts WHERE remote_id = ANY(%(ids)s::text[])
         UNION
        SELECT remote_id FROM extra_charges WHERE remote_id = ANY(%(ids)s::text[])
        """,
        {"ids": list(ids)},
    )
    return frozenset(found for (found,) in rows)


def expected(
    db: Db, account: int, start: datetime, end: datetime, *, after: int
) -> tuple[list[Expected], int | None]:
    rows = db.execute(
        """
        SELECT a.task_id, a.number, a.remote_id, a.tag, a.advanced_nanousd,
               CASE WHEN a.charge_evidence IS NOT NULL THEN a.charged_nanousd END,
               b.intended_api_at, a.state = 'failed'
          FROM attempts a JOIN batches b ON b.id = a.batch_id
         WHERE a.task_id > %(after)s AND a.task_id <= %(last)s AND a.remote_id IS NOT NULL
           AND b.account_id = %(account)s AND b.intended_api_at BETWEEN %(start)s AND %(end)s
           -- No source says that Live tasks are listed; their cost came with their answer.
           AND b.endpoint NOT LIKE '%%/live'
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
    db: Db,
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
               b.intended_api_at, true
          FROM attempts a JOIN batches b ON b.id = a.batch_id
         WHERE a.task_id > %(after)s AND a.task_id <= %(last)s AND a.remote_id IS NOT NULL
           AND a.state = 'failed' AND (a.at_risk_nanousd > 0 OR a.ended_at >= %(ended_since)s)
           AND b.account_id = %(account)s
           AND b.intended_api_at >= %(start)s AND b.intended_api_at < %(end)s
           AND b.endpoint NOT LIKE '%%/live'
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


def _go_on_after(db: Db, after: int) -> int | None:
    (newest,) = db.execute("SELECT coalesce(max(task_id), 0) FROM attempts").fetchone()
    last = after + TASKS_AT_ONCE
    return last if last < newest else None


def extra_expected(
    db: Db, start: datetime, end: datetime, *, account: int | None = None
) -> list[Expected]:
    rows = db.execute(
        """
        SELECT task_id, attempt, remote_id, tag, advanced_nanousd,
               CASE WHEN charge_evidence IS NOT NULL THEN charged_nanousd END, posted_at,
               state = 'failed'
          FROM extra_charges
         WHERE posted_at BETWEEN %(start)s AND %(end)s
           AND (%(account)s::bigint IS NULL OR account_id = %(account)s)
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
        failed=failed,
    )


def last_audit(db: Db, account: int) -> Audit | None:
    row = db.execute(
        """
        SELECT from_api_at, to_api_at, whole, listed, compared, listed_nanousd, booked_nanousd,
               differing, missing, incidents
          FROM audits WHERE account_id = %s ORDER BY to_api_at DESC, id DESC LIMIT 1
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


def note_audit(db: Db, account: int, audit: Audit, *, now: datetime) -> None:
    db.execute(
        """
        INSERT INTO audits (account_id, from_api_at, to_api_at, whole, listed, compared,
                            listed_nanousd, booked_nanousd, differing, missing, incidents, read_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            account,
            to_ms(audit.start),
            to_ms(audit.end),
            int(audit.whole),
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
    db: Db,
    kind: IncidentKind,
    message: str,
    *,
    amount: int,
    now: datetime,
    account: int | None = None,
) -> bool:
    renewed = db.execute(
        """
        UPDATE incidents SET message = %s, amount_nanousd = %s
         WHERE kind = %s AND closed_at IS NULL AND remote_id IS NULL AND task_id IS NULL
           AND coalesce(account_id, 0) = %s
        """,
        (message, amount, kind, account or 0),
    )
    if renewed.rowcount:
        return False
    db.execute(
        """
        INSERT INTO incidents (kind, amount_nanousd, message, opened_at, account_id)
        VALUES (%s, %s, %s, %s, %s)
        """,
        (kind, amount, message, to_ms(now), account),
    )
    return True

"""Tasks that the API has beside those of our attempts: paid, so fetched and booked like others."""

from datetime import datetime

from runner.clock import from_ms, to_ms
from runner.money import ADVANCE, BASE_PRICE_STANDARD, Evidence
from runner.store.endings import Answered, Ending, Posted, RemotelyFailed, ResultGone, StillRunning
from runner.store.postgres.connection import Db
from runner.store.reconciling import IncidentKind, Sighting
from runner.task import Endpoint, RemoteId, Tag, TaskId


def add_extra(db: Db, tag: Tag, sighting: Sighting, *, account: int, now: datetime) -> bool:
    """Take up a second task of an attempt's; False if it is known."""
    reported = sighting.cost is not None and sighting.cost > 0
    made = db.execute(
        """
        INSERT INTO extra_charges
               (remote_id, task_id, attempt, run_id, tag, state, reserved_nanousd,
                advanced_nanousd, advance_evidence, due_at, posted_at, found_at, account_id)
        SELECT %(remote_id)s, a.task_id, a.number, a.run_id, a.tag, 'posted', g.reserve_nanousd,
               %(advance)s, %(evidence)s, %(now)s, coalesce(%(posted_at)s, b.intended_at), %(now)s,
               %(account)s
          FROM attempts a
          JOIN tasks t ON t.id = a.task_id
          JOIN targets g ON g.id = t.target_id
          JOIN batches b ON b.id = a.batch_id
         WHERE a.task_id = %(task)s AND a.number = %(number)s
            ON CONFLICT (remote_id) DO NOTHING
        """,
        {
            "remote_id": sighting.remote_id,
            "advance": sighting.cost if reported else ADVANCE + BASE_PRICE_STANDARD,
            "evidence": Evidence.REPORTED if reported else Evidence.COMPUTED,
            "now": to_ms(now),
            "posted_at": to_ms(sighting.posted_at) if sighting.posted_at else None,
            "task": tag.task,
            "number": tag.attempt,
            "account": account,
        },
    )
    # What an attempt without an id might have cost is known now, and stands here; one in doubt may
    # still be found under another id.
    db.execute(
        """
        UPDATE attempts SET at_risk_nanousd = 0
         WHERE task_id = %s AND number = %s AND remote_id IS NULL AND at_risk_nanousd > 0
           AND state = 'failed'
        """,
        (tag.task, tag.attempt),
    )
    return made.rowcount == 1


def is_extra(db: Db, remote_id: str) -> bool:
    """Whether that task at the API is booked beside the attempts already."""
    found = db.execute("SELECT 1 FROM extra_charges WHERE remote_id = %s", (remote_id,)).fetchone()
    return found is not None


def extras_due(db: Db, limit: int, *, now: datetime, account: int | None = None) -> list[Posted]:
    rows = db.execute(
        """
        SELECT x.task_id, x.attempt, x.tag, x.remote_id, g.endpoint, x.posted_at, x.polls
          FROM extra_charges x
          JOIN tasks t ON t.id = x.task_id
          JOIN targets g ON g.id = t.target_id
         WHERE x.state = 'posted' AND x.due_at <= %(now)s
           AND (%(account)s::bigint IS NULL OR x.account_id = %(account)s)
         ORDER BY x.due_at LIMIT %(limit)s
        """,
        {"now": to_ms(now), "limit": limit, "account": account},
    )
    return [
        Posted(
            task=TaskId(task),
            attempt=attempt,
            tag=tag,
            remote_id=RemoteId(remote_id),
            endpoint=Endpoint.parse(endpoint),
            posted_at=from_ms(posted_at),
            polls=polls,
            tries=0,
            # Nobody wants it a third time, so that it may have failed costs nothing to believe.
            allowed_tries=1,
            failing_since=from_ms(posted_at),
            ready=False,
        )
        for task, attempt, tag, remote_id, endpoint, posted_at, polls in rows
    ]


def book_extra(db: Db, remote_id: str, ending: Ending, *, now: datetime) -> None:
    if isinstance(ending, StillRunning):
        db.execute(
            """
            UPDATE extra_charges SET due_at = %s, polls = polls + 1
             WHERE remote_id = %s AND state = 'posted'
            """,
            (to_ms(ending.ask_again_at), remote_id),
        )
        return
    if _end(db, remote_id, ending, to_ms(now)) and isinstance(ending, Answered | RemotelyFailed):
        db.execute(
            """
            INSERT INTO extra_replies (remote_id, task_id, raw)
            SELECT remote_id, task_id, %s FROM extra_charges WHERE remote_id = %s
                ON CONFLICT (remote_id) DO UPDATE SET raw = excluded.raw
            """,
            (ending.reply, remote_id),
        )
    db.execute(
        """
        UPDATE incidents
           SET amount_nanousd = x.charged_nanousd + x.at_risk_nanousd
          FROM extra_charges x
         WHERE x.remote_id = incidents.remote_id AND x.remote_id = %s AND incidents.kind = %s
        """,
        (remote_id, IncidentKind.DOUBLE_CHARGE),
    )


def _end(
    db: Db,
    remote_id: str,
    ending: Answered | RemotelyFailed | ResultGone,
    moment: int,
) -> bool:
    match ending:
        case Answered(charge=charge, evidence=evidence):
            state, cost, proof = "completed", charge, str(evidence)
            code = message = None
        case RemotelyFailed(cost=cost, code=code, message=message):
            state, proof = "failed", str(Evidence.REPORTED)
        case ResultGone(code=code, message=message):
            # As with any lost answer, the advance is the best that is known.
            (cost,) = db.execute(
                "SELECT advanced_nanousd FROM extra_charges WHERE remote_id = %s", (remote_id,)
            ).fetchone() or (0,)
            state, proof = "expired", str(Evidence.COMPUTED)
    ended = db.execute(
        """
        UPDATE extra_charges
           SET state = %(state)s, code = %(code)s, message = %(message)s, ended_at = %(now)s,
               due_at = NULL,
               reserved_nanousd = 0,
               at_risk_nanousd = CASE WHEN %(cost)s IS NULL THEN advanced_nanousd ELSE 0 END,
               charged_nanousd = coalesce(%(cost)s, 0),
               charge_evidence = CASE WHEN %(cost)s IS NULL THEN NULL ELSE %(proof)s END,
               refunded_nanousd = CASE WHEN %(cost)s IS NULL THEN 0
                                       ELSE greatest(0, advanced_nanousd - %(cost)s) END,
               over_reserve_nanousd = greatest(0, coalesce(%(cost)s, 0) - reserved_nanousd)
         WHERE remote_id = %(remote_id)s AND state = 'posted'
        """,
        {
            "state": state,
            "code": code,
            "message": message,
            "now": moment,
            "cost": cost,
            "proof": proof,
            "remote_id": remote_id,
        },
    )
    return ended.rowcount == 1

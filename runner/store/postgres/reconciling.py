"""How a doubt ends, and what is booked of what the API shows."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from runner.clock import from_ms, to_ms
from runner.failpoints import Point, hit
from runner.lifecycle import Event, State, after
from runner.money import ADVANCE, BASE_PRICE_STANDARD, Evidence
from runner.store.postgres.connection import Db
from runner.store.postgres.deaths import outlived
from runner.store.postgres.extras import add_extra, is_extra
from runner.store.postgres.owners import Owners
from runner.store.postgres.recovering import installs
from runner.store.postgres.taking_up import take_up
from runner.store.reconciling import (
    Found,
    Incident,
    IncidentKind,
    Known,
    NewIncident,
    Scan,
    Sighting,
    Times,
)
from runner.task import Endpoint, Method, Tag

_ADOPTS: Final = frozenset({State.UNKNOWN, State.QUARANTINED, State.PENDING})
"""Whose tasks take up an id that is found for their newest attempt."""


def note_times(db: Db, times: Sequence[Times]) -> None:
    db.executemany(
        "UPDATE batches SET doubt_api_at = %s, seen_api_at = %s, clean_api_at = %s WHERE id = %s",
        (
            (*(None if at is None else to_ms(at) for at in moments), each.batch)
            for each in times
            for moments in [(each.began_api, each.seen_api, each.clean_api)]
        ),
    )
    hit(Point.TIMES_INSIDE)


def note_scan(db: Db, account: int, scan: Scan, *, now: datetime) -> None:
    db.execute(
        """
        INSERT INTO scans (account_id, from_api_at, to_api_at, listed, ours, adopted, read_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (
            account,
            to_ms(scan.start),
            to_ms(scan.end),
            scan.listed,
            scan.ours,
            scan.adopted,
            to_ms(now),
        ),
    )


def found(
    db: Db,
    sightings: Sequence[Sighting],
    *,
    now: datetime,
    account: int | None = None,
) -> Found:
    ours = installs(db)
    owners = Owners(db, [tag for each in sightings if (tag := Tag.parse(each.tag)) is not None])
    _hold_tasks(db, sightings)
    known: dict[str, Known] = {}
    adopted, strangers, opened = set(), set(), 0
    for sighting in sightings:
        tag = Tag.parse(sighting.tag)
        if tag is None:
            continue
        row = db.execute(
            """
            SELECT a.state, a.remote_id, t.state, t.attempt, b.endpoint, b.account_id,
                   CASE WHEN b.body_sha256 <> '' THEN b.id END, b.intended_api_at
              FROM attempts a
              JOIN tasks t ON t.id = a.task_id
              JOIN batches b ON b.id = a.batch_id
             WHERE a.task_id = %s AND a.number = %s AND a.tag = %s
            """,
            (tag.task, tag.attempt, sighting.tag),
        ).fetchone()
        if row is None:
            if tag.install not in ours:
                continue
            strangers.add(sighting.tag)
            if (taken := take_up(db, owners, tag, sighting, account=account, now=now)) is None:
                opened += open_incident(db, _orphan(tag, sighting, account), now=now)
            elif taken:
                adopted.add(sighting.tag)
            continue
        attempt, remote_id, state, newest, endpoint, posted_with, batch, intended_api = row
        if batch is None:
            strangers.add(sighting.tag)
        if remote_id == sighting.remote_id:
            known[sighting.tag] = Known(
                batch=batch,
                intended_api=None if intended_api is None else from_ms(intended_api),
            )
        elif remote_id is None and attempt == "posting":
            continue  # Its reply is under way, and will bring the id.
        elif remote_id is None and Endpoint.parse(endpoint).method is Method.LIVE:
            continue  # Its answer cannot be fetched by that id; its money is at risk already.
        elif (
            remote_id is None
            and newest == tag.attempt
            and State(state) in _ADOPTS
            # Whichever account shows it: logins may list the same tasks, and a tag is sent once.
            and not is_extra(db, sighting.remote_id)
        ):
            _adopt(db, tag, sighting, State(state), now=now)
            outlived(db, [tag.task])
            adopted.add(sighting.tag)
        else:
            where = account or posted_with
            add_extra(db, tag, sighting, account=where, now=now)
            opened += open_incident(db, _double(tag, sighting, remote_id, where), now=now)
    if adopted:
        hit(Point.ADOPT_INSIDE)
    return Found(
        known=known,
        adopted=frozenset(adopted),
        strangers=frozenset(strangers),
        incidents=opened,
    )


def _hold_tasks(db: Db, sightings: Sequence[Sighting]) -> None:
    """Nobody posts, or decides about, a task that *sightings* say something new of meanwhile: its
    newer attempt, or another id, would be overlooked. Most ids of a listing are known."""
    seen = [(tag, each.remote_id) for each in sightings if (tag := Tag.parse(each.tag))]
    db.execute(
        """
        SELECT 1 FROM tasks
         WHERE id IN (SELECT e.task
                        FROM unnest(%s::bigint[], %s::bigint[], %s::text[])
                               AS e(task, number, remote_id)
                        LEFT JOIN attempts a ON a.task_id = e.task AND a.number = e.number
                       WHERE a.remote_id IS DISTINCT FROM e.remote_id)
         ORDER BY id FOR UPDATE
        """,
        (
            [tag.task for tag, _ in seen],
            [tag.attempt for tag, _ in seen],
            [remote_id for _, remote_id in seen],
        ),
    )


def _adopt(db: Db, tag: Tag, sighting: Sighting, state: State, *, now: datetime) -> None:
    """The task is at the API: ask for it by its id from now on."""
    moment = to_ms(now)
    db.execute(
        """
        UPDATE tasks
           SET state = %(posted)s, reason = '', due_at = %(now)s, ready = 0, polls = 0,
               posted_at = coalesce(%(posted_at)s,
                                    (SELECT b.intended_at FROM attempts a
                                       JOIN batches b ON b.id = a.batch_id
                                      WHERE a.task_id = %(task)s AND a.number = %(number)s))
         WHERE id = %(task)s AND state = %(state)s AND attempt = %(number)s
        """,
        {
            "posted": after(state, Event.FOUND),
            "now": moment,
            "posted_at": to_ms(sighting.posted_at) if sighting.posted_at else None,
            "task": tag.task,
            "number": tag.attempt,
            "state": state,
        },
    )
    reported = sighting.cost is not None and sighting.cost > 0
    # What was given up with the attempt is reserved anew: its target's reserve says how much.
    db.execute(
        """
        UPDATE attempts
           SET state = 'posted', remote_id = %(remote_id)s, accepted_at = %(now)s, ended_at = NULL,
               code = NULL, message = NULL,
               reserved_nanousd = CASE WHEN at_risk_nanousd > 0 THEN at_risk_nanousd
                                       ELSE (SELECT g.reserve_nanousd FROM tasks t
                                               JOIN targets g ON g.id = t.target_id
                                              WHERE t.id = %(task)s) END,
               at_risk_nanousd = 0, advanced_nanousd = %(advance)s, advance_evidence = %(evidence)s
         WHERE task_id = %(task)s AND number = %(number)s
        """,
        {
            "remote_id": sighting.remote_id,
            "now": moment,
            "advance": sighting.cost if reported else ADVANCE + BASE_PRICE_STANDARD,
            "evidence": Evidence.REPORTED if reported else Evidence.COMPUTED,
            "task": tag.task,
            "number": tag.attempt,
        },
    )


def _orphan(tag: Tag, sighting: Sighting, account: int | None) -> NewIncident:
    return NewIncident(
        kind=IncidentKind.ORPHAN,
        message="the account has a task with a tag of this store's that is not in the store",
        amount=_amount(sighting),
        remote_id=sighting.remote_id,
        tag=str(tag),
        account=account,
        # Kept for what may be taken up later: a Live call cannot.
        request=None if sighting.live else sighting.request,
    )


def _double(tag: Tag, sighting: Sighting, ours: str | None, account: int) -> NewIncident:
    return NewIncident(
        kind=IncidentKind.DOUBLE_CHARGE,
        message=(
            f"the account has a second task for this attempt beside {ours}"
            if ours
            else "the account has a task for an attempt that was taken for not sent"
        ),
        amount=_amount(sighting),
        task=tag.task,
        attempt=tag.attempt,
        remote_id=sighting.remote_id,
        tag=str(tag),
        account=account,
    )


def _amount(sighting: Sighting) -> int:
    return sighting.cost or ADVANCE + BASE_PRICE_STANDARD


def prove_absent(db: Db, attempts: Sequence[tuple[int, int]], *, now: datetime) -> int:
    moved = _move(db, attempts, after(State.UNKNOWN, Event.PROVEN_ABSENT), "", to_ms(now))
    db.executemany(
        """
        UPDATE attempts
           SET state = 'absent', at_risk_nanousd = 0, reserved_nanousd = 0, ended_at = %s,
               message = 'two complete listings after the waiting time showed no trace of it'
         WHERE task_id = %s AND number = %s
        """,
        ((to_ms(now), *each) for each in moved),
    )
    hit(Point.ABSENT_INSIDE)
    return len(moved)


def quarantine(
    db: Db,
    attempts: Sequence[tuple[int, int]],
    *,
    message: str,
    reason: str = "",
    now: datetime,
) -> int:
    moved = _move(db, attempts, after(State.UNKNOWN, Event.UNDECIDED), reason, None)
    db.executemany(
        """
        UPDATE attempts SET state = 'quarantined', message = %s, ended_at = %s
         WHERE task_id = %s AND number = %s
        """,
        ((message, to_ms(now), *each) for each in moved),
    )
    hit(Point.QUARANTINE_INSIDE)
    return len(moved)


def _move(
    db: Db,
    attempts: Sequence[tuple[int, int]],
    to: State,
    reason: str,
    due_at: int | None,
) -> list[tuple[int, int]]:
    """Move those (task, attempt) that are still in doubt; returns them."""
    return db.execute(
        """
        UPDATE tasks SET state = %(state)s, reason = %(reason)s, due_at = %(due_at)s
          FROM unnest(%(tasks)s::bigint[],
                       %(numbers)s::bigint[]) AS e(task, attempt)
         WHERE tasks.id = e.task AND tasks.attempt = e.attempt AND tasks.state = 'unknown'
        RETURNING tasks.id, tasks.attempt
        """,
        {
            "state": to,
            "reason": reason,
            "due_at": due_at,
            "tasks": [task for task, _ in attempts],
            "numbers": [number for _, number in attempts],
        },
    ).fetchall()


def open_incident(db: Db, incident: NewIncident, *, now: datetime) -> bool:
    made = db.execute(
        """
        INSERT INTO incidents
               (kind, task_id, attempt, remote_id, tag, amount_nanousd, message, opened_at,
                account_id, request)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
        """,
        (
            incident.kind,
            incident.task,
            incident.attempt,
            incident.remote_id,
            incident.tag,
            incident.amount,
            incident.message,
            to_ms(now),
            incident.account,
            incident.request,
        ),
    )
    return made.rowcount == 1


def close_incident(db: Db, incident: int, *, now: datetime) -> bool:
    closed = db.execute(
        "UPDATE incidents SET closed_at = %s WHERE id = %s AND closed_at IS NULL",
        (to_ms(now), incident),
    )
    return closed.rowcount == 1


def incidents(db: Db, *, closed: bool = False) -> list[Incident]:
    rows = db.execute(
        """
        SELECT id, kind, task_id, attempt, remote_id, tag, amount_nanousd, message, account_id,
               opened_at, closed_at
          FROM incidents WHERE closed_at IS NULL OR %s ORDER BY id
        """,
        (closed,),
    )
    return [
        Incident(
            id=id,
            kind=IncidentKind(kind),
            task=task,
            attempt=attempt,
            remote_id=remote_id,
            tag=tag,
            amount=amount,
            message=message,
            account=account,
            opened_at=from_ms(opened_at),
            closed_at=None if closed_at is None else from_ms(closed_at),
        )
        for (
            id,
            kind,
            task,
            attempt,
            remote_id,
            tag,
            amount,
            message,
            account,
            opened_at,
            closed_at,
        ) in rows
    ]

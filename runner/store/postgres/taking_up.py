"""What to make of tags of this store's in the account that it does not know."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from runner.clock import to_ms
from runner.lifecycle import Event, State, after
from runner.money import ADVANCE, BASE_PRICE_STANDARD, Evidence
from runner.store.endings import AnswerLost
from runner.store.postgres.connection import Db
from runner.store.postgres.deaths import outlived
from runner.store.postgres.identity import replaced_installs
from runner.store.postgres.lost_answers import lose
from runner.store.postgres.owners import Owners
from runner.store.reconciling import IncidentKind, Sighting
from runner.store.recovering import asks_the_same
from runner.task import Endpoint, Method, RemoteId, Tag, TaskId

_ENDED_BY: Final[dict[State, tuple[Event, ...]]] = {
    State.PENDING: (),
    State.QUARANTINED: (Event.ASKED_AGAIN,),
    # The attempt that the store knows must have ended, or there would be no later one.
    State.UNKNOWN: (Event.PROVEN_ABSENT,),
    State.POSTED: (Event.TRY_AGAIN,),
    State.FAILED: (Event.ASKED_AGAIN,),
    State.EXPIRED: (Event.ASKED_AGAIN,),
}
"""How a task was due again, for a later attempt than the store knows, by where it stands."""

_LOST: Final = "found in the account; the store that got the answer was not kept"


def adopt_orphans(db: Db, *, now: datetime) -> int:
    orphans = db.execute(
        """
        SELECT tag, remote_id, account_id, request FROM incidents
         WHERE kind = %s AND closed_at IS NULL AND tag IS NOT NULL AND remote_id IS NOT NULL
        """,
        (IncidentKind.ORPHAN,),
    ).fetchall()
    seen = [
        (tag, Sighting(tag=text, remote_id=RemoteId(id_), request=request), account)
        for text, id_, account, request in orphans
        if (tag := Tag.parse(text)) is not None
    ]
    owners = Owners(db, [tag for tag, *_ in seen])
    taken = [
        take_up(db, owners, tag, sighting, account=account, now=now)
        for tag, sighting, account in seen
    ]
    return sum(map(bool, taken))


def take_up(
    db: Db,
    owners: Owners,
    tag: Tag,
    sighting: Sighting,
    *,
    account: int | None,
    now: datetime,
) -> bool | None:
    """A later state of this store posted *tag*, or one that stood in its place: its task is at that
    attempt from now on.

    A Live call's answer was in the reply, so it is lost with the store that had it.

    False if that attempt is known under this id already; None if there is no such task, it has
    ended otherwise, or another store asked it, and perhaps something else.
    """
    task = owners.task_of(tag)
    if task is None:
        return None
    state, attempt, run, model, reserve, body, endpoint = db.execute(
        """
        SELECT t.state, t.attempt, t.run_id,
               coalesce(json_text(p.body, 'model_name'), g.model), g.reserve_nanousd,
               p.body, g.endpoint
          FROM tasks t JOIN targets g ON g.id = t.target_id
          LEFT JOIN payloads p ON p.task_id = t.id
         WHERE t.id = %s FOR UPDATE OF t
        """,
        (task,),
    ).fetchone()
    live = Endpoint.parse(endpoint).method is Method.LIVE
    if tag.attempt <= attempt:
        # A Live call's id is good for nothing, and not kept.
        key, value = ("tag", str(tag)) if live else ("remote_id", sighting.remote_id)
        known = db.execute(
            f"SELECT 1 FROM attempts WHERE task_id = %s AND number = %s AND {key} = %s",
            (task, tag.attempt, value),
        ).fetchone()
        return False if known else None
    events = _ENDED_BY.get(State(state))
    if events is None:
        return None
    if tag.install in replaced_installs(db) and not asks_the_same(body, endpoint, sighting):
        return None
    account = account or _first_account(db)
    _end_attempt(db, task, attempt, now=now)
    to = State(state)
    for event in (*events, Event.INTENDED if live else Event.FOUND):
        to = after(to, event)
    posted_at = None if live else to_ms(sighting.posted_at or now)
    db.execute(
        """
        UPDATE tasks
           SET state = %s, reason = '', attempt = %s, account_id = %s, due_at = %s,
               posted_at = %s, ready = %s, polls = 0, leased_by = NULL
         WHERE id = %s
        """,
        (to, tag.attempt, account, to_ms(now), posted_at, int(not live), task),
    )
    # Numbers without gaps: what is not in the account was not taken.
    for number in range(attempt + 1, tag.attempt):
        missing = replace(tag, attempt=number)
        _insert_attempt(db, missing, None, (task, run, model, 0), account=account, now=now)
    of = (task, run, model, reserve)
    _insert_attempt(db, tag, sighting, of, account=account, live=live, now=now)
    if live:
        lose(db, _lost(task, tag, sighting, now), to_ms(now))
    db.execute(
        """
        UPDATE incidents SET closed_at = %s
         WHERE kind = %s AND remote_id = %s AND closed_at IS NULL
        """,
        (to_ms(now), IncidentKind.ORPHAN, sighting.remote_id),
    )
    outlived(db, [task])
    return True


def _end_attempt(db: Db, task: int, number: int, *, now: datetime) -> None:
    """What became of it was written in the later state of the store: its money is at risk."""
    db.execute(
        """
        UPDATE attempts
           SET state = 'failed', ended_at = %s,
               message = 'a later attempt was found in the account',
               at_risk_nanousd = greatest(at_risk_nanousd, advanced_nanousd), reserved_nanousd = 0
         WHERE task_id = %s AND number = %s AND state IN ('posted', 'unknown', 'quarantined')
        """,
        (to_ms(now), task, number),
    )


def _insert_attempt(
    db: Db,
    tag: Tag,
    sighting: Sighting | None,
    of: tuple[int, int, str, int],
    *,
    account: int,
    live: bool = False,
    now: datetime,
) -> None:
    task, run, model, reserve = of
    moment = to_ms(now)
    posted_at = to_ms(sighting.posted_at) if sighting and sighting.posted_at else moment
    line: dict[str, object] = {
        "task": task,
        "number": tag.attempt,
        "run": run,
        "batch": _recovered_batch(db, task, account, posted_at, moment),
        "model": model,
        "tag": str(tag),
        "reserve": reserve,
        "now": moment,
    }
    if sighting is None:
        db.execute(
            """
            INSERT INTO attempts
                   (task_id, number, run_id, batch_id, model, tag, state, ended_at, message)
            VALUES (%(task)s, %(number)s, %(run)s, %(batch)s, %(model)s, %(tag)s, 'absent', %(now)s,
                    'the account has a later attempt, and no trace of this one')
            """,
            line,
        )
        return
    line |= {"state": "posting" if live else "posted", "accepted_at": None if live else moment}
    reported = sighting.cost is not None and sighting.cost > 0
    line |= {
        "remote_id": sighting.remote_id,
        "advance": sighting.cost if reported else ADVANCE + BASE_PRICE_STANDARD,
        "evidence": Evidence.REPORTED if reported else Evidence.COMPUTED,
    }
    db.execute(
        """
        INSERT INTO attempts
               (task_id, number, run_id, batch_id, model, tag, state, reserved_nanousd, accepted_at)
        VALUES (%(task)s, %(number)s, %(run)s, %(batch)s, %(model)s, %(tag)s, %(state)s,
                %(reserve)s, %(accepted_at)s)
        """,
        line,
    )
    if live:
        return
    # Apart, as the sums of a run follow only changes of what was advanced.
    db.execute(
        """
        UPDATE attempts
           SET remote_id = %(remote_id)s, advanced_nanousd = %(advance)s,
               advance_evidence = %(evidence)s
         WHERE task_id = %(task)s AND number = %(number)s
        """,
        line,
    )


def _lost(task: int, tag: Tag, sighting: Sighting, now: datetime) -> AnswerLost:
    return AnswerLost(
        task=TaskId(task),
        attempt=tag.attempt,
        code=None,
        message=_LOST,
        reply=b"",
        again_at=now,
        # As elsewhere: a listing that says 0 may only not say it yet.
        cost=sighting.cost or None,
    )


def _first_account(db: Db) -> int:
    """Where nobody noted whose listing it was, there was one account."""
    (account,) = db.execute("SELECT min(id) FROM accounts").fetchone()
    return int(account)


def _recovered_batch(db: Db, task: int, account: int, posted_at: int, moment: int) -> int:
    """A batch of one, in the place of the one whose record is gone."""
    (batch,) = db.execute(
        """
        INSERT INTO batches
               (account_id, worker_id, endpoint, size, body_sha256, intended_at, deadline, outcome,
                message, settled_at)
        SELECT %(account)s, (SELECT max(id) FROM workers), g.endpoint, 1, '',
               %(posted_at)s, %(posted_at)s, 'answered', 'found in the account, not in the store',
               %(now)s
          FROM tasks t JOIN targets g ON g.id = t.target_id WHERE t.id = %(task)s
        RETURNING id
        """,
        {"account": account, "posted_at": posted_at, "now": moment, "task": task},
    ).fetchone()
    return int(batch)

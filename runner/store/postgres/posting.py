"""The intent before the post, and what became of it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from runner.clock import from_ms, to_ms
from runner.failpoints import Point, hit
from runner.lifecycle import Event, Reason, State, after
from runner.money import ADVANCE, BASE_PRICE_STANDARD, Evidence
from runner.rows import Attempt, Batch
from runner.store.postgres.accounts import MAY_ASK, pinned_elsewhere
from runner.store.postgres.affording import affordable
from runner.store.postgres.columns import columns
from runner.store.postgres.connection import Db
from runner.store.postgres.controlling import pause_of
from runner.store.postgres.deaths import APART, outlived, post_alone, set_apart
from runner.store.postgres.follow_ups import with_history
from runner.store.postgres.history import reserve_of
from runner.store.postgres.identity import install_id
from runner.store.postgres.late_replies import TAKEN_FOR_DEAD, book_late
from runner.store.postgres.living import revive
from runner.store.postgres.loading import being_loaded
from runner.store.postgres.ready_list import DELIVERED_BY, first_ask_ms
from runner.store.postgres.runs import hold_run
from runner.store.values import AttemptOver, Ceiling, Idle, RequestGone
from runner.task import (
    Accepted,
    Endpoint,
    Lost,
    Method,
    NotTaken,
    Outcome,
    Refused,
    Tag,
    TaskId,
    identity_digest,
)

_RETRIES: Final = "AND t.tries > 0"
"""Only what the API has failed before. Word for word the condition of the index tasks_to_retry."""


def targets_to_post(
    db: Db,
    run: int,
    *,
    now: datetime,
    method: Method = Method.STANDARD,
    account: int | None = None,
    retries: bool = False,
) -> list[tuple[int, Endpoint]]:
    if pause_of(db, run, now=now) is not None or being_loaded(db, run):
        return []
    rows = db.execute(
        f"""
        SELECT id, endpoint FROM targets g
         WHERE run_id = %(run)s AND endpoint LIKE '%%/' || %(method)s AND {MAY_ASK}
           AND EXISTS (SELECT 1 FROM tasks t
                        WHERE t.run_id = %(run)s AND t.target_id = g.id
                          AND t.state = 'pending' AND t.changed = 0 AND t.due_at <= %(now)s
                          {_RETRIES if retries else ""})
         ORDER BY id
        """,
        {"run": run, "now": to_ms(now), "method": method, "account": account},
    )
    return [(target, Endpoint.parse(endpoint)) for target, endpoint in rows]


def waiting_to_post(
    db: Db,
    run: int,
    *,
    told: datetime,
    now: datetime,
    account: int | None = None,
    retries: bool = False,
) -> dict[Endpoint, datetime]:
    if pause_of(db, run, now=now) is not None or being_loaded(db, run):
        return {}
    rows = db.execute(
        f"""
        SELECT endpoint, due_at
          FROM (SELECT g.endpoint,
                       (SELECT min(t.due_at) FROM tasks t
                         WHERE t.run_id = %(run)s AND t.target_id = g.id
                           AND t.state = 'pending' AND t.changed = 0
                           {_RETRIES if retries else ""}) AS due_at
                  FROM targets g WHERE g.run_id = %(run)s AND {MAY_ASK}) AS waiting
         WHERE due_at IS NOT NULL ORDER BY due_at DESC
        """,
        {"run": run, "account": account},
    )
    ahead = now - told
    return {Endpoint.parse(endpoint): from_ms(due_at) - ahead for endpoint, due_at in rows}


def to_retry(db: Db, run: int) -> int:
    (count,) = db.execute(
        f"""
        SELECT count(*) FROM targets g
          JOIN tasks t ON t.run_id = g.run_id AND t.target_id = g.id
         WHERE g.run_id = %s AND t.state = 'pending' AND t.changed = 0 {_RETRIES}
        """,
        (run,),
    ).fetchone()
    return int(count)


def begin_batch(
    db: Db,
    *,
    run: int,
    target: int,
    account: int,
    worker: int,
    limit: int,
    now: datetime,
    patience: timedelta,
    ceiling: Ceiling,
    api_time: datetime | None = None,
    postback: bool = False,
    retries: bool = False,
    seal: Callable[[tuple[Attempt, ...]], str],
    told: datetime,
) -> Batch | Idle:
    revive(db, worker)
    hold_run(db, run)
    # Asked again in the transaction of the intent: after `pause` has said so, nothing is posted,
    # and nothing of an input that is not in the queue as a whole.
    if pause_of(db, run, now=now) is not None or being_loaded(db, run):
        return Idle.NOTHING_DUE
    endpoint, name = db.execute(
        "SELECT endpoint, name FROM targets WHERE id = %s", (target,)
    ).fetchone()
    if pinned_elsewhere(db, target, account):
        return Idle.NOTHING_DUE
    reserve = reserve_of(db, target)
    room = affordable(db, run, endpoint, reserve, limit, ceiling, account=account, now=now)
    if isinstance(room, Idle):
        method = Endpoint.parse(endpoint).method
        posted = targets_to_post(db, run, now=now, method=method, account=account, retries=retries)
        due = any(found == target for found, _ in posted)
        return room if due else Idle.NOTHING_DUE
    apart, room = set_apart(db, run, target, room, worker=worker, now=now, retries=retries)
    # Read once, before anything is changed: as a subquery it may be read for each row of the table,
    # and then passes over what it has just taken, and takes more than the limit.
    taken = db.execute(
        f"""
        WITH due AS MATERIALIZED (
            SELECT id FROM tasks t
             WHERE run_id = %(run)s AND target_id = %(target)s
               AND state = 'pending' AND changed = 0 AND due_at <= %(now)s
               {_RETRIES if retries else ""}
               AND (%(apart)s IS NULL
                    OR %(apart)s = (id IN (SELECT task_id FROM deaths WHERE posting >= %(deaths)s)))
             ORDER BY due_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
        UPDATE tasks
           SET state = %(posting)s, attempt = attempt + 1, account_id = %(account)s, ready = 0,
               polls = 0, postback = %(postback)s
         WHERE id IN (SELECT id FROM due)
        RETURNING id, attempt, row_id, sample, turn
        """,
        {
            "posting": after(State.PENDING, Event.INTENDED),
            "postback": int(postback),
            "account": account,
            "run": run,
            "target": target,
            "now": to_ms(now),
            "limit": room,
            "apart": apart,
            "deaths": APART,
        },
    ).fetchall()
    if not taken:
        return Idle.NOTHING_DUE
    attempts, models = _attempts(db, run, name, sorted(taken))
    deadline = now + patience
    (batch,) = db.execute(
        """
        INSERT INTO batches
               (account_id, worker_id, endpoint, size, body_sha256, intended_at, deadline,
                intended_api_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id
        """,
        (
            account,
            worker,
            endpoint,
            len(attempts),
            seal(attempts),
            to_ms(now),
            to_ms(deadline),
            None if api_time is None else to_ms(api_time),
        ),
    ).fetchone()
    # One statement for all: what triggers keep would else get a new version for each attempt.
    db.execute(
        """
        INSERT INTO attempts
               (task_id, number, run_id, batch_id, model, tag, state, reserved_nanousd)
        SELECT task, number, %s, %s, model, tag, 'posting', %s
          FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[])
                 AS e(task, number, model, tag)
        """,
        (
            run,
            batch,
            reserve,
            [a.task for a in attempts],
            [a.number for a in attempts],
            [models[a.task] for a in attempts],
            [a.tag for a in attempts],
        ),
    )
    hit(Point.INTENT_INSIDE)
    # The caller measures with its own clock how long ago that is.
    return Batch(
        id=batch,
        endpoint=Endpoint.parse(endpoint),
        attempts=attempts,
        intended_at=told,
        deadline=told + patience,
        reserve=reserve,
    )


def _attempts(
    db: Db, run: int, target: str, taken: list[tuple[int, int, int, int, int]]
) -> tuple[tuple[Attempt, ...], dict[int, str]]:
    """The attempts of the *taken* (task, number, row, sample, turn), and each task's model."""
    (tag_part,) = db.execute("SELECT tag_part FROM runs WHERE id = %s", (run,)).fetchone()
    install = install_id(db)
    requests = db.execute(
        """
        SELECT t.id, r.key, p.body, coalesce(json_text(p.body, 'model_name'), g.model),
               f.history
          FROM unnest(%s::bigint[]) AS e(value)
         JOIN tasks t ON t.id = e.value
          JOIN rows r ON r.id = t.row_id
          JOIN payloads p ON p.task_id = t.id
          JOIN targets g ON g.id = t.target_id
          LEFT JOIN follow_ups f ON f.task_id = t.id
        """,
        ([task for task, *_ in taken],),
    )
    found = {
        task: (key, with_history(body, history), model)
        for task, key, body, model, history in requests
    }
    if len(found) < len(taken):
        raise RequestGone({task for task, *_ in taken}.difference(found))
    attempts = []
    for task, number, _row, sample, turn in taken:
        key, body, _model = found[task]
        tag = Tag(
            install, tag_part, TaskId(task), identity_digest(key, target, sample, turn), number
        )
        attempts.append(Attempt(task=TaskId(task), number=number, tag=str(tag), body=body.encode()))
    return tuple(attempts), {task: model for task, (_, _, model) in found.items()}


def settle_batch(
    db: Db,
    batch: Batch,
    outcomes: Sequence[Outcome],
    *,
    outcome: str,
    code: int | None,
    message: str | None,
    now: datetime,
) -> None:
    ended, why = db.execute(
        "SELECT outcome, message FROM batches WHERE id = %s FOR UPDATE", (batch.id,)
    ).fetchone()
    if (ended, why) == ("unknown", TAKEN_FOR_DEAD):
        book_late(db, outcomes, now=now)
        close_batch(db, batch, outcomes, outcome=outcome, code=code, message=message, now=now)
        return
    by_tag = {found.tag: found for found in outcomes}
    moment = to_ms(now)
    ask_at = moment + first_ask_ms(db, batch.attempts[0].task)
    moves: dict[Move, list[tuple[int, int]]] = defaultdict(list)
    bookings = []
    for attempt in batch.attempts:
        found = by_tag.get(attempt.tag) or Lost(tag=attempt.tag, why="no outcome was reported")
        moves[_move(found, moment, ask_at)].append((attempt.task, attempt.number))
        bookings.append(_booking(attempt, found, moment))
    if sum(_move_tasks(db, *group) for group in moves.items()) != len(batch.attempts):
        raise AttemptOver(f"batch {batch.id} was settled already, in whole or in part")
    outlived(db, (attempt.task for attempt in batch.attempts))
    suspects = {found.tag for found in outcomes if isinstance(found, Lost) and found.suspect}
    if suspects:
        post_alone(db, (each.task for each in batch.attempts if each.tag in suspects))
    db.execute(
        """
        UPDATE attempts AS a
           SET state = e.state, remote_id = e.remote_id, code = e.code, message = e.message,
               accepted_at = e.accepted_at, ended_at = e.ended_at,
               advanced_nanousd = coalesce(e.advance, 0), advance_evidence = e.evidence,
               at_risk_nanousd = CASE WHEN e.state = 'unknown' THEN a.reserved_nanousd ELSE 0 END,
               reserved_nanousd = CASE WHEN e.state = 'posted' THEN a.reserved_nanousd ELSE 0 END
          FROM unnest(%(task)s::bigint[], %(number)s::bigint[], %(state)s::text[],
                      %(remote_id)s::text[], %(code)s::bigint[], %(message)s::text[],
                      %(accepted_at)s::bigint[], %(ended_at)s::bigint[], %(advance)s::bigint[],
                      %(evidence)s::text[])
                 AS e(task, number, state, remote_id, code, message, accepted_at, ended_at, advance,
                      evidence)
         WHERE a.task_id = e.task AND a.number = e.number
        """,
        columns(bookings),
    )
    close_batch(db, batch, outcomes, outcome=outcome, code=code, message=message, now=now)
    hit(Point.OUTCOME_INSIDE)


def close_batch(
    db: Db,
    batch: Batch,
    outcomes: Sequence[Outcome],
    *,
    outcome: str,
    code: int | None,
    message: str | None,
    now: datetime,
) -> None:
    """Write down what the whole call came to."""
    ours = {attempt.tag for attempt in batch.attempts}
    accepted = {found.tag for found in outcomes if isinstance(found, Accepted)}
    db.execute(
        """
        UPDATE batches SET outcome = %s, code = %s, message = %s, settled_at = %s, accepted = %s
         WHERE id = %s
        """,
        (outcome, code, message, to_ms(now), len(ours & accepted), batch.id),
    )


Move = tuple[State, str, int | None, int | None]
"""State, reason, due at, posted at."""


def _move(found: Outcome, moment: int, ask_at: int) -> Move:
    match found:
        case Accepted():
            return after(State.POSTING, Event.ACCEPTED), "", ask_at, moment
        case NotTaken(wait_s=wait_s):
            due_at = moment + int(wait_s * 1000)
            return after(State.POSTING, Event.NOT_TAKEN), "", due_at, None
        case Refused():
            return after(State.POSTING, Event.REFUSED), str(Reason.REFUSED), None, None
        case Lost():
            return after(State.POSTING, Event.LOST), "", None, None


def _move_tasks(db: Db, to: Move, tasks: list[tuple[int, int]]) -> int:
    """Move those (task, attempt) that are still being posted; returns how many were."""
    state, reason, due_at, posted_at = to
    return db.execute(
        """
        UPDATE tasks
           SET state = %(state)s, reason = %(reason)s,
               due_at = CASE WHEN %(state)s = 'posted' AND postback > 0
                             THEN %(posted_at)s + %(delivered)s ELSE %(due_at)s END,
               posted_at = coalesce(%(posted_at)s, posted_at)
          FROM unnest(%(tasks_ids)s::bigint[], %(tasks_numbers)s::bigint[]) AS e(task, attempt)
         WHERE tasks.id = e.task AND tasks.attempt = e.attempt AND tasks.state = 'posting'
        """,
        {
            "state": state,
            "reason": reason,
            "due_at": due_at,
            "posted_at": posted_at,
            "delivered": DELIVERED_BY // timedelta(milliseconds=1),
            "tasks_ids": [task for task, _ in tasks],
            "tasks_numbers": [number for _, number in tasks],
        },
    ).rowcount


def _booking(attempt: Attempt, found: Outcome, moment: int) -> dict[str, object]:
    line: dict[str, object] = {
        "task": attempt.task,
        "number": attempt.number,
        "state": "unknown",
        "remote_id": None,
        "code": None,
        "message": None,
        "accepted_at": None,
        "ended_at": None,
        "advance": None,
        "evidence": None,
    }
    match found:
        case Accepted(remote_id=remote_id, cost_nanousd=cost):
            # No vendor example of a posting's cost was readable: a reported one counts, else the
            # advance and the base price (API.md §5 Cost).
            reported = cost is not None and cost > 0
            line |= {
                "state": "posted",
                "remote_id": remote_id,
                "accepted_at": moment,
                "advance": cost if reported else ADVANCE + BASE_PRICE_STANDARD,
                "evidence": Evidence.REPORTED if reported else Evidence.COMPUTED,
            }
        case Refused(code=code, message=message):
            line |= {"state": "refused", "code": code, "message": message, "ended_at": moment}
        case NotTaken(why=why, code=code):
            line |= {"state": "not_taken", "code": code, "message": why, "ended_at": moment}
        case Lost(why=why, code=code):
            line |= {"code": code, "message": why}
    return line

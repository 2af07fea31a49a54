"""The intent before the post, and what became of it."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from runner.clock import from_ms, to_ms
from runner.failpoints import Point, hit
from runner.lifecycle import Event, Reason, State, after
from runner.money import ADVANCE, BASE_PRICE_STANDARD, Evidence
from runner.rows import Attempt, Batch
from runner.store.sqlite.accounts import MAY_ASK, pinned_elsewhere
from runner.store.sqlite.affording import affordable
from runner.store.sqlite.controlling import pause_of
from runner.store.sqlite.deaths import APART, outlived, post_alone, set_apart
from runner.store.sqlite.follow_ups import with_history
from runner.store.sqlite.history import reserve_of
from runner.store.sqlite.identity import install_id
from runner.store.sqlite.loading import being_loaded
from runner.store.sqlite.ready_list import DELIVERED_BY, first_ask_ms
from runner.store.sqlite.rows import select_many
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
    db: sqlite3.Connection,
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
         WHERE run_id = :run AND endpoint LIKE '%/' || :method AND {MAY_ASK}
           AND EXISTS (SELECT 1 FROM tasks t
                        WHERE t.run_id = :run AND t.target_id = g.id
                          AND t.state = 'pending' AND t.changed = 0 AND t.due_at <= :now
                          {_RETRIES if retries else ""})
         ORDER BY id
        """,
        {"run": run, "now": to_ms(now), "method": method, "account": account},
    )
    return [(target, Endpoint.parse(endpoint)) for target, endpoint in rows]


def waiting_to_post(
    db: sqlite3.Connection,
    run: int,
    *,
    now: datetime,
    account: int | None = None,
    retries: bool = False,
) -> dict[Endpoint, datetime]:
    if pause_of(db, run, now=now) is not None or being_loaded(db, run):
        return {}
    rows = db.execute(
        f"""
        SELECT g.endpoint,
               (SELECT min(t.due_at) FROM tasks t
                 WHERE t.run_id = :run AND t.target_id = g.id
                   AND t.state = 'pending' AND t.changed = 0
                   {_RETRIES if retries else ""}) AS due_at
          FROM targets g WHERE g.run_id = :run AND due_at IS NOT NULL AND {MAY_ASK}
         ORDER BY due_at DESC
        """,
        {"run": run, "account": account},
    )
    return {Endpoint.parse(endpoint): from_ms(due_at) for endpoint, due_at in rows}


def to_retry(db: sqlite3.Connection, run: int) -> int:
    (count,) = db.execute(
        f"""
        SELECT count(*) FROM targets g
          JOIN tasks t ON t.run_id = g.run_id AND t.target_id = g.id
         WHERE g.run_id = ? AND t.state = 'pending' AND t.changed = 0 {_RETRIES}
        """,
        (run,),
    ).fetchone()
    return int(count)


def begin_batch(
    db: sqlite3.Connection,
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
    sealed: Callable[[sqlite3.Connection, Batch], None] = lambda _db, _batch: None,
) -> Batch | Idle:
    # Asked again in the transaction of the intent: after `pause` has said so, nothing is posted,
    # and nothing of an input that is not in the queue as a whole.
    if pause_of(db, run, now=now) is not None or being_loaded(db, run):
        return Idle.NOTHING_DUE
    endpoint, name = db.execute(
        "SELECT endpoint, name FROM targets WHERE id = ?", (target,)
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
    apart, room = set_apart(db, run, target, room, now=now, retries=retries)
    wanted = {
        "run": run,
        "target": target,
        "now": to_ms(now),
        "limit": room,
        "apart": apart,
        "deaths": APART,
    }
    taken = select_many(
        db,
        "id",
        f"""
        FROM (SELECT id FROM tasks t
               WHERE run_id = :run AND target_id = :target
                 AND state = 'pending' AND changed = 0 AND due_at <= :now
                 {_RETRIES if retries else ""}
                 AND (:apart IS NULL
                      OR :apart = (id IN (SELECT task_id FROM deaths WHERE posting >= :deaths)))
               ORDER BY due_at, id LIMIT :limit)
        """,
        wanted,
    )
    if not taken:
        return Idle.NOTHING_DUE
    chosen = json.dumps([task for (task,) in taken])
    db.execute(
        """
        UPDATE tasks
           SET state = :posting, attempt = attempt + 1, account_id = :account, ready = 0, polls = 0,
               postback = :postback
         WHERE id IN (SELECT value FROM json_each(:chosen))
        """,
        {
            "posting": after(State.PENDING, Event.INTENDED),
            "postback": postback,
            "account": account,
            "chosen": chosen,
        },
    )
    attempts, models = _attempts(db, run, name, chosen)
    if len(attempts) < len(taken):
        raise RequestGone({task for (task,) in taken}.difference(each.task for each in attempts))
    deadline = now + patience
    # Not RETURNING, which would plan a look through all attempts for ones of the new batch.
    batch = db.execute(
        """
        INSERT INTO batches
               (account_id, worker_id, endpoint, size, body_sha256, intended_at, deadline,
                intended_api_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
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
    ).lastrowid
    assert batch is not None
    db.execute(
        """
        INSERT INTO attempts
               (task_id, number, run_id, batch_id, model, tag, state, reserved_nanousd)
        SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), :run, :batch,
               json_extract(value, '$[2]'), json_extract(value, '$[3]'), 'posting', :reserve
          FROM json_each(:attempts)
        """,
        {
            "run": run,
            "batch": batch,
            "reserve": reserve,
            "attempts": json.dumps([(a.task, a.number, models[a.task], a.tag) for a in attempts]),
        },
    )
    hit(Point.INTENT_INSIDE)
    begun = Batch(
        id=batch,
        endpoint=Endpoint.parse(endpoint),
        attempts=attempts,
        intended_at=now,
        deadline=deadline,
        reserve=reserve,
    )
    sealed(db, begun)
    return begun


def _attempts(
    db: sqlite3.Connection, run: int, target: str, taken: str
) -> tuple[tuple[Attempt, ...], dict[int, str]]:
    """The attempts of the tasks *taken* (a JSON array), and each task's model."""
    (tag_part,) = db.execute("SELECT tag_part FROM runs WHERE id = ?", (run,)).fetchone()
    install = install_id(db)
    requests = select_many(
        db,
        """
        t.id, t.attempt, t.sample, t.turn, hex(r.key), p.body,
        coalesce(json_extract(p.body, '$.model_name'), g.model), f.history
        """,
        """
          FROM json_each(?) e
         CROSS JOIN tasks t ON t.id = e.value
          JOIN rows r ON r.id = t.row_id
          JOIN payloads p ON p.task_id = t.id
          JOIN targets g ON g.id = t.target_id
          LEFT JOIN follow_ups f ON f.task_id = t.id
        """,
        (taken,),
    )
    attempts, models = [], {}
    for task, number, sample, turn, key, body, model, history in sorted(requests):
        digest = identity_digest(bytes.fromhex(key), target, sample, turn)
        tag = Tag(install, tag_part, TaskId(task), digest, number)
        request = with_history(body, history).encode()
        attempts.append(Attempt(task=TaskId(task), number=number, tag=str(tag), body=request))
        models[task] = model
    return tuple(attempts), models


def settle_batch(
    db: sqlite3.Connection,
    batch: Batch,
    outcomes: Sequence[Outcome],
    *,
    outcome: str,
    code: int | None,
    message: str | None,
    now: datetime,
) -> None:
    by_tag = {found.tag: found for found in outcomes}
    moment = to_ms(now)
    ask_at = moment + first_ask_ms(db, batch.attempts[0].task)
    moves: dict[Move, list[tuple[int, int]]] = defaultdict(list)
    bookings: dict[Booking, list[tuple[int, int, str | None, int]]] = defaultdict(list)
    for attempt in batch.attempts:
        found = by_tag.get(attempt.tag) or Lost(tag=attempt.tag, why="no outcome was reported")
        moves[_move(found, moment, ask_at)].append((attempt.task, attempt.number))
        booking, remote_id, advance = _booking(found)
        bookings[booking].append((attempt.task, attempt.number, remote_id, advance))
    if sum(_move_tasks(db, *group) for group in moves.items()) != len(batch.attempts):
        raise AttemptOver(f"batch {batch.id} was settled already, in whole or in part")
    outlived(db, (attempt.task for attempt in batch.attempts))
    suspects = {found.tag for found in outcomes if isinstance(found, Lost) and found.suspect}
    if suspects:
        post_alone(db, (each.task for each in batch.attempts if each.tag in suspects))
    for booking, attempts in bookings.items():
        _book_attempts(db, booking, attempts, moment)
    db.execute(
        """
        UPDATE batches SET outcome = ?, code = ?, message = ?, settled_at = ?, accepted = ?
         WHERE id = ?
        """,
        (
            outcome,
            code,
            message,
            moment,
            sum(len(them) for booking, them in bookings.items() if booking.state == "posted"),
            batch.id,
        ),
    )
    hit(Point.OUTCOME_INSIDE)


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


def _move_tasks(db: sqlite3.Connection, to: Move, tasks: list[tuple[int, int]]) -> int:
    """Move those (task, attempt) that are still being posted; returns how many were."""
    state, reason, due_at, posted_at = to
    return db.execute(
        """
        UPDATE tasks
           SET state = :state, reason = :reason,
               due_at = CASE WHEN :state = 'posted' AND postback > 0 THEN :posted_at + :delivered
                             ELSE :due_at END,
               posted_at = coalesce(:posted_at, posted_at)
          FROM (SELECT json_extract(value, '$[0]') AS task, json_extract(value, '$[1]') AS attempt
                  FROM json_each(:tasks)) AS e
         WHERE tasks.id = e.task AND tasks.attempt = e.attempt AND tasks.state = 'posting'
        """,
        {
            "state": state,
            "reason": reason,
            "due_at": due_at,
            "posted_at": posted_at,
            "delivered": DELIVERED_BY // timedelta(milliseconds=1),
            "tasks": json.dumps(tasks),
        },
    ).rowcount


class Booking(NamedTuple):
    """What attempts of one batch have in common once it is settled."""

    state: str
    code: int | None = None
    message: str | None = None
    evidence: str | None = None


def _booking(found: Outcome) -> tuple[Booking, str | None, int]:
    """How an attempt is booked, the API's id for it and the advance it took."""
    match found:
        case Accepted(remote_id=remote_id, cost_nanousd=cost):
            # No vendor example of a posting's cost was readable: a reported one counts, else the
            # advance and the base price (API.md §5 Cost).
            if cost is not None and cost > 0:
                return Booking("posted", evidence=Evidence.REPORTED), remote_id, cost
            advance = ADVANCE + BASE_PRICE_STANDARD
            return Booking("posted", evidence=Evidence.COMPUTED), remote_id, advance
        case Refused(code=code, message=message):
            return Booking("refused", code, message), None, 0
        case NotTaken(why=why, code=code):
            return Booking("not_taken", code, why), None, 0
        case Lost(why=why, code=code):
            return Booking("unknown", code, why), None, 0


def _book_attempts(
    db: sqlite3.Connection,
    booking: Booking,
    attempts: list[tuple[int, int, str | None, int]],
    moment: int,
) -> None:
    """Book the *attempts* (task, number, the API's id, advance)."""
    db.execute(
        """
        UPDATE attempts
           SET state = :state, remote_id = e.remote_id, code = :code, message = :message,
               accepted_at = CASE WHEN :state = 'posted' THEN :now END,
               ended_at = CASE WHEN :state IN ('refused', 'not_taken') THEN :now END,
               advanced_nanousd = e.advance, advance_evidence = :evidence,
               at_risk_nanousd = CASE WHEN :state = 'unknown' THEN reserved_nanousd ELSE 0 END,
               reserved_nanousd = CASE WHEN :state = 'posted' THEN reserved_nanousd ELSE 0 END
          FROM (SELECT json_extract(value, '$[0]') AS task, json_extract(value, '$[1]') AS number,
                       json_extract(value, '$[2]') AS remote_id,
                       json_extract(value, '$[3]') AS advance
                  FROM json_each(:attempts)) AS e
         WHERE attempts.task_id = e.task AND attempts.number = e.number
        """,
        {**booking._asdict(), "now": moment, "attempts": json.dumps(attempts)},
    )

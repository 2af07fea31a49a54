"""Posted tasks: which to ask for next, and the booking of what came back."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from runner.answer import Answer
from runner.backoff import LONGEST_POLL
from runner.clock import from_ms, to_ms
from runner.failpoints import Point, hit
from runner.lifecycle import Event, State, after
from runner.money import Evidence
from runner.store.endings import Answered, Ending, Posted, RemotelyFailed, ResultGone, StillRunning
from runner.store.postgres.connection import Db
from runner.store.postgres.deaths import note_booking, outlived
from runner.store.postgres.inbox import drop_letters
from runner.task import Endpoint, RemoteId, TaskId


def take_posted(
    db: Db,
    limit: int,
    *,
    worker: int,
    told: datetime,
    now: datetime,
    lease: timedelta,
    account: int | None = None,
) -> list[Posted]:
    accounts = [account]
    if account is None:
        accounts = [each for (each,) in db.execute("SELECT id FROM accounts ORDER BY id")]
    ids: list[int] = []
    for ready in (1, 0):
        # Each account's apart: what is due of another one may be a great many.
        due = [
            found
            for each in accounts
            for found in db.execute(
                """
                SELECT due_at, id FROM tasks
                 WHERE state = 'posted' AND account_id = %s AND ready = %s AND due_at <= %s
                 ORDER BY due_at, id LIMIT %s
                   FOR UPDATE SKIP LOCKED
                """,
                (each, ready, to_ms(now), limit - len(ids)),
            ).fetchall()
        ]
        ids += [task for _, task in sorted(due)[: limit - len(ids)]]
    if not ids:
        return []
    chosen = ids
    db.execute(
        """
        UPDATE tasks SET due_at = %s, leased_by = %s WHERE id = ANY(%s::bigint[])
        """,
        (to_ms(now + lease), worker, chosen),
    )
    hit(Point.CLAIM_INSIDE)
    rows = db.execute(
        """
        SELECT t.id, t.attempt, a.tag, a.remote_id, g.endpoint,
               t.posted_at, t.polls, t.tries, r.tries, t.ready, b.intended_api_at, t.postback,
               g.model, a.ended_at
          FROM unnest(%s::bigint[]) AS e(value)
         JOIN tasks t ON t.id = e.value
          JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
          JOIN batches b ON b.id = a.batch_id
          JOIN targets g ON g.id = t.target_id
          JOIN runs r ON r.id = t.run_id
         ORDER BY t.ready DESC, t.posted_at, t.id
        """,
        (chosen,),
    )
    ahead = now - told
    return [
        Posted(
            task=TaskId(task),
            attempt=attempt,
            tag=tag,
            remote_id=RemoteId(remote_id),
            endpoint=Endpoint.parse(endpoint),
            posted_at=from_ms(posted_at) - ahead,
            polls=polls,
            tries=tries,
            allowed_tries=allowed,
            ready=bool(ready),
            posted_api=None if api is None else from_ms(api),
            postback=postback > 0,
            model=model,
            claimed_at=told,
            failing_since=None if failing is None else from_ms(failing),
        )
        for (
            task,
            attempt,
            tag,
            remote_id,
            endpoint,
            posted_at,
            polls,
            tries,
            allowed,
            ready,
            api,
            postback,
            model,
            failing,
        ) in rows
    ]


_LONGEST_WAIT: Final = LONGEST_POLL
"""No due time is further ahead at a start. Some may be on purpose (the checkpoints of a trusted
list, the wait for a new day): to ask those early is free, and their wait begins anew."""


def redate(db: Db, *, now: datetime) -> int:
    moments = {"now": to_ms(now), "latest": to_ms(now + _LONGEST_WAIT)}
    asked = db.execute(
        """
        UPDATE tasks
           SET due_at = CASE WHEN posted_at > %(now)s THEN %(now)s
                             ELSE least(due_at, %(latest)s) END,
               posted_at = least(posted_at, %(now)s)
         WHERE state = 'posted' AND account_id IN (SELECT id FROM accounts) AND ready IN (0, 1)
           AND due_at > %(now)s AND leased_by IS NULL
           AND (due_at > %(latest)s OR posted_at > %(now)s)
        """,
        moments,
    ).rowcount
    # A task that was never posted waits for nothing.
    to_post = db.execute(
        """
        UPDATE tasks
           SET due_at = CASE attempt WHEN 0 THEN %(now)s ELSE least(due_at, %(latest)s) END
         WHERE id IN (SELECT t.id
                        FROM targets g
                       JOIN tasks t ON t.run_id = g.run_id AND t.target_id = g.id
                       WHERE t.state = 'pending' AND t.changed = 0 AND t.due_at > %(now)s
                         AND (t.due_at > %(latest)s OR t.attempt = 0))
        """,
        moments,
    ).rowcount
    return asked + to_post


def book(
    db: Db,
    endings: Sequence[Ending],
    *,
    letters: Sequence[int] = (),
    told: datetime,
    now: datetime,
) -> None:
    if letters:
        drop_letters(db, letters)
    ahead = now - told
    current = [_by_our_time(ending, ahead) for ending in _current(db, endings)]
    outlived(db, (ending.task for ending in current))
    if current:
        note_booking(db, [ending.task for ending in current], now=now)
    moment = to_ms(now)
    _postpone(db, [e for e in current if isinstance(e, StillRunning)])
    answer(db, [e for e in current if isinstance(e, Answered)], moment)
    fail(db, [e for e in current if isinstance(e, RemotelyFailed)], moment)
    _expire(db, [e for e in current if isinstance(e, ResultGone)], moment)
    hit(Point.BOOK_INSIDE)


def _by_our_time(ending: Ending, ahead: timedelta) -> Ending:
    """*ending* with its moments moved: the server's clock is *ahead* of its maker's."""
    if isinstance(ending, StillRunning):
        return replace(ending, ask_again_at=ending.ask_again_at + ahead)
    if isinstance(ending, RemotelyFailed) and ending.again_at is not None:
        return replace(ending, again_at=ending.again_at + ahead)
    return ending


def _current(db: Db, endings: Sequence[Ending]) -> list[Ending]:
    """One ending for each task that is still waiting at the attempt asked for.

    The first counts, but any real ending goes before "still running".
    """
    open_attempts = set(
        db.execute(
            """
            SELECT t.id, t.attempt
              FROM unnest(%s::bigint[]) AS e(value) JOIN tasks t ON t.id = e.value
             WHERE t.state = 'posted' ORDER BY t.id FOR UPDATE OF t
            """,
            ([ending.task for ending in endings],),
        )
    )
    chosen: dict[TaskId, Ending] = {}
    for ending in sorted(endings, key=lambda e: isinstance(e, StillRunning)):
        if (ending.task, ending.attempt) in open_attempts:
            chosen.setdefault(ending.task, ending)
    return list(chosen.values())


def _postpone(db: Db, running: Sequence[StillRunning]) -> None:
    db.executemany(
        """
        UPDATE tasks SET due_at = %s, polls = polls + 1, ready = 0, leased_by = NULL WHERE id = %s
        """,
        ((to_ms(e.ask_again_at), e.task) for e in running),
    )
    keep_replies(db, ((e.task, e.attempt, e.reply) for e in running if e.reply is not None))
    _note_failing(db, running)


def _note_failing(db: Db, running: Sequence[StillRunning]) -> None:
    """Write, or take back, that the API says that these tasks failed: until that is believed, what
    would end their attempts stands in them, and they are posted all the same."""
    noted = [(e, e.failing) for e in running if e.failing is not None]
    db.executemany(
        """
        UPDATE attempts SET code = %s, message = %s, ended_at = %s
         WHERE task_id = %s AND number = %s
        """,
        [(f.code, f.message, to_ms(f.since), e.task, e.attempt) for e, f in noted]
        + [(None, None, None, e.task, e.attempt) for e in running if e.recovered],
    )
    db.executemany(
        "UPDATE tasks SET polls = %s WHERE id = %s", ((f.said, e.task) for e, f in noted)
    )


Move = tuple[State, str, int | None, int]
"""State, reason, due at, tries used."""


def _end_tasks(db: Db, moves: Iterable[tuple[Move, TaskId]]) -> None:
    tasks: dict[Move, list[TaskId]] = defaultdict(list)
    for move, task in moves:
        tasks[move].append(task)
    for (state, reason, due_at, tries), ids in tasks.items():
        db.execute(
            """
            UPDATE tasks
               SET state = %s, reason = %s, due_at = %s, tries = tries + %s, ready = 0,
                   leased_by = NULL
             WHERE id = ANY(%s::bigint[])
            """,
            (state, reason, due_at, tries, ids),
        )


def keep_replies(db: Db, replies: Iterable[tuple[TaskId, int, bytes]]) -> None:
    """Keep the *replies* of attempts (task, number, compressed bytes)."""
    lines = list(replies)
    if not lines:
        return
    db.execute(
        """
        INSERT INTO replies (task_id, attempt, raw)
        SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[])
            ON CONFLICT (task_id, attempt) DO UPDATE SET raw = excluded.raw
        """,
        ([task for task, _, _ in lines], [n for _, n, _ in lines], [raw for *_, raw in lines]),
    )


def answer(
    db: Db,
    answers: Sequence[Answered],
    moment: int,
    state: State = State.POSTED,
) -> None:
    """Book the *answers* of tasks that are in *state*: posted, or being posted by a Live call."""
    if not answers:
        return
    done = after(state, Event.ANSWERED)
    _end_tasks(db, (((done, "", None, 0), e.task) for e in answers))
    keep_answers(db, answers, moment)


def keep_answers(db: Db, answers: Sequence[Answered], moment: int) -> None:
    """Book the *answers* and their cost on their attempts, wherever their tasks are by now."""
    db.execute(
        """
        UPDATE attempts
           SET state = 'completed', ended_at = %(now)s, reserved_nanousd = 0, at_risk_nanousd = 0,
               code = CASE WHEN state = 'posted' AND ended_at > 0 THEN NULL ELSE code END,
               message = CASE WHEN state = 'posted' AND ended_at > 0 THEN NULL ELSE message END,
               charged_nanousd = e.charge, charge_evidence = e.evidence,
               refunded_nanousd = greatest(0, advanced_nanousd - e.charge),
               over_reserve_nanousd =
                   greatest(0, e.charge - reserved_nanousd - at_risk_nanousd)
          FROM unnest(%(tasks)s::bigint[], %(numbers)s::bigint[], %(charges)s::bigint[],
                      %(evidence)s::text[]) AS e(task, number, charge, evidence)
         WHERE task_id = e.task AND attempts.number = e.number
        """,
        {
            "now": moment,
            "tasks": [e.task for e in answers],
            "numbers": [e.attempt for e in answers],
            "charges": [e.charge for e in answers],
            "evidence": [e.evidence for e in answers],
        },
    )
    keep_replies(db, ((e.task, e.attempt, e.reply) for e in answers))
    db.copy("results", _RESULTS, (_result(e, moment) for e in answers))
    db.copy(
        "citations",
        _CITATIONS,
        (
            (
                e.task,
                e.attempt,
                position,
                c.url,
                c.title,
                c.text,
                c.start_index,
                c.end_index,
                json.dumps(dict(c.extra), ensure_ascii=False) if c.extra else None,
            )
            for e in answers
            if e.answer
            for position, c in enumerate(e.answer.citations, start=1)
        ),
    )


_RESULTS: Final = (
    "task_id, attempt, received_at, answered_at, model_name, input_tokens, output_tokens,"
    " reasoning_tokens, web_search, money_spent_nanousd, answer, reasoning, fan_out_queries,"
    " parse_error"
)
_CITATIONS: Final = "task_id, attempt, position, url, title, text, start_index, end_index, extra"


def _result(ending: Answered, moment: int) -> tuple[object, ...]:
    answer = ending.answer or _UNREADABLE
    return (
        ending.task,
        ending.attempt,
        moment,
        to_ms(answer.answered_at) if answer.answered_at else None,
        answer.model_name,
        answer.input_tokens,
        answer.output_tokens,
        answer.reasoning_tokens,
        None if answer.web_search is None else int(answer.web_search),
        answer.money_spent_nanousd,
        answer.text,
        answer.reasoning,
        None
        if answer.fan_out_queries is None
        else json.dumps(list(answer.fan_out_queries), ensure_ascii=False),
        ending.parse_error,
    )


_UNREADABLE = Answer(
    text="",
    reasoning=None,
    model_name=None,
    input_tokens=None,
    output_tokens=None,
    reasoning_tokens=None,
    web_search=None,
    money_spent_nanousd=0,
    answered_at=None,
    citations=(),
    fan_out_queries=None,
)
"""Stands for an answer whose reply could not be read; the reply's bytes are kept."""


def fail(
    db: Db,
    failures: Sequence[RemotelyFailed],
    moment: int,
    state: State = State.POSTED,
) -> None:
    """Book the *failures* of tasks that are in *state*: posted, or being posted by a Live call."""
    again = after(state, Event.TRY_AGAIN)
    final = after(state, Event.REMOTE_FAILURE)
    _end_tasks(
        db,
        (
            ((final, str(e.reason), None, 1), e.task)
            if e.again_at is None
            else ((again, "", to_ms(e.again_at), 1), e.task)
            for e in failures
        ),
    )
    # The advance is at risk until a cost of 0 shows that it came back (DESIGN.md §4). A Live call
    # has none, and may have cost what was reserved.
    db.executemany(
        """
        UPDATE attempts
           SET state = 'failed', code = %(code)s, message = %(message)s, ended_at = %(now)s,
               reserved_nanousd = 0,
               at_risk_nanousd = CASE WHEN %(cost)s IS NOT NULL THEN 0
                                      WHEN %(live)s THEN reserved_nanousd
                                      ELSE advanced_nanousd END,
               charged_nanousd = coalesce(%(cost)s, 0),
               charge_evidence = CASE WHEN %(cost)s IS NULL THEN NULL ELSE %(reported)s END,
               refunded_nanousd = CASE WHEN %(cost)s IS NULL THEN 0
                                       ELSE greatest(0, advanced_nanousd - %(cost)s) END,
               over_reserve_nanousd = greatest(0, coalesce(%(cost)s, 0) - reserved_nanousd)
         WHERE task_id = %(task)s AND number = %(number)s
        """,
        (
            {
                "code": e.code,
                "message": e.message,
                "now": moment,
                "cost": e.cost,
                "live": state is State.POSTING,
                "reported": Evidence.REPORTED,
                "task": e.task,
                "number": e.attempt,
            }
            for e in failures
        ),
    )
    keep_replies(db, ((e.task, e.attempt, e.reply) for e in failures))


def _expire(db: Db, gone: Sequence[ResultGone], moment: int) -> None:
    expired = after(State.POSTED, Event.EXPIRED)
    _end_tasks(db, (((expired, "", None, 0), e.task) for e in gone))
    # What the lost answer cost was never read: the advance is the best that is known.
    db.executemany(
        """
        UPDATE attempts
           SET state = 'expired', code = %s, message = %s, ended_at = %s, reserved_nanousd = 0,
               charged_nanousd = advanced_nanousd, charge_evidence = %s
         WHERE task_id = %s AND number = %s
        """,
        ((e.code, e.message, moment, Evidence.COMPUTED, e.task, e.attempt) for e in gone),
    )
    keep_replies(db, ((e.task, e.attempt, e.reply) for e in gone if e.reply is not None))

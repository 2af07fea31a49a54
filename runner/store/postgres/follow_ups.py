"""Tasks of a second turn: held until the first question is answered, then asked with its answer.

    first waits ................ pending, due never
    first answered ............. pending, due now; prompt and answer are its history
    first ended unanswered ..... cancelled(no_first_answer)
    first is asked again ....... pending, due never, if it was one of these

What is under way or over stays as it is: nobody pays for a follow-up twice because its first
question was asked again. Triggers mark what has to be looked at (``NNNN_campaigns.sql``), and
``settle`` looks before every commit, so that no verb can forget it.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

import msgspec

from runner.clock import to_ms
from runner.lifecycle import WAITING, Event, Reason, State, after
from runner.parameters.table import TEXT_LIMIT
from runner.store.postgres.connection import Db

CUT: Final = " […]"
"""Stands at the end of a message that was cut."""

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


def settle(db: Db, time_of: Callable[[Db], datetime]) -> None:
    """Bring the follow-ups of first questions that moved in this transaction to where they belong.

    One look into an empty index where there are none.
    """
    stirred = db.execute(
        """
        SELECT f.task_id, t.state, t.reason, t.due_at, x.state, p.body, s.answer, f.history
          FROM follow_ups f
          JOIN tasks t ON t.id = f.task_id
          JOIN tasks x ON x.id = f.first_id
          LEFT JOIN payloads p ON p.task_id = x.id
          LEFT JOIN results s ON s.task_id = x.id AND s.attempt = x.attempt
                             AND x.state = 'completed'
         WHERE f.stirred = 1
        """
    ).fetchall()
    if not stirred:
        return
    moment = to_ms(time_of(db))
    for task, state, reason, due_at, first, body, answer, known in stirred:
        mine = State(state) is State.PENDING or reason == Reason.NO_FIRST_ANSWER
        if not mine:
            continue
        history, shortened = _history(body, answer)
        if first == State.COMPLETED and history is None:
            # Its answer was pruned since: what it was when it came is still known.
            history = known
        _place(db, task, State(state), due_at, State(first), history, moment)
        if history != known:
            db.execute(
                "UPDATE follow_ups SET history = %s, shortened = %s WHERE task_id = %s",
                (history, shortened, task),
            )
    db.execute("UPDATE follow_ups SET stirred = 0 WHERE stirred = 1")


def _place(
    db: Db,
    task: int,
    state: State,
    due_at: int | None,
    first: State,
    history: str | None,
    moment: int,
) -> None:
    """Move one follow-up that is pending, or was cancelled for want of an answer."""
    if history is not None:
        to, reason, due = State.PENDING, "", moment if due_at is None else due_at
    elif first in WAITING:
        to, reason, due = State.PENDING, "", None
    else:
        to, reason, due = State.CANCELLED, str(Reason.NO_FIRST_ANSWER), None
    if to is not state:
        to = after(state, Event.REOPENED if to is State.PENDING else Event.CANCELLED)
    elif due == due_at:
        return
    db.execute(
        "UPDATE tasks SET state = %s, reason = %s, due_at = %s WHERE id = %s AND state = %s",
        (to, reason, due, task, state),
    )


def _history(body: str | None, answer: str | None) -> tuple[str | None, int]:
    """The first turn as messages of a chain, and how many of them were cut.

    None if there is no first answer, or nothing is in it: the API takes no empty message.
    """
    if body is None or answer is None or not answer.strip():
        return None, 0
    said = (str(msgspec.json.decode(body)["user_prompt"]), answer)
    messages = [
        {"role": role, "message": shortened(text)}
        for role, text in zip(("user", "ai"), said, strict=True)
    ]
    cut = sum(len(text) > TEXT_LIMIT for text in said)
    return _ENCODER.encode(messages).decode(), cut


def shortened(text: str) -> str:
    """*text* as it fits a message: its first characters, and the sign that there was more."""
    if len(text) <= TEXT_LIMIT:
        return text
    return text[: TEXT_LIMIT - len(CUT)].rstrip() + CUT


def with_history(body: str, history: str | None) -> str:
    """The request *body* with *history* at the end of its own conversation, as it is sent."""
    if history is None:
        return body
    request = msgspec.json.decode(body)
    own = request.get("message_chain") or []
    request["message_chain"] = [*own, *msgspec.json.decode(history)]
    return _ENCODER.encode(request).decode()


def add(db: Db, *, last_task: int) -> None:
    """Tie the tasks of later turns that were queued after *last_task* to those before them."""
    # Held, so that none of them ends unseen before the ties are committed.
    db.execute(
        """
        SELECT 1 FROM tasks x JOIN tasks t ON x.row_id = t.row_id AND x.target_id = t.target_id
                                          AND x.sample = t.sample AND x.turn = t.turn - 1
         WHERE t.id > %s AND t.turn > 1 ORDER BY x.id FOR SHARE OF x
        """,
        (last_task,),
    )
    db.execute(
        """
        INSERT INTO follow_ups (task_id, first_id)
        SELECT t.id, x.id FROM tasks t
          JOIN tasks x ON x.row_id = t.row_id AND x.target_id = t.target_id
                      AND x.sample = t.sample AND x.turn = t.turn - 1
         WHERE t.id > %s AND t.turn > 1
            ON CONFLICT DO NOTHING
        """,
        (last_task,),
    )


def stuck(db: Db, run: int) -> int:
    """Follow-ups of *run* that wait for a first question for which nothing is sent: it was edited,
    and nobody has said yet which request counts."""
    (count,) = db.execute(
        """
        SELECT count(*)
          FROM tasks x
          JOIN follow_ups f ON f.first_id = x.id
          JOIN tasks t ON t.id = f.task_id
         WHERE x.run_id = %s AND x.changed = 1 AND x.state = 'pending'
           AND t.state = 'pending' AND t.changed = 0
        """,
        (run,),
    ).fetchone()
    return int(count)


def forget(db: Db, tasks: Iterable[int]) -> None:
    """Delete the histories of *tasks*, whose prompts and answers are being deleted."""
    db.executemany("DELETE FROM follow_ups WHERE task_id = %s", ((task,) for task in tasks))

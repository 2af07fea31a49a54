"""What the API's list of finished tasks does to the queue: it says which to ask for, and when.

    on the list ......... asked for now
    list trusted ........ the others wait for the checkpoints (6 h and on)
    list not trusted .... the others are asked at growing intervals, from a minute on

Whether it is trusted is kept here, so that what is posted meanwhile waits as the rest does.
"""

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from runner.backoff import FIRST_POLL, LONGEST_POLL
from runner.clock import to_ms
from runner.failpoints import Point, hit
from runner.task import Endpoint, Provider, Tag
from runner.windows import CHECKPOINTS

_MS: Final = timedelta(milliseconds=1)

DELIVERED_BY: Final = CHECKPOINTS[0]
"""By this age a task posted with a postback has been delivered, or is asked for (DESIGN.md §4)."""

GRACE: Final = timedelta(minutes=5)
"""How long one that shows on the list is left alone all the same: it may be sent once more."""


def waiting_providers(db: sqlite3.Connection, account: int | None = None) -> list[Provider]:
    rows = db.execute(
        """
        SELECT DISTINCT endpoint FROM targets g
         WHERE EXISTS (SELECT 1 FROM accounts c
                         JOIN tasks t ON t.target_id = g.id AND t.account_id = c.id
                        WHERE t.state = 'posted' AND (:account IS NULL OR c.id = :account))
         ORDER BY endpoint
        """,
        {"account": account},
    )
    return list(dict.fromkeys(Endpoint.parse(endpoint).provider for (endpoint,) in rows))


def mark_ready(db: sqlite3.Connection, tags: Sequence[Tag], *, now: datetime) -> int:
    # By primary key: an index of all that waits would be read through for a list of a few.
    seen = [(tag.task, tag.attempt, str(tag)) for tag in tags]
    marked = db.execute(
        """
        UPDATE tasks NOT INDEXED
           SET ready = 1, due_at = min(due_at, CASE postback WHEN 0 THEN :now ELSE :later END)
         WHERE state = 'posted' AND ready = 0 AND leased_by IS NULL
           AND id IN (SELECT a.task_id
                        FROM json_each(:seen) e
                       CROSS JOIN attempts a ON a.task_id = json_extract(e.value, '$[0]')
                         AND a.number = json_extract(e.value, '$[1]')
                       WHERE a.tag = json_extract(e.value, '$[2]') AND a.state = 'posted'
                         AND a.ended_at IS NULL)
        """,
        {"now": to_ms(now), "later": to_ms(now + GRACE), "seen": json.dumps(seen)},
    ).rowcount
    hit(Point.READY_INSIDE)
    return marked


def first_ask_ms(db: sqlite3.Connection, task: int) -> int:
    """How long after its receipt *task*, and those like it, are asked for by their ids, unless the
    list shows them sooner."""
    (account,) = db.execute("SELECT account_id FROM tasks WHERE id = ?", (task,)).fetchone()
    if is_trusted(db, account):
        return CHECKPOINTS[0] // _MS
    learned = db.execute(
        f"SELECT ({_LEARNED}) FROM tasks t JOIN targets g ON g.id = t.target_id WHERE t.id = ?",
        (task,),
    ).fetchone()
    return FIRST_POLL // _MS if learned is None or learned[0] is None else int(learned[0])


_LEARNED: Final = """SELECT c.first_ask_ms FROM completion_curves c
     WHERE c.endpoint = g.endpoint AND c.model = g.model"""
"""What is known of answers like those of a target ``g``."""


_TRUSTED: Final = "ready_list_trusted."
"""Begins the name under which it is kept whether an account's list is trusted."""


def is_trusted(db: sqlite3.Connection, account: int) -> bool:
    """Whether the list of *account* is trusted now."""
    row = db.execute(
        "SELECT value FROM install WHERE name = ?", (f"{_TRUSTED}{account}",)
    ).fetchone()
    return row is not None and row[0] == "yes"


def trust_ready_list(
    db: sqlite3.Connection, trusted: bool, *, now: datetime, account: int | None = None
) -> None:
    accounts = db.execute("SELECT id FROM accounts ORDER BY id").fetchall()
    for (each,) in accounts:
        if account in (None, each):
            _trust(db, each, trusted, now)


def _trust(db: sqlite3.Connection, account: int, trusted: bool, now: datetime) -> None:
    if trusted == is_trusted(db, account):
        return
    db.execute(
        "INSERT OR REPLACE INTO install (name, value) VALUES (?, ?)",
        (f"{_TRUSTED}{account}", "yes" if trusted else "no"),
    )
    scope = {
        "account": account,
        "now": to_ms(now),
        "first": FIRST_POLL // _MS,
        "longest": LONGEST_POLL // _MS,
        "checkpoint": CHECKPOINTS[0] // _MS,
    }
    if trusted:
        # Not those whose last ask brought nothing, or that a process died at: the API may have
        # handed their answer over, and the list forgets what was collected.
        db.execute(
            """
            UPDATE tasks SET due_at = posted_at + :checkpoint
             WHERE state = 'posted' AND account_id = :account AND ready = 0
               AND leased_by IS NULL AND polls = 0
               AND posted_at > :now - :checkpoint
               AND due_at < posted_at + :checkpoint
               AND NOT EXISTS (SELECT 1 FROM deaths d
                                WHERE d.task_id = tasks.id AND d.asking > 0)
            """,
            scope,
        )
    else:
        db.execute(
            f"""
            UPDATE tasks
               SET due_at = min(due_at, max(:now + min(:first << min(polls, 16), :longest),
                                            CASE polls WHEN 0 THEN posted_at + coalesce(
                                                (SELECT ({_LEARNED}) FROM targets g
                                                  WHERE g.id = tasks.target_id), 0)
                                            ELSE 0 END))
             WHERE state = 'posted' AND account_id = :account AND ready = 0
               AND leased_by IS NULL AND postback = 0
            """,
            scope,
        )

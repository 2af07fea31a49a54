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


def waiting_providers(db: sqlite3.Connection) -> list[Provider]:
    rows = db.execute(
        """
        SELECT DISTINCT endpoint FROM targets g
         WHERE EXISTS (SELECT 1 FROM tasks t WHERE t.target_id = g.id AND t.state = 'posted')
         ORDER BY endpoint
        """
    )
    return list(dict.fromkeys(Endpoint.parse(endpoint).provider for (endpoint,) in rows))


def mark_ready(db: sqlite3.Connection, tags: Sequence[Tag], *, now: datetime) -> int:
    # By primary key: an index of all that waits would be read through for a list of a few.
    seen = [(tag.task, tag.attempt, str(tag)) for tag in tags]
    marked = db.execute(
        """
        UPDATE tasks NOT INDEXED SET ready = 1, due_at = min(due_at, :now)
         WHERE state = 'posted' AND ready = 0 AND leased_by IS NULL
           AND id IN (SELECT a.task_id
                        FROM json_each(:seen) e
                       CROSS JOIN attempts a ON a.task_id = json_extract(e.value, '$[0]')
                         AND a.number = json_extract(e.value, '$[1]')
                       WHERE a.tag = json_extract(e.value, '$[2]') AND a.state = 'posted')
        """,
        {"now": to_ms(now), "seen": json.dumps(seen)},
    ).rowcount
    hit(Point.READY_INSIDE)
    return marked


def first_ask_ms(db: sqlite3.Connection) -> int:
    """How long after its receipt a task is asked for by its id, unless the list shows it sooner."""
    return (CHECKPOINTS[0] if _is_trusted(db) else FIRST_POLL) // _MS


def _is_trusted(db: sqlite3.Connection) -> bool:
    row = db.execute("SELECT value FROM install WHERE name = 'ready_list_trusted'").fetchone()
    return row is not None and row[0] == "yes"


def trust_ready_list(db: sqlite3.Connection, trusted: bool, *, now: datetime) -> None:
    if trusted == _is_trusted(db):
        return
    db.execute(
        "INSERT OR REPLACE INTO install (name, value) VALUES ('ready_list_trusted', ?)",
        ("yes" if trusted else "no",),
    )
    scope = {
        "now": to_ms(now),
        "first": FIRST_POLL // _MS,
        "longest": LONGEST_POLL // _MS,
        "checkpoint": CHECKPOINTS[0] // _MS,
    }
    if trusted:
        # Not those that are due, or whose last ask brought nothing: the API may have handed their
        # answer to a process that died, or to a reply that was lost, and the list forgets what was
        # collected.
        db.execute(
            """
            UPDATE tasks SET due_at = posted_at + :checkpoint
             WHERE state = 'posted' AND ready = 0 AND leased_by IS NULL AND polls = 0
               AND posted_at > :now - :checkpoint
               AND due_at > :now AND due_at < posted_at + :checkpoint
               AND NOT EXISTS (SELECT 1 FROM deaths d
                                WHERE d.task_id = tasks.id AND d.asking > 0)
            """,
            scope,
        )
    else:
        db.execute(
            """
            UPDATE tasks SET due_at = min(due_at, :now + min(:first << min(polls, 16), :longest))
             WHERE state = 'posted' AND ready = 0 AND leased_by IS NULL
            """,
            scope,
        )

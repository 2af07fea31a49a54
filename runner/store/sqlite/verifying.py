"""What must add up in a sound store, recounted from its lines: conservation of tasks and money.

Reads everything, some seconds for a million tasks; nothing is changed.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

from runner.store.reconciling import Breach

_CHECKS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "rows",
        "row {0} of run r{1} stands for no task",
        """
        SELECT r.id, r.run_id FROM rows r
         WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.row_id = r.id)
        """,
    ),
    (
        "counts",
        "run r{0} counts {3} tasks as {1} {2}, and has {4}",
        """
        SELECT run_id, state, reason, sum(counted), sum(there)
          FROM (SELECT run_id, state, reason, changed, n AS counted, 0 AS there FROM run_states
                 UNION ALL
                SELECT run_id, state, reason, changed, 0, count(*) FROM tasks GROUP BY 1, 2, 3, 4)
         GROUP BY run_id, state, reason, changed HAVING sum(counted) <> sum(there)
        """,
    ),
    (
        "money",
        "the sums of run r{0} are not those of its attempts: {1} is off by {2} nano-dollars",
        """
        WITH booked AS (
            SELECT m.run_id,
                   m.reserved_nanousd - total(a.reserved_nanousd) AS reserved,
                   m.at_risk_nanousd - total(a.at_risk_nanousd) AS at_risk,
                   m.advanced_nanousd - total(a.advanced_nanousd) AS advanced,
                   m.charged_nanousd - total(a.charged_nanousd) AS charged,
                   m.refunded_nanousd - total(a.refunded_nanousd) AS refunded,
                   m.over_reserve_nanousd - total(a.over_reserve_nanousd) AS over_reserve
              FROM run_money m LEFT JOIN attempts a ON a.run_id = m.run_id GROUP BY m.run_id)
        SELECT run_id, 'reserved', CAST(reserved AS INTEGER) FROM booked WHERE reserved <> 0
         UNION ALL
        SELECT run_id, 'at risk', CAST(at_risk AS INTEGER) FROM booked WHERE at_risk <> 0
         UNION ALL
        SELECT run_id, 'advanced', CAST(advanced AS INTEGER) FROM booked WHERE advanced <> 0
         UNION ALL
        SELECT run_id, 'charged', CAST(charged AS INTEGER) FROM booked WHERE charged <> 0
         UNION ALL
        SELECT run_id, 'refunded', CAST(refunded AS INTEGER) FROM booked WHERE refunded <> 0
         UNION ALL
        SELECT run_id, 'over reserve', CAST(over_reserve AS INTEGER) FROM booked
         WHERE over_reserve <> 0
        """,
    ),
    (
        "tags",
        "{1} attempts have the tag {0}",
        "SELECT tag, count(*) FROM attempts GROUP BY tag HAVING count(*) > 1",
    ),
    (
        "ids",
        "{1} attempts have the API's id {0}",
        """
        SELECT remote_id, count(*) FROM attempts
         WHERE remote_id IS NOT NULL GROUP BY remote_id HAVING count(*) > 1
        """,
    ),
    (
        "attempts",
        "task {0} is at attempt {1}, and its newest is {2}",
        """
        SELECT t.id, t.attempt, coalesce(max(a.number), 0) AS newest
          FROM tasks t LEFT JOIN attempts a ON a.task_id = t.id
         GROUP BY t.id HAVING newest <> t.attempt
        """,
    ),
    (
        "states",
        "task {0} is {1}, and its newest attempt {2}",
        """
        SELECT t.id, t.state, a.state
          FROM tasks t JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
         WHERE (t.state IN ('posting', 'posted', 'unknown', 'quarantined')
                OR a.state IN ('posting', 'posted', 'unknown', 'quarantined'))
           AND t.state <> a.state
        """,
    ),
    (
        "open",
        "attempt {1} of task {0} is open beside a newer one",
        """
        SELECT a.task_id, a.number FROM attempts a JOIN tasks t ON t.id = a.task_id
         WHERE a.state IN ('posting', 'posted', 'unknown') AND a.number < t.attempt
        """,
    ),
    (
        "posted",
        "attempt {1} of task {0} waits at the API, and its id is not known",
        """
        SELECT task_id, number FROM attempts WHERE state = 'posted' AND remote_id IS NULL
        """,
    ),
    (
        "reserves",
        "attempt {1} of task {0} has ended ({2}) and still holds money back",
        """
        SELECT task_id, number, state FROM attempts
         WHERE reserved_nanousd <> 0 AND state NOT IN ('posting', 'posted')
        """,
    ),
    (
        "answers",
        "task {0} is completed and has no answer",
        """
        SELECT t.id FROM tasks t JOIN runs r ON r.id = t.run_id
         WHERE t.state = 'completed' AND r.pruned_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM results s WHERE s.task_id = t.id AND s.attempt = t.attempt)
        """,
    ),
)
"""Name, what to say of a line found, and the query that finds none in a sound store."""

CHECKS: Final = tuple(name for name, _, _ in _CHECKS)
"""What ``verify`` looks at."""


def verify(db: sqlite3.Connection, *, most: int = 100) -> list[Breach]:
    return list(_breaches(db, most))


def _breaches(db: sqlite3.Connection, most: int) -> Iterator[Breach]:
    for name, words, query in _CHECKS:
        for row in db.execute(query).fetchmany(most):
            yield Breach(check=name, message=" ".join(words.format(*row).split()))

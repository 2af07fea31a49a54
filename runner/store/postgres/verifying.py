"""What must add up in a sound store, recounted from its lines: conservation of tasks and money.

Reads everything, some ten seconds for a million tasks; nothing is changed. What only the API can
tell, that each of its charges is booked and that it has no task of ours that we do not know, is the
audit's to find.
"""

from collections.abc import Iterator
from typing import Final

from runner.lifecycle import Reason
from runner.store.postgres.connection import Db
from runner.store.reconciling import Breach

_REASONS: Final = ", ".join(f"'{reason.value}'" for reason in Reason)

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
        "lines",
        "the latest input of run r{0} had {1} lines, and {2} are here",
        """
        SELECT l.run_id, l.row_count, count(i.id) AS here
          FROM loads l LEFT JOIN input_rows i ON i.load_id = l.id
         WHERE l.id IN (SELECT max(id) FROM loads GROUP BY run_id)
         GROUP BY l.id HAVING l.row_count <> count(i.id)
        """,
    ),
    (
        "counts",
        "run r{0} counts {3} tasks as {1} {2}, and has {4}",
        """
        SELECT run_id, state, reason, sum(counted), sum(there)
          FROM (SELECT run_id, state, reason, changed, n AS counted, 0 AS there FROM run_states
                 UNION ALL
                SELECT run_id, state, reason, changed, 0, count(*)
                  FROM tasks GROUP BY 1, 2, 3, 4) AS each
         GROUP BY run_id, state, reason, changed HAVING sum(counted) <> sum(there)
        """,
    ),
    (
        "money",
        "the sums of run r{0} are not those of its attempts: {1} is off by {2} nano-dollars",
        """
        WITH booked AS (
            SELECT m.run_id,
                   m.reserved_nanousd - coalesce(sum(a.reserved_nanousd), 0) AS reserved,
                   m.at_risk_nanousd - coalesce(sum(a.at_risk_nanousd), 0) AS at_risk,
                   m.advanced_nanousd - coalesce(sum(a.advanced_nanousd), 0) AS advanced,
                   m.charged_nanousd - coalesce(sum(a.charged_nanousd), 0) AS charged,
                   m.refunded_nanousd - coalesce(sum(a.refunded_nanousd), 0) AS refunded,
                   m.over_reserve_nanousd - coalesce(sum(a.over_reserve_nanousd), 0) AS over_reserve
              FROM run_money m LEFT JOIN charges a ON a.run_id = m.run_id GROUP BY m.run_id)
        SELECT run_id, 'reserved', reserved FROM booked WHERE reserved <> 0
         UNION ALL
        SELECT run_id, 'at risk', at_risk FROM booked WHERE at_risk <> 0
         UNION ALL
        SELECT run_id, 'advanced', advanced FROM booked WHERE advanced <> 0
         UNION ALL
        SELECT run_id, 'charged', charged FROM booked WHERE charged <> 0
         UNION ALL
        SELECT run_id, 'refunded', refunded FROM booked WHERE refunded <> 0
         UNION ALL
        SELECT run_id, 'over reserve', over_reserve FROM booked
         WHERE over_reserve <> 0
        """,
    ),
    (
        "amounts",
        "attempt {1} of task {0} has an amount below zero",
        """
        SELECT task_id, number FROM attempts
         WHERE least(reserved_nanousd, at_risk_nanousd, advanced_nanousd, charged_nanousd,
                   refunded_nanousd, over_reserve_nanousd) < 0
        """,
    ),
    (
        "amounts",
        "attempt {1} of task {0} has ended ({2}): of its advance {3} nano-dollars were neither "
        "charged nor refunded, and are not at risk",
        """
        SELECT task_id, number, state,
               advanced_nanousd - charged_nanousd - refunded_nanousd - at_risk_nanousd AS missing
          FROM attempts
         WHERE state NOT IN ('posting', 'posted')
           AND advanced_nanousd - charged_nanousd - refunded_nanousd - at_risk_nanousd > 0
        """,
    ),
    (
        "risks",
        "attempt {1} of task {0} is {2} and has money at risk, which only doubt has",
        """
        SELECT task_id, number, state FROM attempts
         WHERE at_risk_nanousd > 0 AND state NOT IN ('unknown', 'quarantined', 'failed')
        """,
    ),
    (
        "risks",
        "attempt {1} of task {0} is {2}, and nothing is at risk for it",
        """
        SELECT task_id, number, state FROM attempts
         WHERE at_risk_nanousd = 0 AND state IN ('unknown', 'quarantined')
        """,
    ),
    (
        "tags",
        "{1} attempts have the tag {0}",
        "SELECT tag, count(*) FROM attempts GROUP BY tag HAVING count(*) > 1",
    ),
    (
        "tags",
        "attempt {1} of task {0} has a tag of another run or attempt: {2}",
        """
        SELECT a.task_id, a.number, a.tag FROM attempts a JOIN runs r ON r.id = a.run_id
         WHERE a.tag !~ ('^.{8}[.]' || r.tag_part || '[.][0-9].*[.].{26}[.]' || a.number
                         || '[.].{4}$')
           -- Found again for a row that was loaded anew: only its digest is the task's.
           AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.id = a.batch_id AND b.body_sha256 = '')
        """,
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
        "extras",
        "the API's id {1} is booked for task {0} twice: as an attempt and beside it",
        """
        SELECT x.task_id, x.remote_id FROM extra_charges x
         WHERE EXISTS (SELECT 1 FROM attempts a
                        WHERE a.task_id = x.task_id AND a.remote_id = x.remote_id)
        """,
    ),
    (
        "incidents",
        "incident {0} is open about the API's {1}, which is that of attempt {3} of task {2}",
        """
        SELECT i.id, i.remote_id, a.task_id, a.number
          FROM incidents i JOIN attempts a ON a.remote_id = i.remote_id
         WHERE i.closed_at IS NULL AND i.kind IN ('double_charge', 'orphan')
        """,
    ),
    (
        "batches",
        "batch {0} was intended with {1} tasks, and {2} have attempts",
        """
        SELECT b.id, b.size, count(a.task_id) AS here
          FROM batches b LEFT JOIN attempts a ON a.batch_id = b.id
         GROUP BY b.id HAVING b.size <> count(a.task_id)
        """,
    ),
    (
        "attempts",
        "task {0} has {1} attempts, and the newest is numbered {2}",
        """
        SELECT task_id, count(*), max(number) FROM attempts
         GROUP BY task_id HAVING count(*) <> max(number)
        """,
    ),
    (
        "attempts",
        "task {0} is at attempt {1}, and its newest is {2}",
        """
        SELECT t.id, t.attempt, coalesce(max(a.number), 0) AS newest
          FROM tasks t LEFT JOIN attempts a ON a.task_id = t.id
         GROUP BY t.id HAVING coalesce(max(a.number), 0) <> t.attempt
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
            OR t.state IN ('completed', 'expired') AND t.state <> a.state
            OR t.state = 'failed' AND a.state NOT IN ('failed', 'refused', 'not_taken', 'absent')
        """,
    ),
    (
        "reasons",
        "task {0} is {1} for the reason {2!r}",
        f"""
        SELECT id, state, reason FROM tasks
         WHERE state = 'failed' AND reason NOT IN ({_REASONS})
            OR state IN ('pending', 'posting', 'unknown', 'posted', 'completed', 'expired')
               AND reason <> ''
        """,
    ),
    (
        "timers",
        "task {0} is {1}, and nothing would ever take it up",
        """
        SELECT id, state FROM tasks
         WHERE state = 'posted' AND due_at IS NULL
            OR state = 'pending' AND due_at IS NULL
               AND NOT EXISTS (SELECT 1 FROM follow_ups f JOIN tasks x ON x.id = f.first_id
                                WHERE f.task_id = tasks.id
                                  AND x.state IN ('pending', 'posting', 'unknown', 'posted'))
            OR state = 'pending'
               AND NOT EXISTS (SELECT 1 FROM payloads p WHERE p.task_id = tasks.id)
         UNION ALL
        SELECT a.task_id, a.state FROM attempts a JOIN batches b ON b.id = a.batch_id
         WHERE a.state = 'posting' AND b.outcome IS NOT NULL
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
        "accounts",
        "task {0} was posted with account {2}, and {1} would be asked for it",
        """
        SELECT t.id, t.account_id, b.account_id AS posted_with
          FROM tasks t
          JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt
          JOIN batches b ON b.id = a.batch_id
         WHERE t.state IN ('posting', 'posted', 'unknown')
           AND coalesce(t.account_id, 0) <> b.account_id
        """,
    ),
    (
        "accounts",
        "the sums of account {0} in run r{1} are off by {2} and {3} nano-dollars",
        """
        SELECT account_id, run_id, sum(charged), sum(held)
          FROM (SELECT account_id, run_id, charged_nanousd AS charged, held_nanousd AS held
                  FROM account_money
                 UNION ALL
                SELECT b.account_id, a.run_id, -a.charged_nanousd,
                       -a.reserved_nanousd - a.at_risk_nanousd
                  FROM attempts a JOIN batches b ON b.id = a.batch_id
                 UNION ALL
                SELECT account_id, run_id, -charged_nanousd, -reserved_nanousd - at_risk_nanousd
                  FROM extra_charges WHERE account_id IS NOT NULL) AS booked
         GROUP BY account_id, run_id HAVING sum(charged) <> 0 OR sum(held) <> 0
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
    (
        "answers",
        "there is an answer of attempt {1} of task {0}, which is {2}",
        """
        SELECT s.task_id, s.attempt, coalesce(a.state, 'missing')
          FROM results s LEFT JOIN attempts a ON a.task_id = s.task_id AND a.number = s.attempt
         WHERE a.state IS DISTINCT FROM 'completed'
        """,
    ),
    (
        "references",
        "the server does not watch {0} any more",
        """
        SELECT conname FROM pg_constraint
         WHERE connamespace = current_schema()::regnamespace AND NOT convalidated
         UNION ALL
        SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
         WHERE c.relnamespace = current_schema()::regnamespace AND tgenabled NOT IN ('O', 'A')
        """,
    ),
)
"""Name, what to say of a line found, and a query that finds none in a sound store."""

CHECKS: Final = tuple(dict.fromkeys(name for name, _, _ in _CHECKS))
"""What ``verify`` looks at."""


def verify(db: Db, *, most: int = 100) -> list[Breach]:
    return list(_breaches(db, most))


def _breaches(db: Db, most: int) -> Iterator[Breach]:
    for name, words, query in _CHECKS:
        for row in db.execute(query).fetchmany(most):
            yield Breach(check=name, message=" ".join(words.format(*row).split()))

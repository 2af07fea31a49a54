"""What answers have cost, from the last thousand of each kind: cheap however many there were."""

import sqlite3
from typing import Final

from runner.store.history import FirstRequest, Spent, TargetHistory
from runner.store.values import Balance
from runner.task import Endpoint

_PERCENT: Final = 95
"""So many of a hundred earlier answers did not cost more than what is set aside for the next."""


def reserve_of(db: sqlite3.Connection, target: int) -> int:
    """What is set aside for one attempt: the target's own least, or what its like has cost.

    Looked up at each intent, so that a long first run learns from its own first answers.
    """
    return int(
        db.execute(
            f"""
            WITH known AS (
                SELECT s.charged_nanousd AS charged
                  FROM targets g
                  JOIN price_history h
                    ON h.endpoint = g.endpoint AND h.model = g.model AND h.asks = g.asks
                  JOIN price_samples s ON s.history_id = h.id
                 WHERE g.id = :target)
            SELECT max(reserve_nanousd, coalesce(
                       (SELECT charged FROM known ORDER BY charged LIMIT 1
                        OFFSET (SELECT max(0, (count(*) * {_PERCENT} + 99) / 100 - 1) FROM known)),
                       0))
              FROM targets WHERE id = :target
            """,
            {"target": target},
        ).fetchone()[0]
    )


def target_history(db: sqlite3.Connection, run: int) -> list[TargetHistory]:
    counts = {
        target: (tasks, to_post)
        for target, tasks, to_post in db.execute(
            """
            SELECT target_id, count(*), sum(state = 'pending' AND changed = 0)
              FROM tasks WHERE run_id = ? GROUP BY target_id
            """,
            (run,),
        )
    }
    found = []
    for id_, name, endpoint, model, history, answers in db.execute(
        """
        SELECT g.id, g.name, g.endpoint, g.model, h.id, coalesce(h.answers, 0)
          FROM targets g
          LEFT JOIN price_history h
            ON h.endpoint = g.endpoint AND h.model = g.model AND h.asks = g.asks
         WHERE g.run_id = ?
         ORDER BY g.id
        """,
        (run,),
    ).fetchall():
        tasks, to_post = counts.get(id_, (0, 0))
        charges = db.execute(
            "SELECT charged_nanousd FROM price_samples WHERE history_id = ?", (history,)
        )
        found.append(
            TargetHistory(
                name=name,
                endpoint=Endpoint.parse(endpoint),
                model=model,
                tasks=tasks,
                to_post=to_post,
                reserve=reserve_of(db, id_),
                answers=answers,
                charges=tuple(charge for (charge,) in charges),
            )
        )
    return found


def first_requests(db: sqlite3.Connection, run: int, limit: int) -> list[FirstRequest]:
    rows = db.execute(
        """
        WITH first AS (
            SELECT min(id) AS id
              FROM (SELECT id, row_id FROM tasks
                     WHERE run_id = :run AND state = 'pending' AND changed = 0 AND turn = 1
                     ORDER BY id LIMIT 1000)
             GROUP BY row_id ORDER BY 1 LIMIT :limit)
        SELECT (SELECT i.line FROM input_rows i WHERE i.row_id = t.row_id
                 ORDER BY i.load_id DESC, i.position LIMIT 1),
               g.name, json_extract(p.body, '$.user_prompt')
          FROM first f
          JOIN tasks t ON t.id = f.id
          JOIN targets g ON g.id = t.target_id
          JOIN payloads p ON p.task_id = t.id
         ORDER BY t.id
        """,
        {"run": run, "limit": limit},
    )
    return [FirstRequest(line=line, target=name, prompt=prompt) for line, name, prompt in rows]


def spent(db: sqlite3.Connection, account: int | None = None) -> Spent:
    charged, held = db.execute(
        """
        SELECT coalesce(sum(charged_nanousd), 0), coalesce(sum(held_nanousd), 0)
          FROM account_money
         WHERE :account IS NULL OR account_id = :account
        """,
        {"account": account},
    ).fetchone()
    (newest,) = db.execute("SELECT coalesce(max(id), 0) FROM batches").fetchone()
    beside = _beside(db, account)
    return Spent(charged=charged, held=held, newest_batch=newest, beside=beside)


def out(db: sqlite3.Connection, account: int, balance: Balance) -> int:
    """Advances that were out when *balance* was asked for and still are, nano-dollars.

    Of one that is not out any more nobody can tell whether its cost had gone off by then.
    """
    # The words of the index's own condition, so that only open attempts are looked at.
    (advances,) = db.execute(
        """
        SELECT coalesce(sum(a.advanced_nanousd), 0)
          FROM attempts a CROSS JOIN batches b ON b.id = a.batch_id
         WHERE a.state IN ('posting', 'posted', 'unknown')
           AND a.batch_id <= ? AND b.account_id = ?
        """,
        (balance.newest_batch, account),
    ).fetchone()
    return int(advances) + min(balance.beside, _beside(db, account))


def _beside(db: sqlite3.Connection, account: int | None) -> int:
    (advances,) = db.execute(
        """
        SELECT coalesce(sum(advanced_nanousd), 0) FROM extra_charges
         WHERE state = 'posted' AND (:account IS NULL OR account_id = :account)
        """,
        {"account": account},
    ).fetchone()
    return int(advances)


def spent_on(db: sqlite3.Connection, job: str, day: int) -> int:
    row = db.execute(
        """
        SELECT d.spent_nanousd FROM day_money d JOIN jobs j ON j.id = d.job_id
         WHERE j.name = ? AND d.day = ?
        """,
        (job, day),
    ).fetchone()
    return int(row[0]) if row else 0


def remember_limits(db: sqlite3.Connection, run: int, budget: int | None, hold: int | None) -> None:
    db.execute(
        "UPDATE runs SET given_budget_nanousd = ?, given_hold_nanousd = ? WHERE id = ?",
        (budget, hold, run),
    )

"""Runs: one execution of a job each, with the targets that it asks."""

import json
from collections.abc import Sequence
from datetime import datetime

from runner.clock import from_ms, to_ms
from runner.errors import WrongInput
from runner.failpoints import Point, hit
from runner.lifecycle import WAITING
from runner.store.postgres.connection import Db
from runner.store.postgres.identity import install_id
from runner.store.values import Run
from runner.task import Target, short_digest


def hold_run(db: Db, run: int) -> None:
    """Nobody else begins a batch of *run*, pauses it or loads into it until this is committed."""
    db.execute("SELECT 1 FROM run_money WHERE run_id = %s FOR UPDATE", (run,))


def newest_run(db: Db, job: str, key: str) -> Run | None:
    found = runs(db, job=job, key=key)
    return found[-1] if found else None


def runs(
    db: Db,
    *,
    job: str | None = None,
    key: str | None = None,
    id: int | None = None,
) -> list[Run]:
    rows = db.execute(
        """
        SELECT r.id, j.name, j.source, r.key, r.fresh, r.api, r.key_columns, r.created_at,
               r.pruned_at, r.given_budget_nanousd, r.given_hold_nanousd
          FROM runs r JOIN jobs j ON j.id = r.job_id
         WHERE (%(job)s IS NULL OR j.name = %(job)s) AND (%(key)s IS NULL OR r.key = %(key)s)
           AND (%(id)s IS NULL OR r.id = %(id)s)
         ORDER BY r.id
        """,
        {"job": job, "key": key, "id": id},
    )
    return [
        Run(
            id=id_,
            job=name,
            source=source,
            key=key_,
            fresh=fresh,
            api=api,
            key_columns=tuple(json.loads(key_columns)),
            created_at=from_ms(created_at),
            pruned_at=None if pruned_at is None else from_ms(pruned_at),
            given_budget=budget,
            given_hold=hold,
        )
        for (
            id_,
            name,
            source,
            key_,
            fresh,
            api,
            key_columns,
            created_at,
            pruned_at,
            budget,
            hold,
        ) in rows
    ]


def unfinished_runs(db: Db) -> list[Run]:
    states = ", ".join(f"'{state}'" for state in sorted(WAITING))
    rows = db.execute(f"SELECT DISTINCT run_id FROM run_states WHERE n > 0 AND state IN ({states})")
    unfinished = {run for (run,) in rows}
    return [run for run in runs(db) if run.id in unfinished]


def begin_run(
    db: Db,
    *,
    job: str,
    key: str,
    fresh: int,
    api: str,
    key_columns: Sequence[str],
    targets: Sequence[tuple[Target, int]],
    tries: int,
    live_resend: bool,
    source: str,
    now: datetime,
) -> Run:
    install_id(db)
    db.execute(
        """
        INSERT INTO jobs (name, source) VALUES (%(job)s, %(source)s)
        ON CONFLICT (name) DO UPDATE SET source = %(source)s WHERE %(source)s <> ''
        """,
        {"job": job, "source": source},
    )
    (job_id,) = db.execute("SELECT id FROM jobs WHERE name = %s", (job,)).fetchone()
    # From the job's own words, so that a store rebuilt from nothing makes the same tags.
    tag_part = short_digest(json.dumps([job, key, fresh]).encode(), 8)
    db.execute(
        """
        INSERT INTO runs
               (job_id, key, fresh, tag_part, api, key_columns, tries, live_resend, created_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (job_id, key, fresh)
        DO UPDATE SET tries = excluded.tries, live_resend = excluded.live_resend
        """,
        (
            job_id,
            key,
            fresh,
            tag_part,
            api,
            json.dumps(list(key_columns)),
            tries,
            int(live_resend),
            to_ms(now),
        ),
    )
    (run,) = (found for found in runs(db, job=job, key=key) if found.fresh == fresh)
    db.execute("INSERT INTO run_money (run_id) VALUES (%s) ON CONFLICT DO NOTHING", (run.id,))
    for target, reserve in targets:
        _keep_target(db, run.id, target, reserve)
    hit(Point.RUN_INSIDE)
    return run


def _keep_target(db: Db, run: int, target: Target, reserve: int) -> None:
    row = db.execute(
        "SELECT endpoint FROM targets WHERE run_id = %s AND name = %s", (run, target.name)
    ).fetchone()
    if row and row[0] != str(target.endpoint):
        raise WrongInput(
            f'target "{target.name}" was {row[0]} in this run and is {target.endpoint} now',
            why="its tasks would be asked of another API than the one that answered the others",
            how="give the new target a name of its own, or start a new run with --fresh",
        )
    db.execute(
        """
        INSERT INTO targets
               (run_id, name, endpoint, model, parameters, reserve_nanousd, account)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (run_id, name) DO UPDATE
           SET model = excluded.model, parameters = excluded.parameters,
               reserve_nanousd = excluded.reserve_nanousd, account = excluded.account
        """,
        (
            run,
            target.name,
            str(target.endpoint),
            target.model,
            _parameters(target),
            reserve,
            target.account,
        ),
    )


def _parameters(target: Target) -> str:
    return json.dumps(dict(target.parameters), sort_keys=True, default=str)


def new_targets(db: Db, run: int, targets: Sequence[Target]) -> list[Target]:
    rows = db.execute(
        "SELECT name, endpoint, model, parameters FROM targets WHERE run_id = %s", (run,)
    )
    known = set(rows)
    return [
        target
        for target in targets
        if (target.name, str(target.endpoint), target.model, _parameters(target)) not in known
    ]


def renamed_targets(db: Db, run: int, targets: Sequence[Target]) -> list[tuple[str, Target]]:
    rows = db.execute(
        "SELECT name, endpoint, model, parameters FROM targets WHERE run_id = %s", (run,)
    ).fetchall()
    known, named = {name for name, *_ in rows}, {target.name for target in targets}
    gone = {tuple(asks): name for name, *asks in rows if name not in named}
    new = [target for target in targets if target.name not in known]
    asks = [(str(target.endpoint), target.model, _parameters(target)) for target in new]
    return [(gone[each], target) for each, target in zip(asks, new, strict=True) if each in gone]

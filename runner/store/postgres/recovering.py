"""Whether the store can be taken at its word, and what to make of tags that it does not know."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Final

from runner.clock import from_ms, to_ms
from runner.errors import WrongInput
from runner.lifecycle import Event, State, after
from runner.money import ADVANCE, BASE_PRICE_STANDARD, Evidence
from runner.store.postgres.connection import Db
from runner.store.postgres.deaths import outlived
from runner.store.postgres.identity import (
    former_installs,
    install_id,
    new_install_id,
    replaced_installs,
)
from runner.store.postgres.owners import Owners
from runner.store.reconciling import IncidentKind, Sighting
from runner.store.recovering import Doubted, Unlisted, asks_the_same
from runner.task import RemoteId, Tag

_TAKES_UP: Final[dict[State, tuple[Event, ...]]] = {
    State.PENDING: (Event.FOUND,),
    State.QUARANTINED: (Event.FOUND,),
    # The attempt that the store knows must have ended, or there would be no later one.
    State.UNKNOWN: (Event.PROVEN_ABSENT, Event.FOUND),
    State.POSTED: (Event.TRY_AGAIN, Event.FOUND),
    State.FAILED: (Event.ASKED_AGAIN, Event.FOUND),
    State.EXPIRED: (Event.ASKED_AGAIN, Event.FOUND),
}
"""How a task comes to a later attempt than the store knows, by where it stands."""

_OWN: Final = "body_sha256 <> ''"
"""Batches that this state of the store posted, not those found again."""


def check_host(db: Db, host: str | None) -> None:
    if host is None:
        return
    known = _get(db, "host")
    if known is None:
        _set(db, "host", host)
    elif known != host:
        raise WrongInput(
            "this store was made on another host",
            why="a copy that goes on beside the original would ask, and pay for, the same twice",
            how="see that nothing uses the other copy any more, then: runner db claim",
        )


def claim(db: Db, host: str | None) -> str:
    old = install_id(db)
    _set(db, "former_installs", " ".join([*former_installs(db), old]))
    made = new_install_id(db)
    if host is None:
        db.execute("DELETE FROM install WHERE name = 'host'")
    else:
        _set(db, "host", host)
    db.execute("DELETE FROM install WHERE name = 'moved_to'")
    _doubt(db, Doubted.CLAIMED, "")
    return made


def unlisted(db: Db, account: int | None = None) -> Unlisted | None:
    noted = _get(db, "unlisted")
    if noted is None or (account is not None and account in _listed(db)):
        return None
    why, _, _ = noted.partition(" ")
    clean = _get(db, _clean_of(account))
    row = db.execute(
        f"""
        SELECT intended_api_at, intended_at FROM batches WHERE {_OWN} ORDER BY id DESC LIMIT 1
        """
    ).fetchone()
    by_api, newest = False, None
    if why == Doubted.REPLACED:
        pass  # The other store's intents are gone with it.
    elif row is not None:
        by_api = row[0] is not None
        newest = row[0] if by_api else row[1]
    else:
        newest = _made_at(db)
    return Unlisted(
        why=Doubted(why),
        newest=None if newest is None else from_ms(newest),
        by_api=by_api,
        clean_api=None if clean is None else from_ms(int(clean)),
    )


def _made_at(db: Db) -> int:
    """Not the oldest run's time: that may have been loaded into a copy that was empty."""
    (made_at,) = db.execute(
        """
        SELECT min(at) FROM (SELECT min(created_at) AS at FROM runs
                              UNION ALL SELECT min(applied_at) FROM migrations) AS known
        """
    ).fetchone()
    return int(made_at)


def note_listing(db: Db, *, at: datetime, account: int | None = None) -> None:
    if _get(db, _clean_of(account)) is None:
        _set(db, _clean_of(account), str(to_ms(at)))


def _clean_of(account: int | None) -> str:
    """Under which name the time of the first listing of *account* is kept."""
    return "unlisted_api_at" if account is None else f"unlisted_api_at.{account}"


def _listed(db: Db) -> set[int]:
    """The accounts that were looked through since the doubt began."""
    return {int(account) for account in (_get(db, "listed_accounts") or "").split()}


def listed(db: Db, account: int | None, among: Collection[int]) -> None:
    if account is not None:
        done = _listed(db) | {account}
        _set(db, "listed_accounts", " ".join(str(each) for each in sorted(done)))
        if not done.issuperset(among):
            return
    db.execute("DELETE FROM install WHERE name = 'unlisted'")
    _forget_listings(db)


def _forget_listings(db: Db) -> None:
    db.execute(
        """
        DELETE FROM install
         WHERE name = 'listed_accounts' OR name LIKE 'unlisted_api_at%'
        """
    )


def installs(db: Db) -> frozenset[str]:
    """Whose tags are this store's: its own, those that it had before it was claimed, and those of
    stores that stood in its place."""
    return frozenset([install_id(db), *former_installs(db), *replaced_installs(db)])


def adopt_orphans(db: Db, *, now: datetime) -> int:
    orphans = db.execute(
        """
        SELECT tag, remote_id, account_id, request FROM incidents
         WHERE kind = %s AND closed_at IS NULL AND tag IS NOT NULL AND remote_id IS NOT NULL
        """,
        (IncidentKind.ORPHAN,),
    ).fetchall()
    seen = [
        (tag, Sighting(tag=text, remote_id=RemoteId(id_), request=request), account)
        for text, id_, account, request in orphans
        if (tag := Tag.parse(text)) is not None
    ]
    owners = Owners(db, [tag for tag, *_ in seen])
    taken = [
        take_up(db, owners, tag, sighting, account=account, now=now)
        for tag, sighting, account in seen
    ]
    return sum(map(bool, taken))


def take_up(
    db: Db,
    owners: Owners,
    tag: Tag,
    sighting: Sighting,
    *,
    account: int | None,
    now: datetime,
) -> bool | None:
    """A later state of this store posted *tag*, or one that stood in its place: its task is at that
    attempt from now on.

    False if that attempt is known under this id already; None if there is no such task, it has
    ended otherwise, or another store asked it, and perhaps something else.
    """
    task = owners.task_of(tag)
    if task is None:
        return None
    state, attempt, run, model, reserve, body, endpoint = db.execute(
        """
        SELECT t.state, t.attempt, t.run_id,
               coalesce(json_text(p.body, 'model_name'), g.model), g.reserve_nanousd,
               p.body, g.endpoint
          FROM tasks t JOIN targets g ON g.id = t.target_id
          LEFT JOIN payloads p ON p.task_id = t.id
         WHERE t.id = %s FOR UPDATE OF t
        """,
        (task,),
    ).fetchone()
    if tag.attempt <= attempt:
        known = db.execute(
            "SELECT 1 FROM attempts WHERE task_id = %s AND number = %s AND remote_id = %s",
            (task, tag.attempt, sighting.remote_id),
        ).fetchone()
        return False if known else None
    events = _TAKES_UP.get(State(state))
    if events is None:
        return None
    if tag.install in replaced_installs(db) and not asks_the_same(body, endpoint, sighting):
        return None
    account = account or _first_account(db)
    _end_attempt(db, task, attempt, now=now)
    to = State(state)
    for event in events:
        to = after(to, event)
    db.execute(
        """
        UPDATE tasks
           SET state = %s, reason = '', attempt = %s, account_id = %s, due_at = %s,
               posted_at = %s, ready = 1, polls = 0, leased_by = NULL
         WHERE id = %s
        """,
        (to, tag.attempt, account, to_ms(now), to_ms(sighting.posted_at or now), task),
    )
    # Numbers without gaps: what is not in the account was not taken.
    for number in range(attempt + 1, tag.attempt):
        missing = replace(tag, attempt=number)
        _insert_attempt(db, missing, None, (task, run, model, 0), account=account, now=now)
    _insert_attempt(db, tag, sighting, (task, run, model, reserve), account=account, now=now)
    db.execute(
        """
        UPDATE incidents SET closed_at = %s
         WHERE kind = %s AND remote_id = %s AND closed_at IS NULL
        """,
        (to_ms(now), IncidentKind.ORPHAN, sighting.remote_id),
    )
    outlived(db, [task])
    return True


def _end_attempt(db: Db, task: int, number: int, *, now: datetime) -> None:
    """What became of it was written in the later state of the store: its money is at risk."""
    db.execute(
        """
        UPDATE attempts
           SET state = 'failed', ended_at = %s,
               message = 'a later attempt was found in the account',
               at_risk_nanousd = greatest(at_risk_nanousd, advanced_nanousd), reserved_nanousd = 0
         WHERE task_id = %s AND number = %s AND state IN ('posted', 'unknown', 'quarantined')
        """,
        (to_ms(now), task, number),
    )


def _insert_attempt(
    db: Db,
    tag: Tag,
    sighting: Sighting | None,
    of: tuple[int, int, str, int],
    *,
    account: int,
    now: datetime,
) -> None:
    task, run, model, reserve = of
    moment = to_ms(now)
    posted_at = to_ms(sighting.posted_at) if sighting and sighting.posted_at else moment
    line: dict[str, object] = {
        "task": task,
        "number": tag.attempt,
        "run": run,
        "batch": _recovered_batch(db, task, account, posted_at, moment),
        "model": model,
        "tag": str(tag),
        "reserve": reserve,
        "now": moment,
    }
    if sighting is None:
        db.execute(
            """
            INSERT INTO attempts
                   (task_id, number, run_id, batch_id, model, tag, state, ended_at, message)
            VALUES (%(task)s, %(number)s, %(run)s, %(batch)s, %(model)s, %(tag)s, 'absent', %(now)s,
                    'the account has a later attempt, and no trace of this one')
            """,
            line,
        )
        return
    reported = sighting.cost is not None and sighting.cost > 0
    line |= {
        "remote_id": sighting.remote_id,
        "advance": sighting.cost if reported else ADVANCE + BASE_PRICE_STANDARD,
        "evidence": Evidence.REPORTED if reported else Evidence.COMPUTED,
    }
    db.execute(
        """
        INSERT INTO attempts
               (task_id, number, run_id, batch_id, model, tag, state, reserved_nanousd, accepted_at)
        VALUES (%(task)s, %(number)s, %(run)s, %(batch)s, %(model)s, %(tag)s, 'posted',
                %(reserve)s, %(now)s)
        """,
        line,
    )
    # Apart, as the sums of a run follow only changes of what was advanced.
    db.execute(
        """
        UPDATE attempts
           SET remote_id = %(remote_id)s, advanced_nanousd = %(advance)s,
               advance_evidence = %(evidence)s
         WHERE task_id = %(task)s AND number = %(number)s
        """,
        line,
    )


def _first_account(db: Db) -> int:
    """Where nobody noted whose listing it was, there was one account."""
    (account,) = db.execute("SELECT min(id) FROM accounts").fetchone()
    return int(account)


def _recovered_batch(db: Db, task: int, account: int, posted_at: int, moment: int) -> int:
    """A batch of one, in the place of the one whose record is gone."""
    (batch,) = db.execute(
        """
        INSERT INTO batches
               (account_id, worker_id, endpoint, size, body_sha256, intended_at, deadline, outcome,
                message, settled_at)
        SELECT %(account)s, (SELECT max(id) FROM workers), g.endpoint, 1, '',
               %(posted_at)s, %(posted_at)s, 'answered', 'found in the account, not in the store',
               %(now)s
          FROM tasks t JOIN targets g ON g.id = t.target_id WHERE t.id = %(task)s
        RETURNING id
        """,
        {"account": account, "posted_at": posted_at, "now": moment, "task": task},
    ).fetchone()
    return int(batch)


def _doubt(db: Db, why: Doubted, detail: str) -> None:
    noted = f"{why} {detail}".strip()
    known = _get(db, "unlisted")
    # The same doubt in the next start: the wait since its first listing goes on.
    if known != noted:
        # That one is looked into the furthest back, and no other may shorten it.
        if known is None or not known.startswith(Doubted.REPLACED):
            _set(db, "unlisted", noted)
        _forget_listings(db)
        # Asked for at once: what the later state has collected no ready list shows any more.
        db.execute(
            "UPDATE tasks SET ready = 1, due_at = least(due_at, posted_at) WHERE state = 'posted'"
        )


def _get(db: Db, name: str) -> str | None:
    row = db.execute("SELECT value FROM install WHERE name = %s", (name,)).fetchone()
    return None if row is None else str(row[0])


def _set(db: Db, name: str, value: str) -> None:
    db.execute(
        """
        INSERT INTO install (name, value) VALUES (%s, %s)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value
        """,
        (name, value),
    )

"""Whether the store can be taken at its word: copied, claimed, put back, made anew."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from runner.clock import from_ms, to_ms
from runner.errors import WrongInput
from runner.store.mark import Mark
from runner.store.recovering import Doubted, Look, Stake, Unlisted
from runner.store.sqlite.identity import (
    former_installs,
    install_id,
    new_install_id,
    replaced_installs,
)
from runner.task import Endpoint

_OWN: Final = "body_sha256 <> ''"
"""Batches that this state of the store posted, not those found again."""


def look_at_host(db: sqlite3.Connection, host: str | None) -> None:
    if host is not None and _get(db, "host") not in (None, host):
        raise WrongInput(
            "this store was made on another host",
            why="a copy that goes on beside the original would ask, and pay for, the same twice",
            how="see that nothing uses the other copy any more, then: runner db claim",
        )


def check_host(db: sqlite3.Connection, host: str | None) -> None:
    look_at_host(db, host)
    if host is not None and _get(db, "host") is None:
        _set(db, "host", host)


def claim(db: sqlite3.Connection, host: str | None) -> str:
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


def compare(db: sqlite3.Connection, mark: Mark) -> None:
    """Note if the side file says that the store does not know all that was posted."""
    if _get(db, "unlisted") == Doubted.COPIED:
        # Noted in the copy while it was made, when nothing else of it was to change.
        _ask_at_once(db)
    match doubted(db, mark):
        case Doubted.REPLACED:
            others = _others(db, mark)
            _set(db, "replaced_installs", " ".join([*replaced_installs(db), *others]))
            _doubt(db, Doubted.REPLACED, others[-1])
        case Doubted.BEHIND:
            _, batch = mark.read() or (None, 0)
            _doubt(db, Doubted.BEHIND, str(batch))
        case Doubted.NO_MARK:
            if _get(db, "unlisted") is None:
                _doubt(db, Doubted.NO_MARK, "")
        case _:
            begin_mark(db, mark)


def doubted(db: sqlite3.Connection, mark: Mark | None) -> Doubted | None:
    """Why, by its side file, the store may not know all that was posted; nothing is noted."""
    # Read before the store: an engine that is at work writes the store first.
    whose, batch = (mark.read() if mark else None) or (None, 0)
    if mark is not None and _others(db, mark):
        return Doubted.REPLACED
    if whose == install_id(db):
        return Doubted.BEHIND if batch > newest_batch(db) else None
    return Doubted.NO_MARK if _has_runs(db) else None


def _others(db: sqlite3.Connection, mark: Mark) -> list[str]:
    """The installs, by its side file, that have posted here and are not the store's."""
    whose, batch = mark.read() or (None, 0)
    posted = [*mark.before(), whose] if whose is not None and batch else mark.before()
    known = installs(db)
    return [each for each in posted if each not in known]


def begin_mark(db: sqlite3.Connection, mark: Mark) -> None:
    """Make the side file of a store that has no run yet: from the first one on it is missed where
    it is not. One that tells of posts stays for ``compare`` to see."""
    _, batch = mark.read() or (None, 0)
    # Within the transaction: an engine that begins a batch meanwhile writes it after this.
    if not batch and not _has_runs(db):
        mark.write(install_id(db), 0)


def _has_runs(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM runs)").fetchone()[0])


def newest_batch(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT coalesce(max(id), 0) FROM batches").fetchone()
    return int(row[0])


def unlisted(db: sqlite3.Connection, account: int | None = None) -> Unlisted | None:
    noted = _get(db, "unlisted")
    if noted is None or (account is not None and account in _listed(db)):
        return None
    why, _, _ = noted.partition(" ")
    by_api, newest = False, None
    if why == Doubted.REPLACED:
        pass  # The other store's intents are gone with it.
    elif (own := _newest_intent(db, None)) is not None:
        newest, by_api = own
    else:
        newest = from_ms(_made_at(db))
    accepted, accepted_by_api = _newest_intent(db, account, accepted=True) or (None, False)
    return Unlisted(
        why=Doubted(why),
        newest=newest,
        by_api=by_api,
        accepted=accepted,
        accepted_by_api=accepted_by_api,
        since_api=_moment(db, _since_of(account)),
        clean_api=_moment(db, _clean_of(account)),
        strangers=_get(db, _STRANGERS) is not None,
    )


def _newest_intent(
    db: sqlite3.Connection, account: int | None, *, accepted: bool = False
) -> tuple[datetime, bool] | None:
    """When it was, and whether by the API's time; or the newest of which the API took tasks that
    every listing shows."""
    row = db.execute(
        f"""
        SELECT intended_api_at, intended_at FROM batches
         WHERE {_OWN} AND (:account IS NULL OR account_id = :account)
           AND (NOT :accepted OR accepted > 0 AND endpoint LIKE '%/standard')
         ORDER BY id DESC LIMIT 1
        """,
        {"account": account, "accepted": accepted},
    ).fetchone()
    if row is None:
        return None
    return from_ms(row[1] if row[0] is None else row[0]), row[0] is not None


def _made_at(db: sqlite3.Connection) -> int:
    """Not the oldest run's time: that may have been loaded into a copy that was empty."""
    (made_at,) = db.execute(
        """
        SELECT min(at) FROM (SELECT min(created_at) AS at FROM runs
                              UNION ALL SELECT min(applied_at) FROM migrations) AS known
        """
    ).fetchone()
    return int(made_at)


def note_look(db: sqlite3.Connection, look: Look, account: int | None = None) -> None:
    if look.strangers:
        _set(db, _STRANGERS, "seen")
    if look.at is None:
        return
    if _get(db, _since_of(account)) is None:
        _set(db, _since_of(account), str(to_ms(look.at)))
    clean = _clean_of(account)
    if look.counts is False:
        db.execute("DELETE FROM install WHERE name = ?", (clean,))
    elif look.counts and (look.news or _get(db, clean) is None):
        _set(db, clean, str(to_ms(look.at)))


_STRANGERS: Final = "unlisted_strangers"
"""Under which name it is kept that a listing has shown what the store did not know."""


def _since_of(account: int | None) -> str:
    """Under which name the time of the first look at *account* is kept."""
    return "unlisted_since" if account is None else f"unlisted_since.{account}"


def _clean_of(account: int | None) -> str:
    """The same of the first listing that counts."""
    return "unlisted_api_at" if account is None else f"unlisted_api_at.{account}"


def _listed(db: sqlite3.Connection) -> set[int]:
    """The accounts that were looked through since the doubt began."""
    return {int(account) for account in (_get(db, "listed_accounts") or "").split()}


def listed(
    db: sqlite3.Connection,
    account: int | None,
    among: Collection[int],
    write_mark: Callable[[str, int], None],
) -> None:
    if account is not None:
        done = _listed(db) | {account}
        _set(db, "listed_accounts", " ".join(str(each) for each in sorted(done)))
        if not done.issuperset(among):
            return
    db.execute("DELETE FROM install WHERE name = 'unlisted'")
    _forget_listings(db)
    write_mark(install_id(db), newest_batch(db))


def _forget_listings(db: sqlite3.Connection) -> None:
    db.execute(
        """
        DELETE FROM install
         WHERE name = 'listed_accounts' OR name LIKE 'unlisted_%'
        """
    )


def installs(db: sqlite3.Connection) -> frozenset[str]:
    """Whose tags are this store's: its own, those that it had before it was claimed, and those of
    stores that stood in its place."""
    return frozenset([install_id(db), *former_installs(db), *replaced_installs(db)])


def pending_prompts(db: sqlite3.Connection, prompts: Collection[str]) -> dict[Endpoint, set[str]]:
    rows = db.execute(
        """
        WITH waiting AS (
            SELECT g.endpoint, json_extract(p.body, '$.user_prompt') AS prompt
              FROM tasks t JOIN targets g ON g.id = t.target_id
              LEFT JOIN payloads p ON p.task_id = t.id
             WHERE t.state = 'pending')
        SELECT DISTINCT endpoint,
               CASE WHEN prompt IN (SELECT value FROM json_each(?)) THEN prompt END
          FROM waiting
        """,
        (json.dumps(list(prompts)),),
    )
    found = defaultdict[Endpoint, set[str]](set)
    for endpoint, prompt in rows:
        found[Endpoint.parse(endpoint)].update([] if prompt is None else [prompt])
    return found


def at_stake(db: sqlite3.Connection) -> Stake:
    tasks, reserve = db.execute(
        """
        SELECT count(*), coalesce(sum(g.reserve_nanousd), 0)
          FROM tasks t JOIN targets g ON g.id = t.target_id WHERE t.state = 'pending'
        """
    ).fetchone()
    return Stake(tasks=int(tasks), reserve=int(reserve))


def _doubt(db: sqlite3.Connection, why: Doubted, detail: str) -> None:
    noted = f"{why} {detail}".strip()
    known = _get(db, "unlisted")
    # The same doubt in the next start: the wait since its first listing goes on.
    if known != noted:
        # That one is looked into the furthest back, and no other may shorten it.
        if known is None or not known.startswith(Doubted.REPLACED):
            _set(db, "unlisted", noted)
        _forget_listings(db)
        _ask_at_once(db)


def _ask_at_once(db: sqlite3.Connection) -> None:
    """What the later state has collected no ready list shows any more."""
    db.execute("UPDATE tasks SET ready = 1, due_at = min(due_at, posted_at) WHERE state = 'posted'")


def note_copy(db: sqlite3.Connection) -> None:
    """The copy in *db* may be put in the store's place one day, when that has gone on.

    Whatever the schema is: no engine has been at it yet.
    """
    _forget_listings(db)
    if _get(db, "unlisted") is None:
        _set(db, "unlisted", Doubted.COPIED)


def _get(db: sqlite3.Connection, name: str) -> str | None:
    row = db.execute("SELECT value FROM install WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _moment(db: sqlite3.Connection, name: str) -> datetime | None:
    value = _get(db, name)
    return None if value is None else from_ms(int(value))


def _set(db: sqlite3.Connection, name: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO install (name, value) VALUES (?, ?)", (name, value))

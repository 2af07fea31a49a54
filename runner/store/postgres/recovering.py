"""Whether the store can be taken at its word: copied, claimed, put back, made anew."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Final

from runner.clock import from_ms, to_ms
from runner.errors import WrongInput
from runner.store.postgres.connection import Db
from runner.store.postgres.identity import (
    former_installs,
    install_id,
    new_install_id,
    replaced_installs,
)
from runner.store.recovering import Doubted, Look, Stake, Unlisted
from runner.task import Endpoint

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
    db: Db, account: int | None, *, accepted: bool = False
) -> tuple[datetime, bool] | None:
    """When it was, and whether by the API's time; or the newest of which the API took tasks that
    every listing shows."""
    row = db.execute(
        f"""
        SELECT intended_api_at, intended_at FROM batches
         WHERE {_OWN} AND (%(account)s::bigint IS NULL OR account_id = %(account)s)
           AND (NOT %(accepted)s OR accepted > 0 AND endpoint LIKE '%%/standard')
         ORDER BY id DESC LIMIT 1
        """,
        {"account": account, "accepted": accepted},
    ).fetchone()
    if row is None:
        return None
    return from_ms(row[1] if row[0] is None else row[0]), row[0] is not None


def _made_at(db: Db) -> int:
    """Not the oldest run's time: that may have been loaded into a copy that was empty."""
    (made_at,) = db.execute(
        """
        SELECT min(at) FROM (SELECT min(created_at) AS at FROM runs
                              UNION ALL SELECT min(applied_at) FROM migrations) AS known
        """
    ).fetchone()
    return int(made_at)


def note_look(db: Db, look: Look, account: int | None = None) -> None:
    if look.strangers:
        _set(db, _STRANGERS, "seen")
    if look.at is None:
        return
    if _get(db, _since_of(account)) is None:
        _set(db, _since_of(account), str(to_ms(look.at)))
    clean = _clean_of(account)
    if look.counts is False:
        db.execute("DELETE FROM install WHERE name = %s", (clean,))
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
         WHERE name = 'listed_accounts' OR name LIKE 'unlisted_%'
        """
    )


def installs(db: Db) -> frozenset[str]:
    """Whose tags are this store's: its own, those that it had before it was claimed, and those of
    stores that stood in its place."""
    return frozenset([install_id(db), *former_installs(db), *replaced_installs(db)])


def pending_prompts(db: Db, prompts: Collection[str]) -> dict[Endpoint, set[str]]:
    rows = db.execute(
        """
        SELECT DISTINCT g.endpoint, CASE WHEN b.prompt = ANY(%s::text[]) THEN b.prompt END
          FROM tasks t JOIN targets g ON g.id = t.target_id
          LEFT JOIN payloads p ON p.task_id = t.id
         CROSS JOIN LATERAL (SELECT json_text(p.body, 'user_prompt') AS prompt) AS b
         WHERE t.state = 'pending'
        """,
        (list(prompts),),
    )
    found = defaultdict[Endpoint, set[str]](set)
    for endpoint, prompt in rows:
        found[Endpoint.parse(endpoint)].update([] if prompt is None else [prompt])
    return found


def at_stake(db: Db) -> Stake:
    tasks, reserve = db.execute(
        """
        SELECT count(*), coalesce(sum(g.reserve_nanousd), 0)
          FROM tasks t JOIN targets g ON g.id = t.target_id WHERE t.state = 'pending'
        """
    ).fetchone()
    return Stake(tasks=int(tasks), reserve=int(reserve))


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


def _moment(db: Db, name: str) -> datetime | None:
    value = _get(db, name)
    return None if value is None else from_ms(int(value))


def _set(db: Db, name: str, value: str) -> None:
    db.execute(
        """
        INSERT INTO install (name, value) VALUES (%s, %s)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value
        """,
        (name, value),
    )

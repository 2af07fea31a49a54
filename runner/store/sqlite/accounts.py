"""Which accounts a store's tasks are posted with: bound by name, told again by their logins."""

import hashlib
import sqlite3
from collections.abc import Collection
from typing import Final, NamedTuple

from runner.errors import WrongInput
from runner.failpoints import Point, hit
from runner.store.sqlite.identity import former_installs, install_id


def bind_account(
    db: sqlite3.Connection, *, gateway: str, base_url: str, login: str, name: str | None = None
) -> int:
    # The id that the store was made with: a claim does not change whose account it is.
    salt = [*former_installs(db), install_id(db)][0]
    login_hash = hashlib.sha256(f"{salt}:{login}".encode()).hexdigest()
    known = [
        Account(*row)
        for row in db.execute(
            """
            SELECT id, name, base_url, login_hash FROM accounts WHERE gateway = ? ORDER BY id
            """,
            (gateway,),
        )
    ]
    same = next((a for a in known if (a.base_url, a.login_hash) == (base_url, login_hash)), None)
    named = next((a for a in known if a.name == name), None)
    if same is not None:
        if name is not None and same.name != name:
            _rename(db, same, name, named)
        return same.id
    other = named if name is not None or len(known) != 1 else known[0]
    if other is not None:
        raise _belongs_to_another(other, base_url, login_hash)
    if name is None and known:
        raise WrongInput(
            f"this store has the accounts {', '.join(str(each.name) for each in known)}, and "
            "this login is none of theirs",
            why="no table [accounts] was found that says whose tasks are whose",
            how="put [accounts] back into runner.toml, or name another store with --store",
        )
    made = db.execute(
        """
        INSERT INTO accounts (gateway, name, base_url, login_hash) VALUES (?, ?, ?, ?)
            RETURNING id
        """,
        (gateway, name, base_url, login_hash),
    ).fetchone()
    hit(Point.ACCOUNT_INSIDE)
    return int(made[0])


class Account(NamedTuple):
    """An account that the store is bound to."""

    id: int
    name: str | None
    base_url: str
    login_hash: str


def _rename(db: sqlite3.Connection, account: Account, name: str, holder: Account | None) -> None:
    """The same login is called *name* from now on, unless another one still has that name."""
    if holder is not None:
        raise WrongInput(
            f"the account {name} of this store is another login",
            why=f"the login that [accounts.{name}] names is the account "
            f"{account.name or 'without a name'} of this store",
            how="give each account the name back that it had, or name another store with --store",
        )
    db.execute("UPDATE accounts SET name = ? WHERE id = ?", (name, account.id))


def _belongs_to_another(bound: Account, base_url: str, login_hash: str) -> WrongInput:
    whose = f"the account {bound.name} of this store" if bound.name else "this store"
    if bound.base_url != base_url:
        return WrongInput(
            f"{whose} belongs to {bound.base_url}, not to {base_url}",
            why="ids and costs of two accounts must not mix in one store",
            how="name another store with --store, or set the base URL back",
        )
    return WrongInput(
        f"{whose} belongs to another login of the same API",
        why="another login cannot read the results of the tasks in it",
        how="use the login it was made with, or name another store with --store",
    )


def check_accounts(db: sqlite3.Connection, gateway: str, accounts: Collection[int]) -> None:
    rows = db.execute("SELECT id, name FROM accounts WHERE gateway = ? ORDER BY id", (gateway,))
    for account, name in rows.fetchall():
        if account in accounts or not _in_use(db, account):
            continue
        whose = f"the account {name}" if name else "the account that this store was made with"
        raise WrongInput(
            f"tasks of this store are out at {whose}, and its login is not here",
            why="nobody else can fetch their answers, or tell what became of them",
            how=f"put {name or 'its login'} into [accounts] of runner.toml"
            if name or len(accounts) > 1
            else "put its login into [accounts] of runner.toml beside this one",
        )


def _in_use(db: sqlite3.Connection, account: int) -> bool:
    """Whether anything is out at *account*: asked for, or in doubt."""
    row = db.execute(
        """
        SELECT EXISTS (SELECT 1 FROM tasks WHERE state = 'posted' AND account_id = :account)
            OR EXISTS (SELECT 1 FROM tasks
                        WHERE state IN ('posting', 'unknown') AND account_id = :account)
            OR EXISTS (SELECT 1 FROM extra_charges WHERE state = 'posted' AND account_id = :account)
        """,
        {"account": account},
    ).fetchone()
    return bool(row[0])


def account_names(db: sqlite3.Connection) -> dict[int, str]:
    return dict(db.execute("SELECT id, name FROM accounts WHERE name IS NOT NULL").fetchall())


def out_at(db: sqlite3.Connection, run: int, account: int) -> bool:
    row = db.execute(
        """
        SELECT EXISTS (SELECT 1 FROM targets g JOIN tasks t ON t.target_id = g.id
                        WHERE g.run_id = :run AND t.state = 'posted' AND t.account_id = :account)
            OR EXISTS (SELECT 1 FROM tasks
                        WHERE state IN ('posting', 'unknown') AND run_id = :run
                          AND account_id = :account)
        """,
        {"run": run, "account": account},
    ).fetchone()
    return bool(row[0])


def pinned_elsewhere(db: sqlite3.Connection, target: int, account: int) -> bool:
    """Whether tasks of *target* are to be posted with another account than this one."""
    row = db.execute(
        """
        SELECT EXISTS (SELECT 1 FROM targets
                        WHERE id = ? AND account IS NOT NULL
                          AND account <> coalesce((SELECT name FROM accounts WHERE id = ?), ''))
        """,
        (target, account),
    ).fetchone()
    return bool(row[0])


MAY_ASK: Final = """(:account IS NULL OR g.account IS NULL
                OR g.account = (SELECT name FROM accounts WHERE id = :account))"""
"""Whether a target ``g`` may be asked with the account that is named, if one is."""

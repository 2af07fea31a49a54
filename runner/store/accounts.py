"""The accounts that a store's tasks are posted with, and asked for with."""

from collections.abc import Collection, Mapping
from typing import Protocol


class Accounts(Protocol):
    """The verbs about accounts. The login is kept as a hash alone."""

    async def bind_account(
        self, *, gateway: str, base_url: str, login: str, name: str | None = None
    ) -> int:
        """The account's id; the first start binds the store to it.

        *name*: which of several accounts of the gateway; None: the only one. The account of a
        store that had one alone is found again by its base URL and login, whatever it is called.

        Raises:
            WrongInput: the store, or the name in it, belongs to another base URL or login.
        """

    async def check_accounts(self, gateway: str, accounts: Collection[int]) -> None:
        """See that no task is out at an account of *gateway* that is not among *accounts*.

        Raises:
            WrongInput: some are, and nobody would ask for them.
        """

    async def account_names(self) -> Mapping[int, str]:
        """What the accounts of the store are called; only those that have a name."""

    async def out_at(self, run: int, account: int) -> bool:
        """Whether a task of the run is at *account*, or may be."""

"""The PostgreSQL store's verbs about accounts: ``runner.store.accounts.Accounts``."""

from collections.abc import Collection, Mapping

from runner.store.postgres import accounts as binding
from runner.store.postgres.connection import Connection


class AccountsVerbs:
    """Each is one transaction on one of the store's two connections."""

    _writer: Connection
    _reader: Connection

    async def bind_account(
        self, *, gateway: str, base_url: str, login: str, name: str | None = None
    ) -> int:
        return await self._writer.write(
            binding.bind_account, gateway=gateway, base_url=base_url, login=login, name=name
        )

    async def check_accounts(self, gateway: str, accounts: Collection[int]) -> None:
        await self._reader.read(binding.check_accounts, gateway, accounts)

    async def account_names(self) -> Mapping[int, str]:
        return await self._reader.read(binding.account_names)

    async def out_at(self, run: int, account: int) -> bool:
        return await self._reader.read(binding.out_at, run, account)

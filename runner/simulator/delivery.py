"""Delivers what has ended to the addresses that its tasks were posted with.

One delivery each: gzip, 10 s for the receiver, 200 to 300 is success, anything else puts the task
on the ready list (API.md §6). Several under way at a time, never more than ``AT_ONCE``.
"""

import asyncio
import gzip
from contextlib import suppress
from typing import Final
from urllib.parse import quote

import aiohttp

from runner.simulator.account import Account
from runner.simulator.endpoints import postback
from runner.simulator.ledger import RemoteTask

AT_ONCE: Final = 32
"""Deliveries under way."""

_LOOK_EVERY_S: Final = 0.05


class Delivery:
    """The sender of one account's postbacks, between ``start`` and ``stop``."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._free = asyncio.Semaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[None]] = set()
        self._sender: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Begin to look for what has ended."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=AT_ONCE),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        self._sender = asyncio.create_task(self._send_in_turn())

    async def stop(self) -> None:
        """Give up what is under way; it was not delivered, and will be after the next start."""
        for task in (self._sender, *self._under_way):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if self._session is not None:
            await self._session.close()

    async def _send_in_turn(self) -> None:
        while True:
            tasks = self._account.to_deliver(AT_ONCE)
            for task in tasks:
                await self._free.acquire()
                sending = asyncio.create_task(self._send(task))
                self._under_way.add(sending)
                sending.add_done_callback(self._sent)
                if delay_ms := self._account.scenario.webhook_delay_ms:
                    await asyncio.sleep(delay_ms / 1000)
            if not tasks:
                await asyncio.sleep(_LOOK_EVERY_S)

    def _sent(self, sending: asyncio.Task[None]) -> None:
        self._under_way.discard(sending)
        self._free.release()

    async def _send(self, task: RemoteTask) -> None:
        taken = await self._taken(task)
        # A journal that cannot be written loses the note of it: the task is delivered once more.
        with suppress(OSError):
            self._account.delivered(task, taken=taken)

    async def _taken(self, task: RemoteTask) -> bool:
        assert self._session is not None, "it was started"
        assert task.postback_url is not None, "only such tasks are given out"
        body = gzip.compress(postback(self._account, task).encoded(), compresslevel=1)
        try:
            async with self._session.post(
                address_of(task),
                data=body,
                headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._account.scenario.webhook_timeout_s),
            ) as response:
                return 200 <= response.status <= 300
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return False


def address_of(task: RemoteTask) -> str:
    """The address of one delivery: id and tag put in, URL-encoded."""
    template = task.postback_url or ""
    return template.replace("$id", quote(task.id, safe="")).replace(
        "$tag", quote(task.tag or "", safe="")
    )

"""The simulator's postbacks: sent once, taken or not, and what the ready list shows then."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from runner.simulator.account import Account
from runner.simulator.journal import open_account
from runner.simulator.latency import Latency, Shape
from runner.simulator.scenario import Scenario
from runner.simulator.server import serve
from runner.task import Provider
from tests.support.waiting import until

SCENARIO = Scenario(latency=Latency(Shape.CONSTANT, 0.0))


class Listener:
    """A receiver that takes or refuses, and remembers."""

    def __init__(self) -> None:
        self.status = 200
        self.came: list[tuple[str, bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.came.append((str(request.rel_url), await request.read()))
        if self.status == 0:
            await asyncio.sleep(30)
        return web.Response(status=self.status or 200)


@asynccontextmanager
async def listening(listener: Listener) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_post("/{path:.*}", listener.take)
    runner = web.AppRunner(application, auto_decompress=False, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def post(account: Account, url: str, count: int = 1, tag: str = "a tag/1") -> None:
    account.post(
        Provider.CLAUDE,
        [
            {
                "user_prompt": f"q{n}",
                "model_name": "claude-sonnet-4-0",
                "tag": tag,
                "postback_url": f"{url}/got/$id?tag=$tag",
            }
            for n in range(count)
        ],
    )


async def resend(url: str, *ids: str) -> dict[str, Any]:
    headers = {"Authorization": aiohttp.encode_basic_auth("me", "pw")}
    async with aiohttp.ClientSession(headers=headers) as client:
        body = json.dumps([{"id": each} for each in ids])
        async with client.post(f"{url}/v3/appendix/webhook_resend", data=body) as reply:
            found: dict[str, Any] = await reply.json()
            return found


async def test_a_taken_postback_is_the_reply_to_a_fetch_and_never_listed() -> None:
    """What the receiver gets is what asking by id would bring, as gzip."""
    account, listener = open_account(scenario=SCENARIO), Listener()
    async with listening(listener) as url, serve(account):
        post(account, url)
        await until(lambda: account.ledger.totals.delivered)
        (task,) = account.ledger.tasks
        assert listener.came[0][0] == f"/got/{task.id}?tag=a%20tag/1"
        entry = json.loads(gzip.decompress(listener.came[0][1]))["tasks"][0]
        assert (entry["id"], entry["status_code"]) == (task.id, 20000)
        assert account.ready(Provider.CLAUDE) == []
        assert account.ledger.totals.collected == 1


async def test_a_refused_or_slow_receiver_puts_the_task_on_the_ready_list() -> None:
    """One delivery, no other try: that list is where a client finds what it missed."""
    impatient = replace(SCENARIO, webhook_timeout_s=0.5)
    account, listener = open_account(scenario=impatient), Listener()
    async with listening(listener) as url, serve(account):
        totals = account.ledger.totals
        for missed, status in enumerate((503, 404, 0), 1):
            listener.status = status
            post(account, url)
            await until(partial(lambda wanted: totals.undelivered == wanted, missed))
        assert len(account.ready(Provider.CLAUDE)) == 3
        assert len(listener.came) == 3


async def test_what_was_missed_is_sent_again_on_demand() -> None:
    """Free, by id, and off the list once it was taken."""
    account, listener = open_account(scenario=SCENARIO), Listener()
    async with listening(listener) as url, serve(account) as server:
        listener.status = 500
        post(account, url)
        await until(lambda: account.ledger.totals.undelivered)
        listener.status = 200
        reply = await resend(server.url, account.ledger.tasks[0].id, "unknown")
        assert [each["status_code"] for each in reply["tasks"]] == [20100, 40401]
        await until(lambda: account.ledger.totals.delivered)
        assert account.ready(Provider.CLAUDE) == []


async def test_what_was_delivered_is_remembered_by_the_file(tmp_path: Path) -> None:
    """Else a rehearsal that is started again would deliver everything once more."""
    path = tmp_path / "account.jsonl"
    listener = Listener()
    async with listening(listener) as url:
        with open_account(path, scenario=SCENARIO) as account:
            async with serve(account):
                post(account, url, 3)
                await until(lambda: account.ledger.totals.delivered == 3)
        with open_account(path, scenario=SCENARIO) as again:
            assert again.to_deliver(10) == []
            assert again.ledger.totals.delivered == 3
            assert again.ledger.tasks[0].postback_url is not None

"""Who answers at the public address, asked over a real socket."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from runner.clock import SystemClock
from runner.postbacks import PostbackAddress
from runner.store.sqlite.store import open_store
from runner.web import probe as module
from runner.web.listen import Listen
from runner.web.probe import Reached, probe
from runner.web.receiver import Receiver

SECRET = "the secret of the probe's tests"
HERE = Listen(host="127.0.0.1", port=0)


@asynccontextmanager
async def answering(status: int, *, after_s: float = 0.0) -> AsyncIterator[str]:
    """A server that says *status* to everything; yields its URL."""

    async def answer(_request: web.Request) -> web.Response:
        if after_s:
            await SystemClock().sleep(after_s)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def ask(url: str, secret: str = SECRET) -> tuple[Reached, str]:
    reached, seen = await probe(PostbackAddress(url, secret).probe_url())
    assert "sig" not in seen
    return reached, seen


async def test_a_receiver_is_known_by_its_secret(tmp_path: Path) -> None:
    """Another store's receiver behind the same proxy would take nothing of ours."""
    async with open_store(tmp_path / "runner.db", clock=SystemClock()) as store:
        clock = SystemClock()
        async with Receiver(store, HERE, secrets=(SECRET,), clock=clock) as receiver:
            assert await ask(receiver.url) == (Reached.RECEIVER, "HTTP 204")
            assert await ask(receiver.url, "another secret") == (Reached.STRANGER, "HTTP 404")


@pytest.mark.parametrize(
    ("status", "reached"),
    [
        (200, Reached.STRANGER),
        (302, Reached.STRANGER),
        (403, Reached.STRANGER),
        (502, Reached.NOBODY),
        (503, Reached.NOBODY),
        (504, Reached.NOBODY),
    ],
)
async def test_others_are_told_apart_by_what_they_say(status: int, reached: Reached) -> None:
    """A proxy without a receiver behind it is usual between two nights; a welcome page is not."""
    async with answering(status) as url:
        assert await ask(url) == (reached, f"HTTP {status}")


async def test_nobody_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused at once, or silent for longer than the API would wait."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert (await ask(f"http://127.0.0.1:{port}"))[0] is Reached.NOBODY
    monkeypatch.setattr(module, "PATIENCE_S", 0.2)
    async with answering(204, after_s=5.0) as url:
        assert await ask(url) == (Reached.NOBODY, "no answer within 0 s")


async def test_a_name_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    """A typing mistake in RUNNER_PUBLIC_URL; ``.invalid`` is nobody's (RFC 2606)."""
    assert (await ask("http://runner.invalid"))[0] is Reached.NO_NAME


async def test_without_tls_where_there_should_be_some_nothing_is_trusted() -> None:
    """The API would not deliver there either."""
    async with answering(204) as url:
        assert (await ask(url.replace("http:", "https:")))[0] is Reached.NOT_TRUSTED

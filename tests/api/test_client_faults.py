"""The paid call on a network that breaks in every way: what left is in doubt, what did not is not.

Each case counts the requests that reached the server: a task_post is sent once, whatever happens.
"""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aioresponses import aioresponses

from runner.api import sessions
from runner.api.client import LlmResponses
from runner.api.errors import RateLimited, Unreachable, Untrusted
from runner.api.posting import PostReply
from runner.errors import Exit
from runner.rows import Attempt
from runner.task import Lost, NotTaken, Provider, TaskId
from tests.api.loopback import Answer, Server, drips, http, never, plain_http, serving
from tests.api.replies import entry, envelope

TAGS = ("a", "b")
GOOD = envelope(entry("a", id="1"), entry("b", id="2"))


@asynccontextmanager
async def client_at(url: str, timeout_s: float = 5.0) -> AsyncIterator[LlmResponses]:
    async with LlmResponses(
        base_url=url, login="me", password="secret", post_timeout_s=timeout_s
    ) as client:
        yield client


async def post_to(url: str, timeout_s: float = 5.0) -> PostReply:
    batch = [Attempt(task=TaskId(n), number=1, tag=tag, body=b"{}") for n, tag in enumerate(TAGS)]
    async with client_at(url, timeout_s) as client:
        return await client.task_post(Provider.CLAUDE, batch)


def assert_in_doubt(got: PostReply, server: Server) -> None:
    assert [o.tag for o in got.outcomes if isinstance(o, Lost)] == list(TAGS)
    assert got.sent
    assert got.trouble is not None
    assert len(server.requests) == 1


def assert_not_sent(got: PostReply) -> None:
    assert [o.tag for o in got.outcomes if isinstance(o, NotTaken)] == list(TAGS)
    assert not got.sent
    assert isinstance(got.trouble, Unreachable)
    assert got.trouble.exit_code is Exit.TRY_LATER


async def test_a_refused_connection_is_not_sent() -> None:
    """Nothing left, so nothing can have been charged (F45)."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        got = await post_to(f"http://127.0.0.1:{held.getsockname()[1]}")
    assert_not_sent(got)


async def test_a_host_that_no_name_server_knows_is_not_sent() -> None:
    """The same for DNS (F45); `.invalid` never resolves (RFC 6761)."""
    got = await post_to("http://api.invalid")
    assert_not_sent(got)
    assert "resolved" in str(got.outcomes[0])


async def test_a_connection_that_cannot_be_secured_is_not_sent_and_never_downgraded() -> None:
    """Plain HTTP where TLS belongs gets not one byte of the request or the password (F46)."""
    received: list[bytes] = []
    async with plain_http(received) as port:
        got = await post_to(f"https://127.0.0.1:{port}")
    assert_not_sent(got)
    assert isinstance(got.trouble, Untrusted)
    assert len(received) == 1
    assert not any(word in received[0] for word in (b"POST", b"Basic", b"task_post"))


async def test_a_certificate_that_is_not_trusted_is_not_sent() -> None:
    """Expired, or of another host: whoever answers there does not get the password (F46)."""
    key = aiohttp.client_reqrep.ConnectionKey("h", 443, True, True, None, None, None)
    error = aiohttp.ClientConnectorCertificateError(key, OSError("certificate has expired"))
    with aioresponses() as mocked:
        mocked.post(
            "https://api.example/v3/ai_optimization/claude/llm_responses/task_post",
            exception=error,
        )
        got = await post_to("https://api.example")
    assert_not_sent(got)
    assert isinstance(got.trouble, Untrusted)


BROKEN = [
    pytest.param(b"", id="closed without a word"),
    pytest.param(b"HTTP/1.1 200 OK\r\n", id="closed inside the head"),
    pytest.param(b"\x16\x03\x01 nonsense\r\n\r\n", id="no http"),
    pytest.param(http(GOOD, length=len(GOOD) + 50), id="shorter than announced"),
    pytest.param(http(GOOD, length=len(GOOD) - 50), id="longer than announced"),
    pytest.param(http(GOOD[:-30]), id="cut JSON"),
    pytest.param(http(b"<html>It works!</html>"), id="HTML"),
    pytest.param(http(b"[" * 200_000), id="deeply nested"),
    pytest.param(http(b'{"status_code": NaN}'), id="NaN"),
    pytest.param(http(GOOD, 200, "Content-Encoding: gzip"), id="no gzip"),
    pytest.param(http(gzip.compress(GOOD)[:-20], 200, "Content-Encoding: gzip"), id="cut gzip"),
    pytest.param(http(GOOD.replace(b'"a"', b'"\xff"')), id="broken UTF-8"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\n{}\r\n0\r\n\r\n",
        id="garbage for a chunk",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", id="a chunk cut short"
    ),
    pytest.param(http(GOOD, 500), id="500"),
    pytest.param(http(GOOD, 502), id="502"),
    pytest.param(http(b"", 503), id="503"),
    pytest.param(http(b"", 504), id="504"),
    pytest.param(http(b"", 429), id="429"),
    pytest.param(http(b"", 403), id="403"),
    pytest.param(http(GOOD, 201), id="201"),
]


@pytest.mark.parametrize("answer", BROKEN)
async def test_whatever_breaks_after_the_first_byte_leaves_the_tasks_in_doubt(
    answer: bytes,
) -> None:
    """F47 to F49, F52: the API may have taken them; only its listing can tell."""
    async with serving(answer) as server:
        assert_in_doubt(await post_to(server.url), server)


@pytest.mark.parametrize(
    "answer", [never(), drips(http(GOOD))], ids=["silence", "a byte at a time"]
)
async def test_a_reply_that_takes_too_long_is_given_up(answer: Answer) -> None:
    """One slow server must not hold the queue for ever (F47, F68)."""
    async with serving(answer) as server:
        got = await post_to(server.url, timeout_s=1.0)
    assert_in_doubt(got, server)
    assert "within 1 s" in str(got.outcomes[0])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """Following it would send the tasks a second time, and the password to somebody else (F53)."""
    async with serving(http(GOOD)) as elsewhere:
        reply = http(b"", status, f"Location: {elsewhere.url}/")
        async with serving(reply) as server:
            got = await post_to(server.url)
    assert_in_doubt(got, server)
    assert elsewhere.requests == []
    assert got.trouble is not None
    assert got.trouble.how == "check DATAFORSEO_BASE_URL"


async def test_a_bare_429_slows_the_account_down_and_proves_nothing() -> None:
    """It may come from a proxy after the API took the tasks (F51)."""
    async with serving(http(b"", 429, "Retry-After: 5")) as server:
        got = await post_to(server.url)
    assert_in_doubt(got, server)
    assert isinstance(got.trouble, RateLimited)
    assert got.trouble.wait_s == 5.0


async def test_a_connection_closed_while_idle_does_not_send_a_post_twice() -> None:
    """The library repeats other requests on its own; a post that left once has left (F70)."""

    async def close(writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(http(GOOD, keep=True))

    batch = [Attempt(task=TaskId(1), number=1, tag="a", body=b"{}")]
    async with (
        serving(answer, close, answer, keep_open=True) as server,
        client_at(server.url) as client,
    ):
        await client.task_post(Provider.CLAUDE, batch)
        got = await client.task_post(Provider.CLAUDE, batch)
    assert isinstance(got.outcomes[0], Lost)
    assert len(server.requests) == 2


@pytest.mark.parametrize("packed", [False, True])
async def test_a_reply_of_any_size_is_cut_off_at_the_cap(
    packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a huge body nor a small one that swells may fill the memory (F50)."""
    monkeypatch.setattr(sessions, "MAX_REPLY_BYTES", 1024 * 1024)
    body = b" " * (2 * 1024 * 1024) + GOOD
    reply = http(gzip.compress(body), 200, "Content-Encoding: gzip") if packed else http(body)
    async with serving(reply) as server:
        got = await post_to(server.url)
    assert_in_doubt(got, server)
    assert "larger than 1 MiB" in str(got.outcomes[0])

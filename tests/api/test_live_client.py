"""Live calls against a server on this machine: what leaves, how often, what a cut reply means."""

import asyncio
import hashlib
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses

from runner.api import access
from runner.api.access import Access
from runner.api.calls import CallKind, CallReport
from runner.api.errors import RateLimited, WrongAddress
from runner.api.live import AnswerLost, Completed, LiveReply
from runner.api.live_client import LiveResponses
from runner.errors import CredentialsRefused
from runner.rows import Attempt
from runner.task import Gateway, NotTaken, Provider, TaskId
from tests.api.loopback import Answer, Server, drips, http, never, serving
from tests.api.replies import entry, envelope, sample

KEY = "sk-aisa-correct-horse"
ATTEMPT = Attempt(task=TaskId(1), number=1, tag="a", body=b'{"user_prompt":"q","temperature":0.30}')
RESULT = {"money_spent": 0.005, "items": [{"type": "message", "sections": [{"text": "Yes."}]}]}
GOOD = envelope(entry("a", 20000, cost=0.0056, result=[RESULT]), cost=0.0056)


def vendor(server: Server) -> Access:
    return access.dataforseo(server.url, "me", "correct horse")


def reseller(server: Server) -> Access:
    return access.aisa(f"{server.url}/apis/v1", KEY)


@asynccontextmanager
async def calling(way: Access, **settings: Any) -> AsyncIterator[LiveResponses]:
    async with LiveResponses(way, **settings) as live:
        yield live


async def asked(server: Server, **settings: Any) -> LiveReply:
    async with calling(vendor(server), **settings) as live:
        return await live.ask(Provider.PERPLEXITY, ATTEMPT)


async def test_a_live_call_sends_one_task_made_of_the_attempt_alone() -> None:
    """The hash in the intent is that of the bytes on the wire, tag included (DESIGN.md §4)."""
    async with serving(http(GOOD)) as server, calling(vendor(server)) as live:
        prepared = live.prepare(Provider.PERPLEXITY, ATTEMPT)
        got = await live.send(prepared)
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == prepared.body == b'[{"user_prompt":"q","temperature":0.30,"tag":"a"}]'
    assert (prepared.tags, prepared.sha256) == (("a",), hashlib.sha256(body).hexdigest())
    line, *headers = head.decode().split("\r\n")
    assert line == "POST /v3/ai_optimization/perplexity/llm_responses/live HTTP/1.1"
    assert "Authorization: Basic " + b64encode(b"me:correct horse").decode() in headers
    assert isinstance(got.outcome, Completed)


async def test_aisa_is_asked_at_its_own_path_with_its_key() -> None:
    """The same body in the same array, another way in (API.md §12)."""
    async with serving(http(GOOD)) as server, calling(reseller(server)) as live:
        got = await live.ask(Provider.CHAT_GPT, ATTEMPT)
        assert live.gateway is Gateway.AISA
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    assert line == "POST /apis/v1/dataforseo/ai_optimization/chat_gpt/llm_responses/live HTTP/1.1"
    assert f"Authorization: Bearer {KEY}" in headers
    assert [task["tag"] for task in json.loads(body)] == ["a"]
    assert isinstance(got.outcome, Completed)


async def test_the_turn_is_taken_before_the_intent_and_not_by_send() -> None:
    """A wait between intent and first byte would age the intent."""
    turns: list[tuple[CallKind, int]] = []

    async def turn(kind: CallKind, priority: int) -> None:
        turns.append((kind, priority))

    async with serving(http(GOOD)) as server, calling(vendor(server), before_call=turn) as live:
        await live.send(live.prepare(Provider.CLAUDE, ATTEMPT))
        assert turns == []
        await live.ask(Provider.CLAUDE, ATTEMPT, priority=3)
    assert turns == [(CallKind.LIVE, 3)]


async def test_a_sender_may_change_its_mind_until_the_first_byte() -> None:
    """A process that was suspended while it connected must not send an old intent (F11)."""
    async with serving(http(GOOD)) as server, calling(vendor(server)) as live:
        got = await live.send(live.prepare(Provider.CLAUDE, ATTEMPT), may_leave=lambda: False)
        assert server.requests == []
    assert not got.sent
    assert isinstance(got.outcome, NotTaken)


@pytest.mark.parametrize(
    "answer",
    [
        http(GOOD, length=len(GOOD) + 10),
        http(GOOD[: len(GOOD) // 2]),
        b"",
        http(b"", 307, "Location: /elsewhere"),
        http(b"", 502),
        http(b"Too Many Requests", 429),
        never(),
        drips(http(GOOD)),
    ],
    ids=["cut", "half", "hung up", "redirect", "502", "429", "silence", "drop by drop"],
)
async def test_whatever_comes_after_the_first_byte_is_asked_once(answer: Answer | bytes) -> None:
    """A repeated Live call is a second answer to pay; only `live_resend` may do that."""
    async with serving(answer) as server:
        got = await asked(server, timeout_s=1.0)
        assert isinstance(got.outcome, AnswerLost)
        assert got.sent
        assert len(server.requests) == 1


async def test_no_connection_proves_that_nothing_was_asked() -> None:
    """An API that is down for an hour must not cost a run its Live tasks."""
    async with serving(http(GOOD)) as server:
        pass
    got = await asked(server)
    assert isinstance(got.outcome, NotTaken)
    assert not got.sent


async def test_an_error_that_nobody_foresaw_before_the_first_byte_is_no_call() -> None:
    """The trace decides, whatever the library raises."""
    async with calling(access.dataforseo("https://api.invalid", "me", "pw")) as live:
        with aioresponses() as mocked:
            mocked.post(
                "https://api.invalid/v3/ai_optimization/claude/llm_responses/live",
                exception=aiohttp.ClientError("me:pw"),
            )
            got = await live.ask(Provider.CLAUDE, ATTEMPT)
    assert isinstance(got.outcome, NotTaken)
    assert "me:pw" not in got.outcome.why


async def test_a_call_that_is_cancelled_is_not_taken_for_an_outcome() -> None:
    """The store decides what a stop in the middle means; here it must not be swallowed."""
    async with serving(never()) as server, calling(vendor(server)) as live:
        call = asyncio.create_task(live.ask(Provider.CLAUDE, ATTEMPT))
        await server.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


@pytest.mark.parametrize(
    ("headers", "limit", "remaining"),
    [
        (["X-RateLimit-Limit-Requests: 600", "X-RateLimit-Remaining-Requests: 41"], 600, 41),
        (["X-RateLimit-Limit: 60", "X-RateLimit-Remaining: 0"], 60, 0),
        (["X-RateLimit-Limit-Requests: soon", "X-RateLimit-Limit: 60"], 60, None),
        ([], None, None),
    ],
)
async def test_aisa_s_limits_are_read_in_both_spellings(
    headers: list[str], limit: int | None, remaining: int | None
) -> None:
    """Its own pages disagree about the names (API.md §12); each gateway is paced by its own."""
    reports: list[CallReport] = []
    reply = http(sample("aisa.error"), 429, "Retry-After: 17", *headers)
    async with (
        serving(reply) as server,
        calling(reseller(server), after_call=reports.append) as live,
    ):
        got = await live.ask(Provider.CLAUDE, ATTEMPT)
    (report,) = reports
    assert (report.kind, report.gateway) == (CallKind.LIVE, Gateway.AISA)
    assert (report.limit, report.remaining) == (limit, remaining)
    assert isinstance(got.trouble, RateLimited)
    assert isinstance(got.outcome, NotTaken)
    assert got.outcome.wait_s == got.trouble.wait_s == 17.0


async def test_a_hundred_live_calls_are_open_at_once_and_none_waits_for_a_connection() -> None:
    """Thirty for each of four providers may be open; one that queued here would age its intent."""
    everybody = asyncio.Event()
    waiting = 0

    async def together(writer: asyncio.StreamWriter) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == 120:
            everybody.set()
        await everybody.wait()
        writer.write(http(GOOD))

    async with serving(together) as server, calling(vendor(server), timeout_s=20) as live:
        calls = [live.ask(provider, ATTEMPT) for provider in Provider for _ in range(30)]
        replies = await asyncio.gather(*calls)
    assert all(isinstance(got.outcome, Completed) for got in replies)


def test_no_repr_shows_a_key() -> None:
    """They end in logs and tracebacks."""
    for way in (
        access.aisa("https://api.aisa.one/apis/v1", KEY),
        access.dataforseo("https://api.dataforseo.com", "me", KEY),
    ):
        assert KEY not in f"{way!r} {LiveResponses(way)!r}"
        assert b64encode(f"me:{KEY}".encode()).decode() not in repr(way)


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "line\nbreak"])
def test_a_key_that_no_header_can_carry_is_refused_at_once(key: str) -> None:
    """A line break in it would write headers of its own."""
    with pytest.raises(CredentialsRefused):
        access.aisa("https://api.aisa.one/apis/v1", key)


def test_a_wrong_aisa_address_names_its_own_setting() -> None:
    """Two base URLs, two settings: the message must send people to the right one."""
    with pytest.raises(WrongAddress) as raised:
        access.aisa("ftp://api.aisa.one", KEY)
    assert "AISA_BASE_URL" in "\n".join(raised.value.lines())

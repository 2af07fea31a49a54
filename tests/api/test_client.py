"""The client against a server that answers as the API does."""

import asyncio
import gzip
import hashlib
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import stamina

from runner import __version__
from runner.api.calls import CallKind, CallReport
from runner.api.client import LlmResponses
from runner.api.errors import (
    CredentialsBlocked,
    MoneyBlocked,
    ProtocolFault,
    RateLimited,
    Unreachable,
    WrongAddress,
)
from runner.api.fetching import Finished, Running, TaskFailed
from runner.errors import CredentialsRefused, Exit
from runner.rows import Attempt
from runner.task import Accepted, NotTaken, Provider, TaskId
from tests.api.loopback import Server, http, never, serving
from tests.api.replies import entry, envelope, sample

ASKED = "07241735-1535-0613-0000-0722e701b5ff"
PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def _no_waits() -> Iterator[None]:
    """Retries happen, without the waits between them."""
    with stamina.set_testing(True, attempts=3):
        yield


@asynccontextmanager
async def client_of(server: Server, **settings: Any) -> AsyncIterator[LlmResponses]:
    settings = {"base_url": server.url, "login": "me", "password": PASSWORD, **settings}
    async with LlmResponses(**settings) as client:
        yield client


def attempts(*tags: str) -> list[Attempt]:
    return [
        Attempt(task=TaskId(n), number=1, tag=tag, body=b'{"user_prompt":"q","temperature":0.30}')
        for n, tag in enumerate(tags)
    ]


async def test_a_post_sends_what_was_prepared_and_nothing_else() -> None:
    """The hash in the intent is that of the bytes on the wire, or it proves nothing."""
    async with serving(http(envelope(entry("a")))) as server, client_of(server) as client:
        prepared = client.prepare(Provider.CLAUDE, attempts("a"))
        got = await client.send(prepared)
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert body == prepared.body == b'[{"user_prompt":"q","temperature":0.30,"tag":"a"}]'
    assert hashlib.sha256(body).hexdigest() == prepared.sha256
    line, *headers = head.decode().split("\r\n")
    assert line == "POST /v3/ai_optimization/claude/llm_responses/task_post HTTP/1.1"
    assert "Authorization: Basic " + b64encode(f"me:{PASSWORD}".encode()).decode() in headers
    assert f"User-Agent: runner/{__version__}" in headers
    assert "Content-Type: application/json" in headers
    assert isinstance(got.outcomes[0], Accepted)


async def test_task_post_waits_for_its_turn_and_send_does_not() -> None:
    """A wait between intent and send would age the intent; the token is taken before it."""
    turns: list[tuple[CallKind, int]] = []

    async def turn(kind: CallKind, priority: int) -> None:
        turns.append((kind, priority))

    async with (
        serving(http(envelope(entry("a")))) as server,
        client_of(server, before_call=turn) as client,
    ):
        await client.send(client.prepare(Provider.CLAUDE, attempts("a")))
        assert turns == []
        await client.task_post(Provider.CLAUDE, attempts("a"), priority=3)
    assert turns == [(CallKind.TASK_POST, 3)]
    assert len(server.requests) == 2


async def test_a_sender_may_change_its_mind_until_the_first_byte() -> None:
    """A process that was suspended while it connected must not send an old intent (F11)."""
    async with serving(http(envelope(entry("a")))) as server, client_of(server) as client:
        prepared = client.prepare(Provider.CLAUDE, attempts("a"))
        got = await client.send(prepared, may_leave=lambda: False)
        assert server.requests == []
        assert not got.sent
        assert isinstance(got.outcomes[0], NotTaken)
        assert "held back" in got.outcomes[0].why
        assert (await client.send(prepared, may_leave=lambda: True)).sent


async def test_waits_until_the_api_s_hour_end_by_the_api_s_clock() -> None:
    """The limit of equal tasks is counted by its clock, and ours may be wrong (F76)."""
    reply = http(envelope(entry("a", 40205, cost=0)), 200, "Date: Sat, 21 Nov 2026 22:59:30 GMT")
    async with serving(reply) as server, client_of(server) as client:
        got = await client.task_post(Provider.CLAUDE, attempts("a"))
    assert isinstance(got.outcomes[0], NotTaken)
    assert got.outcomes[0].wait_s == 30


async def test_every_request_reports_what_it_taught() -> None:
    """Pacing lives on these: the stated limit, what is left of it, and the API's time."""
    reports: list[CallReport] = []
    limits = ["X-RateLimit-Limit: 2000", "X-RateLimit-Remaining: 1999"]
    odd = ["X-RateLimit-Limit: many", "X-RateLimit-Remaining: -3", "Date: whenever"]
    async with (
        serving(
            http(sample("tasks_ready.response.empty"), 200, *limits),
            http(envelope(code=40202), 200, *odd),
            b"",
        ) as server,
        client_of(server, after_call=reports.append) as client,
    ):
        await client.tasks_ready(Provider.GEMINI)
        with pytest.raises(RateLimited):
            await client.tasks_ready(Provider.GEMINI)
        await client.send(client.prepare(Provider.GEMINI, attempts("a")))
    seen = [(r.kind, r.limit, r.remaining, r.server_date, r.http_status, r.code) for r in reports]
    assert seen == [
        (CallKind.TASKS_READY, 2000, 1999, None, 200, 20000),
        (CallKind.TASKS_READY, None, None, None, 200, 40202),
        (CallKind.TASK_POST, None, None, None, None, None),
    ]
    assert all(report.took_s >= 0 for report in reports)


async def test_the_ready_list_is_read() -> None:
    """It pulls a task's next question forward."""
    async with (
        serving(http(sample("tasks_ready.response.chat_gpt"))) as server,
        client_of(server) as client,
    ):
        (row,) = await client.tasks_ready(Provider.CHAT_GPT)
    assert row.tag == "run7:000001:a1"
    assert server.requests[0].startswith(
        b"GET /v3/ai_optimization/chat_gpt/llm_responses/tasks_ready HTTP/1.1\r\n"
    )


async def test_an_answer_is_fetched_by_id_compressed_or_not() -> None:
    """Answers are large, and the API may compress them."""
    body = sample("task_get.response.claude.done")
    packed = http(gzip.compress(body), 200, "Content-Encoding: gzip")
    async with serving(http(body), packed) as server, client_of(server) as client:
        plain = await client.task_get(Provider.CLAUDE, ASKED)
        unpacked = await client.task_get(Provider.CLAUDE, ASKED)
    assert plain == unpacked
    assert isinstance(plain, Finished)
    assert plain.raw == body


@pytest.mark.parametrize("name", ["a/../b", "a?b#c", "é %2F"])
async def test_an_id_is_quoted_whatever_it_holds(name: str) -> None:
    """Ids are opaque text (API.md §4); one of them must not lead to another address."""
    reply = http(envelope(entry(None, 40602, id=name)))
    async with serving(reply) as server, client_of(server) as client:
        assert await client.task_get(Provider.CLAUDE, name) == Running(code=40602)
    path = server.requests[0].split(b" ")[1]
    assert path.startswith(b"/v3/ai_optimization/claude/llm_responses/task_get/")
    assert path.count(b"/") == 6
    assert b"?" not in path


async def test_user_data_is_read() -> None:
    """The first call of each process: it proves login, base URL and clock."""
    async with serving(http(sample("user_data.response"))) as server, client_of(server) as client:
        account = await client.user_data()
    assert account.login == "login@example.org"
    assert server.requests[0].startswith(b"GET /v3/appendix/user_data HTTP/1.1\r\n")


async def test_a_wrong_password_ends_with_exit_5_and_is_tried_once() -> None:
    """Trying it again would only lock the account."""
    reply = http(sample("error.top_level.40100.http401"), 401)
    async with serving(reply) as server, client_of(server) as client:
        with pytest.raises(CredentialsBlocked) as caught:
            await client.user_data()
    assert caught.value.exit_code is Exit.CREDENTIALS
    assert len(server.requests) == 1


async def test_a_spent_balance_ends_with_exit_4() -> None:
    """A listing that is refused for money says so; a single result is withheld instead."""
    reply = http(sample("error.top_level.40200.http402"), 402)
    async with serving(reply) as server, client_of(server) as client:
        with pytest.raises(MoneyBlocked) as caught:
            await client.tasks_ready(Provider.CLAUDE)
    assert caught.value.exit_code is Exit.MONEY


PASSING = [
    pytest.param(http(b"", 500), id="500"),
    pytest.param(http(b"", 503), id="503"),
    pytest.param(http(b"<html>"), id="html"),
    pytest.param(http(b'{"status'), id="cut json"),
    pytest.param(http(envelope(code=50000)), id="50000"),
    pytest.param(http(envelope(code=12345)), id="unheard of"),
    pytest.param(http(b"", 302, "Location: /elsewhere"), id="redirect"),
    pytest.param(b"", id="closed"),
    pytest.param(http(b"{}", length=100), id="short body"),
    pytest.param(b"nonsense\r\n\r\n", id="no http"),
]


@pytest.mark.parametrize("broken", PASSING)
async def test_a_free_call_survives_what_passes(broken: bytes) -> None:
    """A hiccup at night must not cost the run; asking again is free."""
    turns: list[CallKind] = []

    async def turn(kind: CallKind, _priority: int) -> None:
        turns.append(kind)

    good = http(sample("user_data.response"))
    async with (
        serving(broken, good) as server,
        client_of(server, before_call=turn) as client,
    ):
        assert (await client.user_data()).balance_nanousd == 41_370_000_000
    assert len(server.requests) == 2
    # Each try takes its turn with the pacer, or the limit would be broken by retries.
    assert turns == [CallKind.USER_DATA] * 2


@pytest.mark.parametrize("broken", PASSING)
async def test_a_free_call_gives_up_after_three_tries(broken: bytes) -> None:
    """Waiting longer is the queue's business, which remembers it across processes."""
    async with serving(broken) as server, client_of(server) as client:
        with pytest.raises((Unreachable, ProtocolFault)) as caught:
            await client.user_data()
    assert caught.value.exit_code is Exit.TRY_LATER
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (40100, CredentialsBlocked),
        (40210, MoneyBlocked),
        (40202, RateLimited),
        (50000, Unreachable),
        (59999, ProtocolFault),
    ],
)
async def test_an_error_inside_a_listing_is_not_an_empty_list(
    code: int, error: type[Exception]
) -> None:
    """Read as `nothing is ready`, a refused login would be waited out in silence."""
    reply = http(envelope(entry(None, code)))
    async with serving(reply) as server, client_of(server) as client:
        with pytest.raises(error):
            await client.tasks_ready(Provider.CLAUDE)


async def test_a_listing_without_results_is_an_empty_list() -> None:
    """40102 means that there is nothing to list (API.md §5)."""
    reply = http(envelope(entry(None, 40102)))
    async with serving(reply) as server, client_of(server) as client:
        assert await client.tasks_ready(Provider.CLAUDE) == []


async def test_a_rate_limit_is_not_hammered() -> None:
    """Three more calls at once are the worst answer to `too many calls` (F51)."""
    for reply in (http(b"", 429, "Retry-After: 17"), http(envelope(code=40202))):
        async with serving(reply) as server, client_of(server) as client:
            with pytest.raises(RateLimited) as caught:
                await client.task_get(Provider.CLAUDE, ASKED)
        assert len(server.requests) == 1
        assert caught.value.wait_s in {17.0, 60.0}


async def test_a_moved_or_missing_address_stops_at_once() -> None:
    """A base URL that is wrong stays wrong; what stands there gets our password only once."""
    for reply in (http(b"", 301, "Location: http://127.0.0.1:9/"), http(b"<html>", 404)):
        async with serving(reply) as server, client_of(server) as client:
            with pytest.raises(WrongAddress) as caught:
                await client.user_data()
        assert caught.value.exit_code is Exit.WRONG_INPUT
        assert len(server.requests) == 1


async def test_a_failure_by_server_error_is_handed_on_only_when_repeated() -> None:
    """A hiccup of one task_get costs another look, no more; what is said again may pass later."""
    failed = http(envelope(entry(None, 50000, id=ASKED)))
    done = http(sample("task_get.response.claude.done"))
    async with serving(failed, done) as server, client_of(server) as client:
        assert isinstance(await client.task_get(Provider.CLAUDE, ASKED), Finished)
    async with serving(failed) as server, client_of(server) as client:
        got = await client.task_get(Provider.CLAUDE, ASKED)
    assert isinstance(got, TaskFailed)
    assert (got.code, got.retryable, got.may_pass) == (50000, True, True)
    assert len(server.requests) == 3


async def test_an_idle_connection_closed_by_the_server_costs_a_counted_retry() -> None:
    """The library would repeat the request by itself, past the pacer; then the limit is broken."""
    turns: list[CallKind] = []

    async def turn(kind: CallKind, _priority: int) -> None:
        turns.append(kind)

    async def answer_then_close_at_the_next(writer: asyncio.StreamWriter) -> None:
        writer.close()

    good = http(sample("user_data.response"), keep=True)

    async def keep(writer: asyncio.StreamWriter) -> None:
        writer.write(good)

    async with (
        serving(keep, answer_then_close_at_the_next, keep, keep_open=True) as server,
        client_of(server, before_call=turn) as client,
    ):
        await client.user_data()
        await client.user_data()
    assert len(server.requests) == 3
    assert len(turns) == 3


async def test_cookies_are_neither_kept_nor_sent() -> None:
    """A balancer's cookie would tie the account to one machine of the API's."""
    reply = http(sample("user_data.response"), 200, "Set-Cookie: stay=here")
    async with serving(reply) as server, client_of(server) as client:
        await client.user_data()
        await client.user_data()
    assert not any(b"cookie" in request.lower() for request in server.requests)


async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rehearsal against the simulator works behind a company's proxy, too."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with serving(http(sample("user_data.response"))) as server, client_of(server) as client:
        assert await client.user_data()


async def test_a_cancelled_post_is_not_dressed_up_as_an_outcome() -> None:
    """Only the caller knows that it stops; the tasks stay `posting` and are looked for later."""
    async with serving(never()) as server, client_of(server) as client:
        sending = asyncio.create_task(client.task_post(Provider.CLAUDE, attempts("a")))
        await server.asked.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_the_client_works_only_inside_its_context() -> None:
    """Connections that nobody closes would outlive the run."""
    client = LlmResponses(base_url="http://127.0.0.1:9", login="me", password=PASSWORD)
    with pytest.raises(RuntimeError, match="context"):
        await client.user_data()


def test_a_login_with_a_colon_is_refused_before_any_call() -> None:
    """HTTP Basic would send it as another login and another password."""
    with pytest.raises(CredentialsRefused):
        LlmResponses(base_url="http://127.0.0.1:9", login="a:b", password=PASSWORD)


async def test_no_repr_and_no_error_holds_the_password() -> None:
    """Errors end in logs, mails and bug reports (F78)."""
    secrets = [PASSWORD, b64encode(f"me:{PASSWORD}".encode()).decode()]
    shown: list[str] = []
    for reply in (b"", http(b"", 500), http(b"<html>"), http(b"x", 401), b"bad\r\n\r\n"):
        async with serving(reply) as server, client_of(server) as client:
            shown.append(repr(client))
            posted = await client.send(client.prepare(Provider.CLAUDE, attempts("a")))
            shown += [repr(posted), repr(posted.trouble)]
            with pytest.raises(Exception, match=r".") as caught:
                await client.user_data()
        error: BaseException | None = caught.value
        while error is not None:
            shown += [repr(error), str(error), json.dumps(vars(error), default=repr)]
            error = error.__cause__ or error.__context__
    assert not [text for text in shown for secret in secrets if secret in text]
    assert len(shown) == 5 * 6

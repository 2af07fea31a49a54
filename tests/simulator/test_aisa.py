"""AIsa's face of the simulated account: API.md §12, read for itself."""

import json
from datetime import timedelta
from typing import Any

import pytest

from runner.simulator.account import Account
from runner.simulator.calls import Reply, read_call
from runner.simulator.control import oracle, page_of_tasks
from runner.simulator.faults import Fault, Strike
from runner.simulator.router import route
from runner.simulator.scenario import AisaHeaders
from tests.simulator.helpers import AUTHORIZATION, ManualClock, call, new_account, question

BASE = "/apis/v1/dataforseo/ai_optimization"
LIVE = f"{BASE}/claude/llm_responses/live"
KEY = "Bearer sk-aisa-anything"


def ask(
    account: Account,
    body: Any = None,
    *,
    path: str = LIVE,
    authorization: str | None = KEY,
    stay: bool = False,
) -> Reply:
    """The reply through AIsa; unless it is to *stay* open its place is given back."""
    sent = json.dumps([question()] if body is None else body).encode()
    reply = route(account, read_call("POST", path, authorization=authorization, body=sent)).reply
    assert reply is not None
    if reply.lane is not None and not stay:
        account.open_calls.leave(reply.lane)
    return reply


def test_the_envelope_of_the_api_behind_comes_through_unchanged(account: Account) -> None:
    """Same reply as without AIsa, and the same account's ledger, marked."""
    reply = ask(account)
    assert (reply.http_status, reply.body["status_code"]) == (200, 20000)
    (task,) = reply.body["tasks"]
    assert task["path"] == ["v3", "ai_optimization", "claude", "llm_responses", "live"]
    assert task["cost"] > 0.0006
    (entry,) = page_of_tasks(account, offset=0, limit=9)["tasks"]
    assert (entry["gateway"], entry["method"]) == ("aisa", "live")


@pytest.mark.parametrize("authorization", [None, AUTHORIZATION, "Bearer", "Bearer ", "sk-aisa-1"])
def test_without_a_bearer_key_the_short_error_comes(
    account: Account, authorization: str | None
) -> None:
    """The shape that a public test shows."""
    reply = ask(account, authorization=authorization)
    assert reply.http_status == 401
    assert reply.body["error"] == "Unauthorized"


def test_a_wrong_key_gets_the_documented_error(clock: ManualClock) -> None:
    """And nothing is created."""
    account = new_account(clock, aisa_key="sk-aisa-right")
    for key in ("Bearer sk-aisa-wrong", "Bearer schlüssel"):
        reply = ask(account, authorization=key)
        assert reply.http_status == 401
        assert reply.body["error"]["code"] == "invalid_api_key"
        assert set(reply.body["error"]) == {"type", "code", "message", "request_id"}
    assert account.ledger.totals.created == 0
    assert ask(account, authorization="Bearer sk-aisa-right").http_status == 200


@pytest.mark.parametrize(
    "path",
    [
        f"{BASE}/claude/llm_responses/task_post",
        f"{BASE}/claude/llm_responses/task_get/1",
        f"{BASE}/mistral/llm_responses/live",
        "/apis/v1/v3/ai_optimization/claude/llm_responses/live",
        "/apis/v1",
    ],
)
def test_aisa_is_live_only(account: Account, path: str) -> None:
    """Without task_get its task_post would be money for nothing (API.md §12)."""
    reply = ask(account, path=path)
    assert (reply.http_status, reply.body["error"]["type"]) == (404, "not_found_error")


def test_a_refusal_of_the_api_behind_stands_inside_http_200(account: Account) -> None:
    """Both layers have to be looked at."""
    reply = ask(account, [question(top_p=7)])
    assert (reply.http_status, reply.body["tasks"][0]["status_code"]) == (200, 40501)


def test_the_pace_of_the_key_is_its_own(clock: ManualClock) -> None:
    """HTTP 429 and Retry-After; the account's own minute is untouched."""
    account = new_account(clock, aisa_calls_per_minute=2)
    assert [ask(account).http_status for _ in range(3)] == [200, 200, 429]
    slow = ask(account)
    assert slow.headers["Retry-After"] == "60"
    assert slow.body["error"]["code"] == "rate_limit_exceeded"
    told = oracle(account)
    assert told["aisa"]["calls"] == 4
    assert told["aisa"]["calls_over_limit"] == 2
    assert (told["largest_minute"], told["calls"]["live"]) == (0, 0)
    clock.advance(timedelta(seconds=61))
    assert ask(account).http_status == 200


def test_twenty_calls_of_the_key_may_be_open_for_all_providers(account: Account) -> None:
    """The limit is the key's, beside and apart from the account's thirty for each provider."""
    gemini = f"{BASE}/gemini/llm_responses/live"
    replies = [ask(account, stay=True) for _ in range(15)]
    asked = [question(model_name="gemini-2.5-flash")]
    replies += [ask(account, asked, path=gemini, stay=True) for _ in range(6)]
    assert [reply.http_status for reply in replies] == [200] * 20 + [429]
    assert replies[-1].body["error"]["code"] == "concurrency_limit_exceeded"
    assert int(replies[-1].headers["Retry-After"]) > 0
    told = oracle(account)
    assert told["aisa"]["most_open"] == 20
    assert told["aisa"]["most_open_by_provider"]["claude"] == 15
    assert told["live_most_open"]["claude"] == 0
    claude = "/v3/ai_optimization/claude/llm_responses/live"
    assert call(account, "POST", claude, [question()]).body["status_code"] == 20000


@pytest.mark.parametrize("spelling", list(AisaHeaders))
def test_the_rate_headers_come_in_either_spelling_or_not_at_all(
    clock: ManualClock, spelling: AisaHeaders
) -> None:
    """Its own pages disagree (API.md §12)."""
    headers = ask(new_account(clock, aisa_headers=spelling)).headers
    end = "-Requests" if spelling is AisaHeaders.REQUESTS else ""
    expected = {f"X-RateLimit-{name}{end}" for name in ("Limit", "Remaining", "Reset")}
    assert set(headers) == (set() if spelling is AisaHeaders.NONE else expected)
    if spelling is not AisaHeaders.NONE:
        assert headers[f"X-RateLimit-Remaining{end}"] == "599"


def test_an_empty_balance_is_said_in_its_own_words(clock: ManualClock) -> None:
    """HTTP 402 with its error, not the envelope's."""
    reply = ask(new_account(clock, balance=0))
    assert (reply.http_status, reply.body["error"]["type"]) == (402, "billing_error")


@pytest.mark.parametrize(
    ("fault", "http_status", "created"),
    [
        (Fault.RATE_LIMITED, 429, 0),
        (Fault.TOO_MANY, 429, 0),
        (Fault.PAYMENT_REQUIRED, 402, 0),
        (Fault.UNAUTHORIZED, 401, 0),
        (Fault.HTTP_500_BEFORE, 500, 0),
        (Fault.HTTP_500_AFTER, 500, 1),
    ],
)
def test_faults_come_in_its_own_shape(
    account: Account, fault: Fault, http_status: int, created: int
) -> None:
    """A client that knows only the envelope must not pass here."""
    account.faults.arm(Strike(fault=fault))
    reply = ask(account)
    assert reply.http_status == http_status
    assert set(reply.body) == {"error"}
    assert account.ledger.totals.created == created


def test_its_calls_are_in_no_listing_of_ours(account: Account, clock: ManualClock) -> None:
    """It asks under an account of its own, so a lost answer can be looked for nowhere."""
    ask(account)
    clock.advance(timedelta(seconds=30))
    window = {
        "datetime_from": "2026-11-20 09:00:00 +00:00",
        "datetime_to": "2026-11-20 10:00:30 +00:00",
    }
    (told,) = call(account, "POST", "/v3/ai_optimization/id_list", [window]).body["tasks"]
    assert not told["result"]

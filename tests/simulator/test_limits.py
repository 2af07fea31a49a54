"""Who may call and how often (API.md §1, §3)."""

import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.limits import CallLog
from runner.simulator.scenario import Place
from tests.simulator.helpers import (
    CHAT_GPT,
    CLAUDE,
    GEMINI,
    ManualClock,
    call,
    new_account,
    post,
    question,
)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@given(gaps=st.lists(st.floats(0, 20, allow_nan=False), max_size=120), limit=st.integers(1, 12))
def test_no_sliding_minute_lets_in_more_than_the_limit(gaps: list[float], limit: int) -> None:
    """The oracle of every pacing test: it must not be fooled by where a minute begins."""
    log, now = CallLog(), 0.0
    let_in: list[float] = []
    came: list[float] = []
    for gap in gaps:
        now += gap
        came.append(now)
        log.come(CallKind.TASK_GET, now)
        if log.admit(CallKind.TASK_GET, now, total=limit, own=None):
            let_in.append(now)
        else:
            assert sum(1 for moment in let_in if moment > now - 60) == limit
    windows = [sum(1 for m in let_in if end - 60 < m <= end) for end in let_in]
    assert max(windows, default=0) <= limit
    assert log.largest_minute == max(
        (sum(1 for moment in came if end - 60 < moment <= end) for end in came), default=0
    )


def test_a_call_over_the_limit_changes_nothing(clock: ManualClock) -> None:
    """40202 with HTTP 200 and tasks null: nothing was created, so it is safe to send again."""
    account = new_account(clock, calls_per_minute=2)
    post(account, question("a"))
    post(account, question("b"))
    reply = call(account, "POST", f"{CLAUDE}/task_post", [question("c")])
    assert (reply.http_status, reply.body["status_code"], reply.body["tasks"]) == (200, 40202, None)
    assert account.ledger.totals.created == 2
    clock.advance(timedelta(seconds=60))
    assert post(account, question("c"))[0]["status_code"] == 20100


def test_the_limit_can_stand_in_each_task(clock: ManualClock) -> None:
    """Top level or per task is UNKNOWN (API.md §3): both have to be understood."""
    account = new_account(clock, calls_per_minute=1, limit_place=Place.TASK)
    post(account, question("a"))
    outcomes = post(account, question("b"), question("c"))
    assert [(each["status_code"], each["data"]["tag"]) for each in outcomes] == [
        (40202, "b"),
        (40202, "c"),
    ]


def test_post_and_get_share_the_account_limit(clock: ManualClock) -> None:
    """API.md §3: 2,000 calls of any kind."""
    account = new_account(clock, calls_per_minute=3)
    paths = ["tasks_ready", "models", "task_get/unknown", "task_get/unknown"]
    codes = [call(account, "GET", f"{CLAUDE}/{path}").body["status_code"] for path in paths]
    assert codes == [20000, 20000, 20000, 40202]


def test_the_ready_list_takes_twenty_calls_of_all_providers_together(account: Account) -> None:
    """Whether they are shared is UNKNOWN; who budgets them as shared is right either way."""
    for number in range(20):
        path = f"{(CLAUDE, CHAT_GPT, GEMINI)[number % 3]}/tasks_ready"
        assert call(account, "GET", path).body["status_code"] == 20000
    assert call(account, "GET", f"{CLAUDE}/tasks_ready").body["status_code"] == 40202
    assert call(account, "GET", f"{CLAUDE}/models").body["status_code"] == 20000


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [("GET", "/v3/appendix/user_data", 6), ("POST", "/v3/ai_optimization/id_list", 10)],
)
def test_slow_endpoints_have_their_own_limit(
    account: Account, method: str, path: str, limit: int
) -> None:
    """API.md §3: 6 and 10 calls a minute."""
    codes = [call(account, method, path, [{}]).body["status_code"] for _ in range(limit + 1)]
    assert codes == [20000] * limit + [40202]


def test_headers_tell_the_limit_and_what_is_left(account: Account) -> None:
    """API.md §3: the ceiling of that endpoint, and the rest of the minute."""
    first = call(account, "GET", f"{CLAUDE}/task_get/x").headers
    assert first == {"X-RateLimit-Limit": "2000", "X-RateLimit-Remaining": "1999"}
    second = call(account, "GET", f"{CLAUDE}/tasks_ready").headers
    assert second == {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "19"}


def test_headers_can_be_missing(clock: ManualClock) -> None:
    """A probe saw neither header (API.md §3): nobody may depend on them."""
    account = new_account(clock, rate_headers=False)
    assert call(account, "GET", f"{CLAUDE}/task_get/x").headers == {}


def test_the_oracle_counts_calls_of_each_kind(clock: ManualClock) -> None:
    """Calls that were refused were still made, and count against the client's pacing."""
    account = new_account(clock, calls_per_minute=3)
    for _ in range(5):
        call(account, "GET", f"{CLAUDE}/tasks_ready")
    assert account.calls.counts[CallKind.TASKS_READY] == 5
    assert account.calls.refused[CallKind.TASKS_READY] == 2
    assert account.calls.largest_minute == 5
    assert account.calls.largest_minute_of(CallKind.TASKS_READY) == 5
    assert account.calls.largest_minute_of(CallKind.TASK_GET) == 0


@pytest.mark.parametrize(
    "sent",
    [None, "", "Basic", "Bearer abc", "Basic !!!", basic(""), basic("user:"), basic(":secret")],
)
def test_a_call_without_credentials_is_refused(account: Account, sent: str | None) -> None:
    """HTTP 401 with 40100, and nothing happens."""
    reply = call(account, "POST", f"{CLAUDE}/task_post", [question()], authorization=sent)
    assert (reply.http_status, reply.body["status_code"]) == (401, 40100)
    assert account.ledger.totals.created == 0


@pytest.mark.parametrize(
    ("sent", "status"), [("me:right", 200), ("me:wrong", 401), ("you:right", 401)]
)
def test_configured_credentials_are_the_only_ones(
    clock: ManualClock, sent: str, status: int
) -> None:
    """A wrong password has to look like one."""
    account = new_account(clock, login="me", password="right")
    reply = call(account, "GET", f"{CLAUDE}/models", authorization=basic(sent))
    assert reply.http_status == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v3/ai_optimization/claude/llm_responses/nowhere"),
        ("POST", "/v3/ai_optimization/perplexity/llm_responses/task_post"),
        ("GET", "/v3/ai_optimization/perplexity/llm_responses/tasks_ready"),
        ("POST", "/v3/ai_optimization/llm_responses/task_post"),
        ("GET", "/v3/ai_optimization/claude/llm_responses/task_post"),
        ("GET", "/v3/ai_optimization/claude/llm_responses/task_get/id/advanced"),
        ("GET", "/"),
    ],
)
def test_a_path_that_the_api_lacks_is_not_found(account: Account, method: str, path: str) -> None:
    """HTTP 404 in the API's own envelope: a client can tell it from a wrong host."""
    reply = call(account, method, path)
    assert (reply.http_status, reply.body["status_code"], reply.body["tasks"]) == (404, 40400, None)

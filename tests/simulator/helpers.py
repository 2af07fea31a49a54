"""What the tests of the simulator share: a clock that only they move, and calls without HTTP."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from runner.simulator.account import Account
from runner.simulator.calls import Reply, read_call
from runner.simulator.latency import Latency, Shape
from runner.simulator.router import route
from runner.simulator.scenario import Scenario

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
AT_ONCE = Latency(Shape.CONSTANT, 0.0)
TEN_SECONDS = Latency(Shape.CONSTANT, 10.0)
AUTHORIZATION = "Basic " + base64.b64encode(b"user:secret").decode()
CLAUDE = "/v3/ai_optimization/claude/llm_responses"
CHAT_GPT = "/v3/ai_optimization/chat_gpt/llm_responses"
GEMINI = "/v3/ai_optimization/gemini/llm_responses"


class ManualClock:
    """Stands still until a test moves it; wall and monotonic time together."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        self.advance(timedelta(seconds=seconds))

    def advance(self, by: timedelta) -> None:
        self._now += by
        self._elapsed += by.total_seconds()


def new_account(clock: ManualClock, **settings: Any) -> Account:
    """An account in memory whose tasks take ten seconds unless told otherwise."""
    scenario = Scenario(**{"latency": TEN_SECONDS, **settings})
    account = Account(scenario, clock=clock)
    account.deposit(scenario.balance)
    return account


def question(tag: str = "t1", **fields: Any) -> dict[str, Any]:
    """A task object that Claude's endpoint takes."""
    asked = {"user_prompt": "Which is better, Miele or Bosch?", "model_name": "claude-sonnet-4-0"}
    return asked | {"tag": tag} | fields


def call(
    account: Account,
    method: str,
    path: str,
    body: object = None,
    *,
    authorization: str | None = AUTHORIZATION,
) -> Reply:
    """The reply to a call, without faults of the connection."""
    sent = b"" if body is None else json.dumps(body).encode()
    reply = route(account, read_call(method, path, authorization=authorization, body=sent)).reply
    assert reply is not None, "nothing to say: the fault is one of the connection"
    return reply


def post(account: Account, *questions: Mapping[str, Any], to: str = CLAUDE) -> list[Any]:
    """The outcomes of a post."""
    return list(call(account, "POST", f"{to}/task_post", list(questions)).body["tasks"])


def post_one(account: Account, **fields: Any) -> str:
    """The id of one accepted task."""
    (outcome,) = post(account, question(**fields))
    assert outcome["status_code"] == 20100
    return str(outcome["id"])


def get(account: Account, task_id: str, *, at: str = CLAUDE) -> Any:
    """The one element of ``tasks`` that task_get answers with."""
    (told,) = call(account, "GET", f"{at}/task_get/{task_id}").body["tasks"]
    return told


def ready_ids(account: Account, *, at: str = CLAUDE) -> list[str]:
    """The ids on the ready list."""
    (told,) = call(account, "GET", f"{at}/tasks_ready").body["tasks"]
    return [row["id"] for row in told["result"] or ()]

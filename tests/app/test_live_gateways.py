"""The client of Live calls against the simulator: two readings of API.md that have to agree."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runner.api.calls import CallReport
from runner.api.errors import ApiError, CredentialsBlocked, MoneyBlocked, RateLimited
from runner.api.live import AnswerLost, Completed, LiveReply, RemoteFailed
from runner.api.live_client import LiveResponses
from runner.app.gateways import access_to
from runner.clock import Clock
from runner.money import Evidence
from runner.rows import Attempt
from runner.settings import Settings
from runner.simulator.account import Account
from runner.simulator.faults import Fault, Strike
from runner.simulator.journal import open_account
from runner.simulator.latency import Latency, Shape
from runner.simulator.ledger import Entry
from runner.simulator.scenario import AisaHeaders, Place, Scenario
from runner.simulator.server import serve
from runner.task import Gateway, NotTaken, Provider, Refused, TaskId
from tests.support.clock import ManualClock
from tests.support.waiting import until

AT_ONCE = Latency(Shape.CONSTANT, 0.0)
MODELS = {
    Provider.CHAT_GPT: "gpt-4.1",
    Provider.CLAUDE: "claude-sonnet-4-0",
    Provider.GEMINI: "gemini-2.5-flash",
    Provider.PERPLEXITY: "sonar",
}


class Simulated:
    """A simulated account and a way to ask it through one gateway."""

    def __init__(self, account: Account, live: LiveResponses, reports: list[CallReport]) -> None:
        self.account = account
        self.live = live
        self.reports = reports

    async def ask(
        self, provider: Provider = Provider.CLAUDE, tag: str = "a", **fields: Any
    ) -> LiveReply:
        body = {"user_prompt": "Is it dry?", "model_name": MODELS[provider], **fields}
        attempt = Attempt(task=TaskId(1), number=1, tag=tag, body=json.dumps(body).encode())
        return await self.live.ask(provider, attempt)

    def ledger(self) -> list[Entry]:
        return list(self.account.ledger.entries(self.account.now_ms()))


@asynccontextmanager
async def simulated(
    folder: Path,
    gateway: Gateway,
    timeout_s: float = 10.0,
    clock: Clock | None = None,
    **scenario: Any,
) -> AsyncIterator[Simulated]:
    settings = Settings.load(environ={}, flags={"api": "sim"}, workspace=folder)
    account = open_account(scenario=Scenario(**{"latency": AT_ONCE, **scenario}), clock=clock)
    reports: list[CallReport] = []
    async with serve(account) as server:
        access = access_to(gateway, settings, simulator=server.url)
        async with LiveResponses(access, timeout_s=timeout_s, after_call=reports.append) as live:
            yield Simulated(account, live, reports)


BOTH = pytest.mark.parametrize("gateway", list(Gateway))


@BOTH
@pytest.mark.parametrize("provider", list(Provider))
async def test_an_answer_costs_what_the_ledger_says(
    tmp_path: Path, gateway: Gateway, provider: Provider
) -> None:
    """`--api sim` serves both ways in, for all four providers, and no cent differs."""
    async with simulated(tmp_path, gateway) as place:
        got = await place.ask(provider)
        (entry,) = place.ledger()
    assert isinstance(got.outcome, Completed)
    assert got.outcome.charge() == (entry.charge_nanousd, Evidence.REPORTED)
    assert got.outcome.answer is not None
    assert "Is it dry" in got.outcome.answer.text
    assert (entry.gateway, entry.method, entry.tag) == (gateway, "live", "a")
    assert got.trouble is None


@BOTH
async def test_an_echo_without_the_tag_is_still_our_answer(
    tmp_path: Path, gateway: Gateway
) -> None:
    """The vendor's own Live example echoes no tag, and it is the only copy of a paid answer."""
    async with simulated(tmp_path, gateway, echo_without=("tag", "user_prompt")) as place:
        assert isinstance((await place.ask()).outcome, Completed)
        place.account.faults.arm(Strike(fault=Fault.TAG_FOREIGN))
        assert isinstance((await place.ask()).outcome, AnswerLost)


@BOTH
@pytest.mark.parametrize(
    ("fault", "created"),
    [
        (Fault.DROP_BEFORE, 0),
        (Fault.DROP_AFTER, 1),
        (Fault.HTTP_500_BEFORE, 0),
        (Fault.HTTP_500_AFTER, 1),
        (Fault.CUT_BODY, 1),
        (Fault.GARBAGE_BODY, 1),
        (Fault.HTML, 1),
        (Fault.REDIRECT, 0),
        (Fault.HTTP_429, 0),
        (Fault.STALL_AFTER, 1),
        (Fault.TIMED_OUT, 1),
        (Fault.TASK_MISSING, 1),
    ],
)
async def test_what_the_account_may_have_charged_is_a_lost_answer(
    tmp_path: Path, gateway: Gateway, fault: Fault, created: int
) -> None:
    """The caller cannot tell the two sides of a break apart, and asks once."""
    # Only where a reply never comes is one waited for so long.
    timeout_s = 1.0 if fault is Fault.STALL_AFTER else 10.0
    async with simulated(tmp_path, gateway, timeout_s=timeout_s) as place:
        place.account.faults.arm(Strike(fault=fault, seconds=30))
        got = await place.ask()
        assert isinstance(got.outcome, AnswerLost)
        assert got.sent
        assert place.account.ledger.totals.created == created
        assert len(place.reports) == 1


@BOTH
@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        (Fault.RATE_LIMITED, RateLimited),
        (Fault.TOO_MANY, RateLimited),
        (Fault.PAYMENT_REQUIRED, MoneyBlocked),
        (Fault.UNAUTHORIZED, CredentialsBlocked),
    ],
)
async def test_what_the_account_refuses_is_not_taken(
    tmp_path: Path, gateway: Gateway, fault: Fault, trouble: type[ApiError]
) -> None:
    """And the ledger agrees that nothing was created."""
    async with simulated(tmp_path, gateway) as place:
        place.account.faults.arm(Strike(fault=fault))
        got = await place.ask()
        assert isinstance(got.outcome, NotTaken)
        assert isinstance(got.trouble, trouble)
        assert got.crowded == (fault is Fault.TOO_MANY)
        assert place.account.ledger.totals.created == 0


@BOTH
async def test_a_wrong_request_and_a_failed_task_are_told_apart(
    tmp_path: Path, gateway: Gateway
) -> None:
    """The one is never asked again, the other may be, for it says that it cost nothing."""
    async with simulated(tmp_path, gateway) as place:
        refused = await place.ask(temperature=7)
        assert isinstance(refused.outcome, Refused)
        assert (refused.outcome.code, refused.trouble) == (40501, None)
        place.account.faults.arm(Strike(fault=Fault.TASK_FAILS, code=40103))
        failed = await place.ask()
        assert isinstance(failed.outcome, RemoteFailed)
        assert (failed.outcome.code, failed.outcome.retryable) == (40103, True)


@pytest.mark.parametrize("place_of_errors", list(Place))
async def test_a_full_lane_is_told_and_nothing_is_lost(
    tmp_path: Path, place_of_errors: Place
) -> None:
    """Too many at once cost nobody an answer, wherever 40209 stands (API.md §3: UNKNOWN)."""
    clock, lane = ManualClock(patient=True), (Gateway.DATAFORSEO, Provider.CLAUDE)
    slow = Latency(Shape.CONSTANT, 1.0)
    scenario: dict[str, Any] = {"live_latency": slow, "limit_place": place_of_errors}
    async with simulated(tmp_path, Gateway.DATAFORSEO, clock=clock, **scenario) as place:
        asking = asyncio.gather(*(place.ask(tag=str(n)) for n in range(34)))
        # No answer is there before all have come.
        await until(lambda: place.account.open_calls.refused[lane] == 4)
        assert place.account.open_calls.most[lane] == 30
        clock.advance(timedelta(minutes=1))
        replies = await asking
    assert sum(isinstance(got.outcome, Completed) for got in replies) == 30
    assert sum(got.crowded for got in replies) == 4
    assert {type(got.outcome) for got in replies} == {Completed, NotTaken}


@pytest.mark.parametrize("spelling", list(AisaHeaders))
async def test_aisa_s_pace_is_learnt_in_either_spelling(
    tmp_path: Path, spelling: AisaHeaders
) -> None:
    """Or not at all, and then nothing is invented."""
    scenario: dict[str, Any] = {"aisa_headers": spelling, "aisa_calls_per_minute": 2}
    async with simulated(tmp_path, Gateway.AISA, **scenario) as place:
        replies = [await place.ask() for _ in range(3)]
        reports = place.reports
    stated = None if spelling is AisaHeaders.NONE else 2
    assert [report.limit for report in reports] == [stated] * 3
    assert isinstance(replies[2].outcome, NotTaken)
    assert replies[2].outcome.wait_s == 60
    assert isinstance(replies[2].trouble, RateLimited)


async def test_a_wrong_aisa_key_blocks_and_creates_nothing(tmp_path: Path) -> None:
    """With either shape of its error."""
    async with simulated(tmp_path, Gateway.AISA, aisa_key="sk-aisa-other") as place:
        got = await place.ask()
        assert isinstance(got.outcome, NotTaken)
        assert isinstance(got.trouble, CredentialsBlocked)
        assert place.account.ledger.totals.created == 0

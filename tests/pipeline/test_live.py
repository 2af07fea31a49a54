"""The Live lane against a simulated account: thirty open, saved before anything else, no burst."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from runner.api.access import aisa, dataforseo
from runner.api.errors import CredentialsBlocked
from runner.api.live import AnswerLost, Completed, sort_live
from runner.api.live_client import LiveResponses
from runner.lifecycle import Reason, State
from runner.money import BASE_PRICE_LIVE, Evidence
from runner.pacing import Pacer
from runner.pipeline.engine import LiveGateway, Quota
from runner.pipeline.inbox import take_in_round
from runner.pipeline.intents import STALE_S
from runner.pipeline.live import LiveHalted, LiveLane, ending_of
from runner.postbacks import PostbackAddress
from runner.simulator.account import Account
from runner.simulator.calls import CallKind as SimCall
from runner.simulator.faults import Fault, Strike
from runner.simulator.scenario import Scenario
from runner.simulator.server import serve
from runner.store.endings import Answered
from runner.store.inbox import Delivery
from runner.store.values import Ceiling, Idle, StoreUnwritable
from runner.task import Endpoint, Gateway, Method, Provider, RemoteId, Target
from tests.api.replies import entry, envelope
from tests.api.replies import reply as read
from tests.pipeline.scene import AT_ONCE, CLAUDE, Scene, engine_at
from tests.support.clock import ManualClock

PERPLEXITY = Target(
    name="perplexity",
    endpoint=Endpoint(provider=Provider.PERPLEXITY, method=Method.LIVE),
    model="sonar",
)
AISA = Target(
    name="aisa",
    endpoint=Endpoint(gateway=Gateway.AISA, provider=Provider.CLAUDE, method=Method.LIVE),
    model="claude-sonnet-4-0",
)
RESERVE = 50_000_000
TIMEOUT_S = 5.0


@dataclass(slots=True)
class LiveScene:
    """A scene whose engine makes Live calls through one gateway."""

    scene: Scene
    lane: LiveLane

    def strike(self, fault: Fault, **how: Any) -> None:
        self.scene.account.faults.arm(Strike(fault=fault, call=SimCall.LIVE, **how))

    def again(self, quota: Quota | None = None, **ceiling: Any) -> LiveLane:
        """Another lane of the same engine."""
        self.scene.posting = replace(self.scene.posting, ceiling=Ceiling(**ceiling))
        gateway = next(iter(self.scene.engine.live.values()))
        self.lane = LiveLane(self.scene.engine, gateway, [self.scene.posting], quota)
        return self.lane


@asynccontextmanager
async def lane_at(
    folder: Path, clock: ManualClock, target: Target = PERPLEXITY, **scenario: Any
) -> AsyncIterator[LiveScene]:
    settings = Scenario(**{"latency": AT_ONCE, "calls_per_minute": 100_000, **scenario})
    account = Account(settings, clock=clock)
    account.deposit(settings.balance)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(account))
        scene = await stack.enter_async_context(
            engine_at(
                server.url,
                folder / "runner.db",
                clock,
                account,
                targets=(target,),
                reserves={target.name: RESERVE},
            )
        )
        name = target.endpoint.gateway
        access = dataforseo(server.url, "me", "secret")
        if name is Gateway.AISA:
            access = aisa(f"{server.url}/apis/v1", "sk-any")
        api = LiveResponses(access, timeout_s=TIMEOUT_S, clock=clock)
        gateway = LiveGateway(
            api=await stack.enter_async_context(api),
            pacer=Pacer(100_000, clock),
            account=scene.engine.account,
            timeout=timedelta(seconds=TIMEOUT_S),
        )
        scene.engine = replace(scene.engine, live={name: gateway})
        yield LiveScene(scene, LiveLane(scene.engine, gateway, [scene.posting]))


async def test_an_answer_is_stored_with_the_cost_it_reports(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The ledger's charge and ours are the same number, and marked as the API's word."""
    async with lane_at(tmp_path, clock) as live:
        await live.scene.load(1)
        reply = await live.lane.ask_next()
        assert reply is not None
        assert isinstance(reply.outcome, Completed)
        (task,) = live.scene.account.ledger.tasks
        status = await live.scene.status()
        assert status.states[State.COMPLETED] == 1
        assert status.money.charged == task.charge
        evidence = live.scene.sql("SELECT charge_evidence, remote_id FROM attempts")
        assert evidence == [(Evidence.REPORTED, task.id)]
        assert await live.lane.ask_next() is None


@pytest.mark.parametrize(
    ("spent", "charge"),
    [
        (None, RESERVE),
        ("-", RESERVE),
        (0, BASE_PRICE_LIVE),
        (0.005, BASE_PRICE_LIVE + 5_000_000),
    ],
)
async def test_an_answer_without_a_price_is_taken_to_have_cost_its_reserve(
    tmp_path: Path, clock: ManualClock, spent: object, charge: int
) -> None:
    """Booked at the base price, it would let a budget be passed; a price of 0 is one."""
    async with lane_at(tmp_path, clock) as live:
        await live.scene.load(1)
        call = await live.lane.intend()
        assert call is not None
        (tag,) = call.post.tags
        told = entry(tag, 20000, cost=0, result=[{"items": [], "money_spent": spent}])
        body = envelope(told, cost=0)
        reply = sort_live(
            tag, read(body), gateway=Gateway.DATAFORSEO, now=clock.now(), bare_url=True
        )
        ending = ending_of(live.scene.engine, call.batch, reply)
        assert isinstance(ending, Answered)
        assert (ending.charge, ending.evidence) == (charge, Evidence.COMPUTED)


async def test_a_live_call_has_no_address_and_no_delivery_is_believed_for_one(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Its answer comes in the call; what else bears its tag costs no question, and no curve."""
    async with lane_at(tmp_path, clock) as live:
        scene = live.scene
        secret = "the secret of the lane's tests"
        scene.engine = replace(
            scene.engine, postbacks=PostbackAddress("http://127.0.0.1:9", secret)
        )
        live.again()
        await scene.load(1)
        call = await live.lane.intend()
        assert call is not None
        (tag,) = call.post.tags
        assert b"postback_url" not in call.post.body
        assert scene.sql("SELECT postback FROM tasks") == [(0,)]
        delivery = Delivery(remote_id=RemoteId("somebody-s"), tag=tag, body=b"{}")
        await scene.store.deliver([delivery], now=clock.now())
        assert await take_in_round(scene.engine) == 1
        assert scene.sql("SELECT count(*) FROM inbox") == [(0,)]
        await live.lane.deliver(call)
        assert await scene.states() == {State.COMPLETED: 1}
        assert scene.account.calls.counts[SimCall.TASK_GET] == 0
        assert scene.engine.planner.to_keep() == {}


async def test_an_answer_lost_on_its_way_is_counted_with_its_money(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The server answered and was paid; nobody read it, and nobody asks again unasked."""
    async with lane_at(tmp_path, clock) as live:
        await live.scene.load(1)
        live.strike(Fault.DROP_AFTER)
        reply = await live.lane.ask_next()
        assert reply is not None
        assert isinstance(reply.outcome, AnswerLost)
        status = await live.scene.status()
        assert status.reasons == {(State.FAILED, Reason.ANSWER_LOST): 1}
        assert status.money.at_risk == RESERVE
        assert await live.lane.ask_next() is None
        assert len(live.scene.account.ledger.tasks) == 1
        assert not live.scene.engine.signals.in_doubt, "the breaker of posts is none of its"


async def test_a_stale_intent_is_not_sent(tmp_path: Path, clock: ManualClock) -> None:
    """A process that slept between intent and send may be presumed dead (F13)."""
    async with lane_at(tmp_path, clock) as live:
        await live.scene.load(1)
        call = await live.lane.intend()
        assert call is not None
        clock.advance(timedelta(seconds=STALE_S + 1))
        reply = await live.lane.deliver(call)
        assert not reply.sent
        assert await live.scene.states() == {State.PENDING: 1}
        assert live.scene.account.ledger.tasks == []


async def test_a_full_disk_keeps_the_answer_until_it_can_be_saved(
    tmp_path: Path, clock: ManualClock
) -> None:
    """It is the only copy; giving up would lose what was paid (F14)."""
    async with lane_at(tmp_path, clock) as live:
        await live.scene.load(1)
        store, refusals = live.scene.store, [StoreUnwritable("the disk is full")] * 3

        class Full:
            def __getattr__(self, name: str) -> Any:
                return getattr(store, name)

            async def settle_live(self, *args: Any, **how: Any) -> None:
                if refusals:
                    raise refusals.pop()
                await store.settle_live(*args, **how)

        live.scene.engine = replace(live.scene.engine, store=Full())
        live.again()
        async with anyio.create_task_group() as group:
            group.start_soon(live.lane.ask_next)
            while refusals or live.scene.engine.signals.in_flight:
                await anyio.sleep(0.01)
                clock.advance(timedelta(seconds=1))
        assert await live.scene.states() == {State.COMPLETED: 1}
        assert live.scene.engine.signals.debts == 0


async def test_a_crowded_api_lowers_what_is_open(tmp_path: Path, clock: ManualClock) -> None:
    """40209 blames no task, slows nobody down, and leaves fewer calls open."""
    async with lane_at(tmp_path, clock) as live:
        await live.scene.load(1)
        pace = live.scene.engine.pacer.calls_per_minute
        live.strike(Fault.TOO_MANY)
        await live.lane.ask_next()
        assert await live.scene.states() == {State.PENDING: 1}
        assert live.lane.crowd(Provider.PERPLEXITY).allowed == 1
        assert live.lane.crowd(Provider.CLAUDE).allowed == 30, "each provider has its own limit"
        assert live.scene.engine.pacer.calls_per_minute == pace


async def test_an_api_that_loses_every_answer_is_given_up(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Each further call would put another reserve at risk; the rest stays pending."""
    async with lane_at(tmp_path, clock) as live:
        await live.scene.load(20)
        live.strike(Fault.DROP_AFTER, times=20)
        crowd = live.lane.crowd(Provider.PERPLEXITY)
        while not crowd.halted:
            if await live.lane.ask_next() is None:
                clock.advance(timedelta(minutes=2))
        assert await live.scene.states() == {State.PENDING: 14, State.FAILED: 6}
        halted = live.scene.engine.signals.halted
        assert isinstance(halted[PERPLEXITY.endpoint], LiveHalted)
        assert not live.scene.engine.may_send(live.scene.run.id, PERPLEXITY.endpoint)
        assert not live.scene.engine.signals.stopping.is_set()


async def test_a_refused_key_of_aisa_halts_its_lane_alone(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The account at DataForSEO is another one, and goes on."""
    async with lane_at(tmp_path, clock, AISA, aisa_key="sk-another") as live:
        await live.scene.load(2)
        await live.lane.ask_next()
        engine = live.scene.engine
        assert isinstance(engine.signals.halted[AISA.endpoint], CredentialsBlocked)
        assert not engine.signals.stopping.is_set()
        assert engine.may_send(live.scene.run.id, CLAUDE.endpoint)
        assert await live.scene.states() == {State.PENDING: 2}
        assert await live.lane.ask_next() is None


async def test_the_budget_stops_calls_but_no_posts(tmp_path: Path, clock: ManualClock) -> None:
    """A Live call reserves more; what it has no room for may be enough for a post."""
    async with lane_at(tmp_path, clock) as live:
        await live.scene.load(2)
        live.again(budget=RESERVE - 1)
        assert await live.lane.ask_next() is None
        signals, run = live.scene.engine.signals, live.scene.run.id
        assert signals.short_of(run) is Idle.BUDGET
        assert signals.room(run)
        assert not live.scene.engine.may_send(run, PERPLEXITY.endpoint)


async def test_the_quota_is_one_for_all_lanes(tmp_path: Path, clock: ManualClock) -> None:
    """`submit --limit 1` sends one task, by whichever method."""
    async with lane_at(tmp_path, clock) as live:
        await live.scene.load(2)
        quota = Quota(1)
        live.again(quota)
        assert await live.lane.ask_next() is not None
        assert await live.lane.ask_next() is None
        assert (quota.left, quota.posts) == (0, 1)

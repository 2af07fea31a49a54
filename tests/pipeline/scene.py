"""One engine at work: a real store, a real client, and a simulated account behind a real socket."""

import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from runner.api.calls import CallKind, CallReport
from runner.api.client import LlmResponses
from runner.lifecycle import State
from runner.money import ADVANCE, BASE_PRICE_STANDARD
from runner.pacing import Pacer, Priority
from runner.pipeline.engine import Engine, Posting, Signals
from runner.pipeline.poller import claim, fetch
from runner.pipeline.submitter import Poster
from runner.pipeline.writer import store_group
from runner.rows import Ask, InputRow
from runner.simulator.account import Account
from runner.simulator.calls import CallKind as SimCall
from runner.simulator.faults import Fault, Strike
from runner.simulator.latency import Latency, Shape
from runner.simulator.scenario import Scenario
from runner.simulator.server import serve
from runner.store.endings import Ending
from runner.store.sqlite.store import SqliteStore, open_store
from runner.store.values import Ceiling, Run, RunStatus
from runner.task import Endpoint, Provider, Target
from tests.support.clock import ManualClock

RESERVE: Final = ADVANCE + BASE_PRICE_STANDARD
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
AT_ONCE: Final = Latency(Shape.CONSTANT, 0.0)

CLAUDE: Final = Target(
    name="claude", endpoint=Endpoint(provider=Provider.CLAUDE), model="claude-sonnet-4-0"
)
GEMINI: Final = Target(
    name="gemini", endpoint=Endpoint(provider=Provider.GEMINI), model="gemini-2.5-flash"
)


def lasting(length: timedelta) -> Latency:
    """Tasks that run for *length*."""
    return Latency(Shape.CONSTANT, length.total_seconds())


def rows(prompts: Iterable[str], targets: Sequence[Target]) -> list[InputRow]:
    """An input that asks each of *prompts* of each of *targets*."""
    return [
        InputRow(
            position=position,
            line=position + 1,
            key=hashlib.blake2b(prompt.encode(), digest_size=16).digest(),
            cells=json.dumps({"prompt": prompt}).encode(),
            asks=tuple(
                Ask(
                    target=target.name,
                    sample=1,
                    turn=1,
                    body=json.dumps({"model_name": target.model, "user_prompt": prompt}).encode(),
                )
                for target in targets
            ),
        )
        for position, prompt in enumerate(prompts, start=1)
    ]


@dataclass(slots=True)
class Scene:
    """A run in a store, an engine on it, and the account that it calls."""

    clock: ManualClock
    path: Path
    store: SqliteStore
    account: Account
    engine: Engine
    posting: Posting
    poster: Poster
    targets: Sequence[Target]
    loads: int = 0

    @property
    def run(self) -> Run:
        return self.posting.run

    async def load(self, prompts: int | Sequence[str]) -> None:
        """Queue *prompts*, or so many different ones."""
        texts = [f"Question {n}?" for n in range(prompts)] if isinstance(prompts, int) else prompts
        self.loads += 1
        load = await self.store.begin_load(
            self.run.id,
            digest=str(self.loads),
            source="q.csv",
            columns=["prompt"],
            now=self.clock.now(),
        )
        assert load is not None, "every load of a scene is a new one"
        await self.store.add_rows(load, rows(texts, self.targets), now=self.clock.now())
        await self.store.end_load(load, rejected=0, now=self.clock.now())

    def limited(self, **ceiling: Any) -> None:
        """Post within these limits from now on."""
        self.posting = Posting(run=self.run, ceiling=Ceiling(**ceiling))
        self.poster = Poster(self.engine, [self.posting])

    def on(self, store: Any) -> Poster:
        """A poster whose engine works on *store* instead; the engine's signals stay."""
        self.engine = replace(self.engine, store=store)
        self.poster = Poster(self.engine, [self.posting])
        return self.poster

    def strike(self, fault: Fault, *, post: bool = True, **how: Any) -> None:
        """Let *fault* strike the next post (or fetch)."""
        call = SimCall.TASK_POST if post else SimCall.TASK_GET
        self.account.faults.arm(Strike(fault=fault, call=call, **how))

    async def fetch_all(self) -> list[Ending]:
        """Ask for everything that is due, as the stage does; nothing is stored."""
        endings = []
        while taken := await claim(self.engine, 100):
            for task in taken:
                endings.append(await fetch(self.engine, task))
                self.engine.signals.speculative -= not task.ready
        return endings

    async def fetch_due(self) -> list[Ending]:
        """Ask for everything that is due and store what came of it."""
        endings = await self.fetch_all()
        if endings:
            await store_group(self.engine, endings)
        return endings

    async def status(self) -> RunStatus:
        return await self.store.status(self.run.id)

    async def states(self) -> dict[State, int]:
        """How many tasks are in each state that has any."""
        return {state: n for state, n in (await self.status()).states.items() if n}

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """What the store's file says, to anybody who opens it now."""
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute(query, values).fetchall()

    def remote_ids(self) -> dict[str, str]:
        """Our id of each attempt that has one, by its tag."""
        return dict(self.sql("SELECT tag, remote_id FROM attempts WHERE remote_id IS NOT NULL"))

    def created(self) -> dict[str, str]:
        """The account's own view of the same."""
        return {str(task.tag): task.id for task in self.account.ledger.tasks}


@asynccontextmanager
async def engine_at(
    base_url: str,
    path: Path,
    clock: ManualClock,
    account: Account,
    *,
    targets: Sequence[Target] = (CLAUDE,),
    reserves: Mapping[str, int] | None = None,
    tries: int = 3,
    password: str = "secret",
) -> AsyncIterator[Scene]:
    """An engine that calls the API at *base_url*; *reserves* by the names of targets."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(path, clock=clock))
        ours = await store.bind_account(gateway="dataforseo", base_url="https://x", login="me")
        worker = await store.begin_worker(now=clock.now())
        run = await store.begin_run(
            job="sky",
            key="",
            fresh=0,
            api="live",
            key_columns=["prompt"],
            targets=[(target, (reserves or {}).get(target.name, RESERVE)) for target in targets],
            tries=tries,
            now=clock.now(),
        )
        pacer = Pacer(100_000, clock)

        async def turn(_call: CallKind, priority: int) -> None:
            await pacer.take(Priority(priority))

        signals = Signals()

        def learn(report: CallReport) -> None:
            if report.code is not None:
                signals.see_time(
                    report.server_date,
                    asked_at=clock.monotonic() - report.took_s,
                    took_s=report.took_s,
                    wall=clock.now(),
                )

        api = await stack.enter_async_context(
            LlmResponses(
                base_url=base_url,
                login="me",
                password=password,
                post_timeout_s=2.0,
                get_timeout_s=2.0,
                before_call=turn,
                after_call=learn,
                clock=clock,
            )
        )
        engine = Engine(
            store=store,
            api=api,
            pacer=pacer,
            clock=clock,
            random=Random(7),
            account=ours,
            worker=worker,
            post_timeout=timedelta(seconds=2),
            signals=signals,
        )
        posting = Posting(run=run, ceiling=Ceiling())
        yield Scene(
            clock, path, store, account, engine, posting, Poster(engine, [posting]), targets
        )


@asynccontextmanager
async def staged(
    tmp_path: Path,
    clock: ManualClock,
    *,
    targets: Sequence[Target] = (CLAUDE,),
    reserves: Mapping[str, int] | None = None,
    tries: int = 3,
    password: str = "secret",
    **scenario: Any,
) -> AsyncIterator[Scene]:
    """An engine and a simulated account whose tasks end at once unless told otherwise."""
    settings = Scenario(**{"latency": AT_ONCE, "calls_per_minute": 100_000, **scenario})
    account = Account(settings, clock=clock)
    account.deposit(settings.balance)
    async with (
        serve(account) as server,
        engine_at(
            server.url,
            tmp_path / "runner.db",
            clock,
            account,
            targets=targets,
            reserves=reserves,
            tries=tries,
            password=password,
        ) as scene,
    ):
        yield scene

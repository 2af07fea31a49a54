"""How well calls are used when answers are polled for: the real stages, hours in some seconds.

python3 -m bench.collecting [--tasks 20000]

    store ◀─ stages ─▶ client ─▶ simulated account     one process, no sockets

Calls, not seconds of this machine, are what is counted: a result is the same on any machine.
"""

import argparse
import asyncio
import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, Final

import anyio
import structlog

from runner.api.access import Access, dataforseo
from runner.api.calls import AfterCall, BeforeCall, CallKind, CallReport
from runner.api.client import LlmResponses
from runner.api.replies import Reply, reply_of
from runner.api.transport import Transport, always
from runner.app.engines import Engines
from runner.app.stages import run_stages, to_collect
from runner.app.turns import Turn
from runner.app.values import StopSwitch
from runner.lifecycle import State
from runner.pacing import Pacer
from runner.pipeline.engine import Engine, Posting, Signals
from runner.pipeline.planner import Planner
from runner.pipeline.submitter import Poster
from runner.simulator.account import Account
from runner.simulator.calls import CallKind as SimCall
from runner.simulator.calls import read_call
from runner.simulator.latency import read_latency
from runner.simulator.router import route
from runner.simulator.scenario import Scenario
from runner.store.sqlite.store import open_store
from runner.store.values import Ceiling
from tests.pipeline.scene import CLAUDE, GEMINI, RESERVE, rows
from tests.support.virtual_clock import VirtualClock, WatchedStore

MINUTE_S: Final = 60.0
_WAY_S: Final = (0.02, 0.2)
"""A call's way to the API, and the reply's way back: anything in between."""


class _Inside(Transport):
    """Exchanges that end in the account instead of a socket."""

    def __init__(
        self, access: Access, account: Account, clock: VirtualClock, after_call: AfterCall
    ) -> None:
        super().__init__(access, after_call=after_call, clock=clock)
        self._account = account
        self._virtual = clock
        self._note = after_call
        self._random = Random(3)
        self.arrivals: list[float] = []
        """When calls came to the API, monotonic seconds."""

    async def open(self) -> None:
        pass

    async def exchange(
        self,
        kind: CallKind,
        path: str,
        body: bytes | None = None,
        *,
        total_s: float,
        strict: bool = False,
        may_leave: Callable[[], bool] = always,
    ) -> Reply:
        assert may_leave()
        began = self._virtual.monotonic()
        await self._virtual.sleep(self._random.uniform(*_WAY_S))
        self.arrivals.append(self._virtual.monotonic())
        call = read_call(
            "GET" if body is None else "POST",
            path,
            authorization=self.access.authorization,
            body=body or b"",
        )
        answered = route(self._account, call).reply
        assert answered is not None
        server_date = self._virtual.now().replace(microsecond=0)
        await self._virtual.sleep(self._random.uniform(*_WAY_S))
        reply = reply_of(answered.http_status, answered.headers, answered.encoded(), strict=strict)
        self._note(
            CallReport(
                kind=kind,
                took_s=self._virtual.monotonic() - began,
                server_date=server_date,
                http_status=answered.http_status,
                code=reply.code,
            )
        )
        return reply


class _InProcess(LlmResponses):
    """The client on such exchanges."""

    def __init__(
        self,
        account: Account,
        clock: VirtualClock,
        *,
        before_call: BeforeCall,
        after_call: AfterCall,
    ) -> None:
        where = ("http://127.0.0.1:1", "me", "x")
        base_url, login, password = where
        super().__init__(
            base_url=base_url,
            login=login,
            password=password,
            before_call=before_call,
            after_call=after_call,
            clock=clock,
        )
        self.inside = _Inside(dataforseo(*where), account, clock, after_call)
        self._transport = self.inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What polling for all answers came to."""

    completed: int
    gets: int
    ready_calls: int
    posts: int
    refused: int
    """Calls over a limit."""
    largest_minute: int
    """Most calls within any sliding 60 s at the server."""
    least_used_minute: float | None
    """Least share of the limit used within any sliding 60 s that had work for all of it; None if
    there was none."""
    makespan_s: float
    bound_s: float
    """Makespan if one GET for each result left at the limit as soon as any answer was ready."""
    wall_s: float
    """What it took here."""

    @property
    def gets_per_result(self) -> float:
        return self.gets / self.completed


async def collect(
    folder: Path,
    *,
    tasks: int,
    latency: str,
    calls_per_minute: int = 2_000,
    planner: Planner | None = None,
    targets: int = 1,
    **scenario: Any,
) -> Collected:
    """Post *tasks* prompts to each of *targets* (1 or 2) and poll until all are answered."""
    started, clock = monotonic(), VirtualClock()
    driving = asyncio.create_task(clock.drive())
    account = Account(
        Scenario(latency=read_latency(latency), calls_per_minute=calls_per_minute, **scenario),
        clock=clock,
    )
    account.deposit(10**18)
    asked = (CLAUDE, GEMINI)[:targets]
    try:
        async with AsyncExitStack() as stack:
            real = await stack.enter_async_context(open_store(folder / "bench.db", clock=clock))
            store: Any = WatchedStore(real, clock)
            ours = await store.bind_account(gateway="dataforseo", base_url="https://x", login="me")
            worker = await store.begin_worker(now=clock.now())
            run = await store.begin_run(
                job="bench",
                key="",
                fresh=0,
                api="live",
                key_columns=["prompt"],
                targets=[(target, RESERVE) for target in asked],
                now=clock.now(),
            )
            load = await store.begin_load(
                run.id, digest="1", source="q.csv", columns=["prompt"], now=clock.now()
            )
            prompts = rows((f"Question {n}?" for n in range(tasks)), asked)
            for first in range(0, tasks, 1_000):
                await store.add_rows(load, prompts[first : first + 1_000], now=clock.now())
            await store.end_load(load, rejected=0, now=clock.now())
            pacer, signals = Pacer(calls_per_minute, clock), Signals()
            turn = Turn(store, ours, pacer, signals, clock)

            def learn(report: CallReport) -> None:
                signals.see_time(
                    report.server_date,
                    asked_at=clock.monotonic() - report.took_s,
                    took_s=report.took_s,
                    wall=clock.now(),
                )

            api = _InProcess(account, clock, before_call=turn.take, after_call=learn)
            engine = Engine(
                store=store,
                api=api,
                pacer=pacer,
                clock=clock,
                random=Random(7),
                account=ours,
                worker=worker,
                post_timeout=timedelta(seconds=60),
                signals=signals,
                planner=planner or Planner(),
            )
            poster = Poster(engine, [Posting(run=run, ceiling=Ceiling())])
            began = clock.monotonic()

            async def until_done() -> None:
                while not signals.stopping.is_set():
                    states = (await store.status(run.id)).states
                    waiting = sum(states[s] for s in (State.PENDING, State.POSTING, State.POSTED))
                    if not waiting and not signals.in_flight:
                        return
                    await engine.rest(5.0)

            async def post_all() -> None:
                async with anyio.create_task_group() as group:
                    group.start_soon(poster.work)
                    while (await store.status(run.id)).states[State.PENDING] or signals.in_flight:
                        await engine.rest(1.0)
                    # What is left of it would look for something to post four times a second.
                    group.cancel_scope.cancel()

            await run_stages(
                Engines([engine]),
                lambda each: [post_all, *to_collect(each)],
                until=until_done,
                stop=StopSwitch(),
            )
            completed = (await store.status(run.id)).states[State.COMPLETED]
    finally:
        driving.cancel()
    finished = sorted(
        task.finish_ms / 1_000 - clock.now().timestamp() for task in account.ledger.tasks
    )
    ended = clock.monotonic()
    return _summed(
        account, api.inside.arrivals, [ended + at for at in finished], completed, began, started
    )


def _summed(
    account: Account,
    arrivals: Sequence[float],
    finished: Sequence[float],
    completed: int,
    began: float,
    started: float,
) -> Collected:
    calls, limit = account.calls, account.scenario.calls_per_minute
    bound = _ideal_end(finished, limit)
    return Collected(
        completed=completed,
        gets=calls.counts[SimCall.TASK_GET],
        ready_calls=calls.counts[SimCall.TASKS_READY],
        posts=calls.counts[SimCall.TASK_POST],
        refused=calls.refused.total(),
        largest_minute=calls.largest_minute,
        least_used_minute=_least_used(arrivals, finished, limit),
        makespan_s=arrivals[-1] - began,
        bound_s=bound - began,
        wall_s=monotonic() - started,
    )


def _ideal_end(finished: Sequence[float], limit: int) -> float:
    """When the last of the GETs could leave, each after its answer and all within the limit."""
    at = 0.0
    for moment in finished:
        at = max(at + MINUTE_S / limit, moment)
    return at


def _least_used(arrivals: Sequence[float], finished: Sequence[float], limit: int) -> float | None:
    """The least use of any 60 s from when a minute's work was ready until the end of it."""
    if len(finished) < 2 * limit:
        return None
    # From here on more is ready than a minute's calls could fetch, as the ideal schedule has it.
    start = finished[limit] + 20.0
    last = arrivals[-1] - MINUTE_S
    inside = [at for at in arrivals if at >= start]
    if last <= start:
        return None
    least, j = limit, 0
    for i, at in enumerate(inside):
        if at > last:
            break
        while j < len(inside) and inside[j] < at + MINUTE_S:
            j += 1
        least = min(least, j - i)
    return least / limit


CASES: Final[dict[str, dict[str, Any]]] = {
    "hours": {"latency": "lognormal 1h 0.5"},
    "hours_again": {"latency": "lognormal 1h 0.5"},
    "even_hours": {"latency": "1m..4h"},
    "seconds": {"latency": "lognormal 20s 0.7"},
    "five_minutes": {"latency": "5m"},
}
"""Distributions of the time to an answer; the second one starts with what the first has learned."""


def measure(*, tasks: int = 20_000) -> dict[str, Any]:
    """Each case of ``CASES``: calls, makespan and use of the limit, as ``Collected`` names them."""
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    found: dict[str, Any] = {}
    planner = Planner()
    for name, case in CASES.items():
        known, planner = (planner, planner) if name.endswith("_again") else (None, Planner())
        with tempfile.TemporaryDirectory() as folder:
            result = asyncio.run(
                collect(Path(folder), tasks=tasks, planner=known or planner, **case)
            )
        found[name] = {
            "tasks": result.completed,
            "gets_per_result": round(result.gets_per_result, 4),
            "ready_calls_per_result": round(result.ready_calls / result.completed, 4),
            "makespan_of_bound": round(result.makespan_s / result.bound_s, 4),
            "makespan_s": round(result.makespan_s, 1),
            "largest_minute": result.largest_minute,
            "least_used_minute": result.least_used_minute,
            "refused": result.refused,
            "wall_s": round(result.wall_s, 1),
        }
    return found


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    print(json.dumps(measure(tasks=parser.parse_args().tasks), indent=2))


if __name__ == "__main__":
    main()

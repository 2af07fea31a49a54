"""Opens the parts of an engine: the lock, the store, the API or the simulator, the pacing."""

import random
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from zlib import crc32

import structlog

from runner.api.calls import AfterCall, BeforeCall, CallKind, CallReport
from runner.api.client import LlmResponses
from runner.app.gateways import lesson, live_gateways
from runner.app.hosts import host_of
from runner.app.pacers import pacer_of
from runner.app.presence import present
from runner.app.turns import Turn
from runner.clock import Clock
from runner.errors import RunnerError, StoreBroken, TryLater
from runner.failpoints import Point, hit
from runner.pacing import Pacer, Priority
from runner.pipeline.engine import Engine, Signals
from runner.postbacks import PostbackAddress
from runner.settings import ApiKind, Settings
from runner.store.lock import EngineElsewhere, engine_lock
from runner.store.mark import Mark
from runner.store.opening import AnyStore, open_store
from runner.store.sqlite.store import SqliteStore
from runner.store.values import StoreUnwritable
from runner.store.workers import ALL_ROLES, Role
from runner.task import Gateway

log = structlog.get_logger()

_GATEWAY: Final = "dataforseo"


@dataclass(frozen=True, slots=True)
class OwnStore:
    """A store that this process is an engine of; of a file, the only one."""

    store: AnyStore
    worker: int
    roles: frozenset[Role] = ALL_ROLES


@asynccontextmanager
async def own_store(
    settings: Settings,
    *,
    wait_lock_s: float,
    clock: Clock,
    roles: Collection[Role] = ALL_ROLES,
) -> AsyncIterator[OwnStore]:
    """The store, with this process registered as a worker of it, and shown to live.

    A file's engine holds its lock; on a server any number are at work. What a dead engine was
    posting is in doubt from here on.

    Raises:
        TryLater: another engine holds the file.
        WrongInput: it was copied from another host.
        StoreBroken: it cannot be opened.
    """
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings.place, clock=clock))
        if isinstance(store, SqliteStore):
            lock = engine_lock(settings.store, wait_s=wait_lock_s, clock=clock)
            try:
                await stack.enter_async_context(lock)
            except EngineElsewhere:
                raise await held_elsewhere(store, settings.store_name) from None
            await store.check_host(host_of(settings))
            mark = stack.enter_context(closing(Mark.beside(settings.store)))
            await store.keep_mark(mark)
        hit(Point.WORKER_BEFORE)
        worker = await store.begin_worker(roles=roles, now=clock.now())
        await store.redate(now=clock.now())
        hit(Point.WORKER_BEGUN)
        try:
            async with present(store, worker, clock=clock):
                yield OwnStore(store, worker, frozenset(roles))
        finally:
            # Without this line the next start only takes this one for killed.
            hit(Point.WORKER_ENDING)
            with suppress(StoreUnwritable, StoreBroken):
                await store.end_worker(worker, now=clock.now())


async def about_to_load(store: AnyStore, settings: Settings) -> None:
    """What is queued from here on every copy of a file can tell for queued here: it has the host's
    name, and its side file is missed where it is not.

    Raises:
        WrongInput: it was copied from another host.
        StoreUnwritable: the disk is full.
    """
    if isinstance(store, SqliteStore):
        await store.check_host(host_of(settings))
        with closing(Mark.beside(settings.store)) as mark:
            await store.begin_mark(mark)


async def held_elsewhere(store: AnyStore, place: str) -> TryLater:
    holder = await store.current_worker()
    who = (
        f"pid {holder.pid} on {holder.host}, since {holder.started_at:%Y-%m-%d %H:%M:%S} UTC"
        if holder
        else "another process, which is just starting"
    )
    return TryLater(
        f"another run is active in this store ({who})",
        where=place,
        how="wait for it with --wait-lock 2h, or look at it with: runner status",
    )


@asynccontextmanager
async def running_engine(
    settings: Settings,
    own: OwnStore,
    *,
    clock: Clock,
    needs: Collection[Gateway] = (Gateway.DATAFORSEO,),
    welcome: Collection[Gateway] = (),
    listening: bool = False,
) -> AsyncIterator[Engine]:
    """An engine on the store, ready to call the API; with ``--api sim`` it brings its own.

    It calls the gateways that it *needs*, and of those that are *welcome* the ones that there are
    credentials for. *listening*: this process receives postbacks itself.

    Raises:
        CredentialsRefused: login, password or key of a gateway that is needed is missing.
        WrongInput: the store belongs to another account.
    """
    settings = settings.each_account()[0]
    reached = reached_gateways(settings, needs, welcome)
    standard = Gateway.DATAFORSEO in reached
    login, password = "", ""
    if standard:
        credentials = settings.credentials()
        login, password = credentials.login, credentials.password
    signals = Signals()
    async with AsyncExitStack() as stack:
        simulator = None
        if settings.api.base_url is None:
            simulator = await stack.enter_async_context(_simulator(settings.store, settings))
        base_url = settings.api.base_url or simulator
        assert base_url is not None, "there is an address, or a simulator with one"
        live = await live_gateways(stack, settings, own.store, reached, signals, simulator, clock)
        first = live[Gateway.DATAFORSEO] if standard else next(iter(live.values()))
        account, pacer = first.account, first.pacer
        turn = Turn(own.store, account, pacer, signals, clock)
        api = LlmResponses(
            base_url=base_url,
            login=login,
            password=password,
            post_timeout_s=settings.post_timeout_seconds,
            before_call=turn.take,
            after_call=lesson(pacer, signals, clock, Gateway.DATAFORSEO),
            clock=clock,
        )
        yield Engine(
            store=own.store,
            api=await stack.enter_async_context(api),
            pacer=pacer,
            clock=clock,
            random=random.Random(),
            account=account,
            worker=own.worker,
            post_timeout=timedelta(seconds=settings.post_timeout_seconds),
            settle=timedelta(seconds=settings.settle_seconds),
            postbacks=_postbacks(settings, listening=listening),
            signals=signals,
            standard=standard,
            live=live,
            name=settings.account,
        )


def reached_gateways(
    settings: Settings, needs: Collection[Gateway], welcome: Collection[Gateway]
) -> list[Gateway]:
    """Whom an engine calls: those that it *needs*, and of those that are *welcome* the ones that
    there are credentials for."""
    return [each for each in Gateway if each in needs or _has_key(settings, each, welcome)]


def _has_key(settings: Settings, gateway: Gateway, welcome: Collection[Gateway]) -> bool:
    """Whether *gateway* is welcome, and there is what it takes to call it."""
    if gateway not in welcome:
        return False
    try:
        settings.aisa() if gateway is Gateway.AISA else settings.credentials()
    except RunnerError:
        return False
    return True


def _postbacks(settings: Settings, *, listening: bool) -> PostbackAddress | None:
    # A rehearsal must not deliver to the receiver of the store that it rehearses for.
    if settings.api.kind is ApiKind.SIM and not listening:
        return None
    return settings.receiving.address


@asynccontextmanager
async def free_calls(
    settings: Settings,
    *,
    clock: Clock,
    counted: bool = True,
    after_call: AfterCall | None = None,
) -> AsyncIterator[LlmResponses]:
    """The API for a few free calls beside an engine that may be at work: no lock, no store made.

    Calls of a kind that has a limit of its own are *counted* in the store, if there is one; where
    none such is made the store is left alone.

    Raises:
        CredentialsRefused: login or password is missing.
        WrongInput: the store belongs to another account.
        TryLater: the simulated account is open in another process.
    """
    # Of several accounts any will do, unless one is meant.
    settings = settings.each_account()[0]
    credentials = settings.credentials()
    async with AsyncExitStack() as stack:
        base_url = settings.api.base_url
        if base_url is None:
            base_url = await stack.enter_async_context(_simulator(settings.store, settings))

        alone = Pacer(settings.calls_per_minute, clock)

        async def take(_call: CallKind, priority: int) -> None:
            await alone.take(Priority(priority))

        before_call: BeforeCall = take
        # On a server the limit is the hosts' in common, for whatever is called.
        if (counted or settings.server is not None) and settings.has_store:
            store = await stack.enter_async_context(open_store(settings.place, clock=clock))
            account = await store.bind_account(
                gateway=_GATEWAY,
                base_url=settings.api.base_url or str(ApiKind.SIM),
                login=credentials.login,
                name=settings.account,
            )
            pacer = pacer_of(stack, store, account, settings.calls_per_minute, clock)
            before_call = Turn(store, account, pacer, Signals(), clock).take
        yield await stack.enter_async_context(
            LlmResponses(
                base_url=base_url,
                login=credentials.login,
                password=credentials.password,
                before_call=before_call,
                after_call=after_call or _take_no_note,
                clock=clock,
            )
        )


def _take_no_note(_report: CallReport) -> None:
    """For calls whose limits nobody learns from."""


@asynccontextmanager
async def engine_beside(settings: Settings, *, clock: Clock) -> AsyncIterator[Engine]:
    """An engine for free calls alone, beside one that may be at work on the same store: no lock,
    no worker, and nothing that posts. The store must exist.

    Raises:
        CredentialsRefused: login or password is missing.
        WrongInput: the store belongs to another account.
        TryLater: the simulated account is open in another process.
        StoreBroken: the store cannot be opened.
    """
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings.place, clock=clock))
        beside = OwnStore(store, worker=0)
        yield await stack.enter_async_context(running_engine(settings, beside, clock=clock))


@asynccontextmanager
async def _simulator(store: Path, settings: Settings) -> AsyncIterator[str]:
    """A simulated account that lives in a file beside the store; yields its base URL."""
    from runner.simulator.journal import open_account
    from runner.simulator.latency import Latency, Shape
    from runner.simulator.scenario import Scenario
    from runner.simulator.server import serve

    # A rehearsal should be over soon: its answers come within a few seconds.
    soon = Latency(Shape.LOGNORMAL, 1.0, 0.5)
    # Each of several accounts has one of its own, with ids of its own.
    whose = f".{settings.account}" if settings.account else ""
    seed = crc32(whose.encode()) or Scenario().seed
    account = open_account(
        store.with_name(f"{store.stem}{whose}.account.jsonl"),
        scenario=Scenario(seed=seed, calls_per_minute=settings.calls_per_minute, latency=soon),
    )
    try:
        async with serve(account) as server:
            yield server.url
    finally:
        account.close()

"""How each gateway is called in a start: address, key, pace; with ``--api sim`` all simulated."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

from runner.api.access import Access, aisa, dataforseo
from runner.api.calls import AfterCall, CallKind, CallReport
from runner.api.live_client import LIVE_TIMEOUT_S, LiveResponses
from runner.app.pacers import pacer_of
from runner.clock import Clock
from runner.lifecycle import State
from runner.pacing import Pacer
from runner.pipeline.engine import LiveGateway, Signals
from runner.settings import AISA_PATH, ApiKind, Settings
from runner.store.protocol import TaskStore
from runner.task import Gateway

AISA_CALLS_PER_MINUTE: Final = 600
"""Of its starter plan; its replies say when the key's plan allows fewer (API.md §12)."""

_ABOUT_ALL_CALLS: Final = {CallKind.TASK_POST, CallKind.TASK_GET, CallKind.LIVE}
"""Whose rate headers speak of the whole account."""


def access_to(gateway: Gateway, settings: Settings, *, simulator: str | None = None) -> Access:
    """How *gateway* is reached in this start.

    *simulator* is the base URL of the simulator inside, for ``--api sim`` only.

    Raises:
        CredentialsRefused: login, password or key is missing or cannot be used.
        WrongInput: an address cannot be used, or a rehearsal would pay the real AIsa.
    """
    if gateway is Gateway.AISA:
        base_url, key = settings.aisa()
        return aisa(base_url or f"{_at(simulator)}{AISA_PATH}", key)
    credentials = settings.credentials()
    base_url = settings.api.base_url or _at(simulator)
    return dataforseo(base_url, credentials.login, credentials.password)


def _at(simulator: str | None) -> str:
    if simulator is None:
        raise ValueError("--api sim has no address until its simulator is started")
    return simulator


async def needed_gateways(
    store: TaskStore,
    runs: Iterable[int],
    *,
    late_answers: bool,
    retries: Iterable[int] = (),
    clock: Clock,
) -> set[Gateway]:
    """Whom a start of *runs* has to call: for what is pending, and for what DataForSEO still has.

    *late_answers*: other runs wait for some there. *retries*: other runs whose failures are asked
    again.
    """
    needed = {Gateway.DATAFORSEO} if late_answers else set()
    for run in runs:
        states = (await store.status(run)).states
        if states[State.POSTED] or states[State.UNKNOWN]:
            needed.add(Gateway.DATAFORSEO)
        needed |= {each.gateway for each in await store.waiting_to_post(run, now=clock.now())}
    for run in retries:
        waiting = await store.waiting_to_post(run, now=clock.now(), retries=True)
        needed |= {each.gateway for each in waiting}
    return needed or {Gateway.DATAFORSEO}


async def live_gateways(
    stack: AsyncExitStack,
    settings: Settings,
    store: TaskStore,
    gateways: Iterable[Gateway],
    signals: Signals,
    simulator: str | None,
    clock: Clock,
) -> dict[Gateway, LiveGateway]:
    """What it takes to make Live calls through each of *gateways*.

    Raises:
        CredentialsRefused: as ``access_to``.
        WrongInput: as ``access_to``, or the store belongs to another account.
    """
    opened = {}
    for gateway in gateways:
        access = access_to(gateway, settings, simulator=simulator)
        account = await store.bind_account(
            gateway=str(gateway),
            base_url=_known_as(gateway, settings),
            login=_owner(gateway, settings),
            name=settings.account if gateway is Gateway.DATAFORSEO else None,
        )
        most = settings.calls_per_minute
        if gateway is Gateway.AISA:
            most = AISA_CALLS_PER_MINUTE
        pacer = pacer_of(stack, store, account, most, clock)
        api = LiveResponses(
            access,
            timeout_s=LIVE_TIMEOUT_S,
            after_call=lesson(pacer, signals, clock, gateway),
            clock=clock,
        )
        opened[gateway] = LiveGateway(
            api=await stack.enter_async_context(api),
            pacer=pacer,
            account=account,
            timeout=timedelta(seconds=LIVE_TIMEOUT_S),
        )
    return opened


def _known_as(gateway: Gateway, settings: Settings) -> str:
    """The address that the store is bound to: none of a simulator inside, whose port changes."""
    base_url = settings.aisa()[0] if gateway is Gateway.AISA else settings.api.base_url
    return base_url or str(ApiKind.SIM)


def _owner(gateway: Gateway, settings: Settings) -> str:
    # AIsa keeps nothing that only one key could read, so its key may be changed.
    return "" if gateway is Gateway.AISA else settings.credentials().login


def lesson(pacer: Pacer, signals: Signals, clock: Clock, gateway: Gateway) -> AfterCall:
    """What replies of *gateway* teach about its pace, and those of DataForSEO about its time."""

    def after_call(report: CallReport) -> None:
        ours = gateway is Gateway.DATAFORSEO
        # A reply without the API's code may be a proxy's, with a time of its own.
        if ours and report.code is not None:
            signals.see_time(
                report.server_date,
                asked_at=clock.monotonic() - report.took_s,
                took_s=report.took_s,
                wall=clock.now() if signals.api_time is None else None,
            )
        if report.kind in _ABOUT_ALL_CALLS:
            pacer.observe(report.limit, report.remaining, waited_s=report.took_s)

    return after_call

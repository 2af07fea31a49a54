"""Asks a person before much money is held or spent, where it is real money."""

from collections.abc import Set
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from anyio import to_thread

from runner.app.values import Confirm, Spending
from runner.lifecycle import State
from runner.reports.estimate import Range, estimate, total
from runner.settings import ApiKind, Settings
from runner.settings.endpoint import is_loopback
from runner.store.protocol import TaskStore
from runner.store.values import Run
from runner.task import Gateway

_ALL: Final = frozenset(Gateway)


def real_gateways(settings: Settings) -> frozenset[Gateway]:
    """Whose calls cost money: the simulator, the sandbox and this machine take none. Each gateway
    has its own address, and only one of them may be of this machine."""
    found = set()
    if settings.api.kind is ApiKind.SIM:
        return frozenset()
    if settings.api.kind is not ApiKind.SANDBOX and not _is_here(settings.api.base_url):
        found.add(Gateway.DATAFORSEO)
    if not _is_here(settings.aisa_base_url):
        found.add(Gateway.AISA)
    return frozenset(found)


def _is_here(base_url: str | None) -> bool:
    """Whether *base_url* is of this machine; without one nobody can be called at all."""
    return base_url is None or is_loopback(urlsplit(base_url).hostname or "")


async def spending_of(store: TaskStore, run: Run, gateways: Set[Gateway] = _ALL) -> Spending:
    """What posting all that is pending of *run* through *gateways* would take."""
    history = await store.target_history(run.id)
    estimates = [estimate(each) for each in history if each.endpoint.gateway in gateways]
    return Spending(
        run=run,
        tasks=sum(each.history.to_post for each in estimates),
        hold=sum(each.hold for each in estimates),
        cost=total(estimates),
        careful=sum(each.careful for each in estimates),
    )


def part_of(spending: Spending, tasks: int) -> Spending:
    """What *tasks* of them take, the dear ones and the cheap ones in the same shares."""

    def share(amount: int) -> int:
        return -(-amount * tasks // spending.tasks)

    cost = spending.cost and Range(
        low=share(spending.cost.low),
        expected=share(spending.cost.expected),
        high=share(spending.cost.high),
    )
    return replace(
        spending,
        tasks=tasks,
        hold=share(spending.hold),
        cost=cost,
        careful=share(spending.careful),
    )


async def confirm_spending(
    store: TaskStore,
    run: Run,
    above: int,
    confirm: Confirm | None,
    settings: Settings,
    *,
    most: int | None = None,
) -> None:
    """Return if what is pending of *run* may be posted: it takes no more than *above*
    (nano-dollars), costs nothing really, or a person agrees.

    *most*: so many tasks are posted at all.

    Raises:
        RunnerError: what *confirm* raises.
    """
    real = real_gateways(settings)
    if confirm is None or not real:
        return
    status = await store.status(run.id)
    if status.states[State.PENDING] <= status.held:
        return
    spending = await spending_of(store, run, real)
    if most is not None and most < spending.tasks:
        spending = part_of(spending, most)
    if spending.careful > above:
        # In a thread, which is left behind when somebody stops the start instead of answering.
        await to_thread.run_sync(confirm, spending, abandon_on_cancel=True)

"""A person is asked before much real money is held or spent, and nobody else ever."""

from pathlib import Path

import pytest

from runner.app.spending import confirm_spending, real_gateways, spending_of
from runner.app.values import Spending
from runner.cli.asking import Declined
from runner.settings import Settings
from runner.store.sqlite.store import open_store
from runner.task import Endpoint, Gateway, Method, Provider, Target
from tests.store.steps import CLAUDE, RESERVE, Scene, answered, begin, row, rows
from tests.support.clock import ManualClock

THROUGH_AISA = Target(
    name="aisa",
    endpoint=Endpoint(provider=Provider.CLAUDE, method=Method.LIVE, gateway=Gateway.AISA),
    model="claude-sonnet-4-0",
)
HERE = "http://127.0.0.1:8801"
AISA_HERE = f"{HERE}/apis/v1"
AISA_THERE = "https://api.aisa.one/apis/v1"


def settings(api: str, folder: Path, aisa: str | None = None) -> Settings:
    environ = {} if aisa is None else {"AISA_BASE_URL": aisa}
    return Settings.load(environ=environ, flags={"api": api}, workspace=folder)


def refuse(_spending: Spending) -> None:
    raise Declined("no")


async def queued(scene: Scene, tasks: int) -> None:
    await scene.load(rows(*[f"{scene.loads} {n}?" for n in range(tasks)]))


@pytest.mark.parametrize(
    ("api", "aisa", "real"),
    [
        ("live", None, {Gateway.DATAFORSEO, Gateway.AISA}),
        ("live", AISA_HERE, {Gateway.DATAFORSEO}),
        ("https://proxy.example.com", None, {Gateway.DATAFORSEO}),
        ("sim", None, set()),
        ("sim", AISA_THERE, set()),
        ("sandbox", None, set()),
        ("sandbox", AISA_THERE, {Gateway.AISA}),
        (HERE, None, set()),
        ("http://localhost:8801", AISA_HERE, set()),
        (HERE, AISA_THERE, {Gateway.AISA}),
    ],
)
def test_only_what_costs_money_is_asked_about(
    api: str, aisa: str | None, real: set[Gateway], tmp_path: Path
) -> None:
    """A rehearsal that waits for a yes is none; a real bill without one is worse."""
    assert real_gateways(settings(api, tmp_path, aisa)) == real


async def test_a_real_gateway_beside_a_simulated_one_is_asked_about_for_its_own_tasks(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Standard tasks against a simulator cost nothing; those through the real AIsa do."""
    there = settings(HERE, tmp_path, AISA_THERE)
    async with open_store(tmp_path / "runner.db", clock=clock) as store:
        scene = await begin(store, clock, targets=(CLAUDE, THROUGH_AISA))
        await scene.load([row(n, targets=(CLAUDE, THROUGH_AISA)) for n in range(1, 4)])
        await confirm_spending(store, scene.run, 3 * RESERVE, refuse, there)
        with pytest.raises(Declined):
            await confirm_spending(store, scene.run, 3 * RESERVE - 1, refuse, there)
        here = settings(HERE, tmp_path, AISA_HERE)
        await confirm_spending(store, scene.run, 0, refuse, here)


async def test_more_than_the_threshold_is_asked_about_and_no_less(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Exactly at the threshold nobody is bothered."""
    async with open_store(tmp_path / "runner.db", clock=clock) as store:
        scene = await begin(store, clock)
        live = settings("live", tmp_path)
        await confirm_spending(store, scene.run, 0, refuse, live)
        await queued(scene, 4)
        await confirm_spending(store, scene.run, 4 * RESERVE, refuse, live)
        with pytest.raises(Declined):
            await confirm_spending(store, scene.run, 4 * RESERVE - 1, refuse, live)
        # Of four, two are posted.
        await confirm_spending(store, scene.run, 2 * RESERVE, refuse, live, most=2)
        await confirm_spending(store, scene.run, 0, None, live)
        await confirm_spending(store, scene.run, 0, refuse, settings("sim", tmp_path))


async def test_the_expected_cost_counts_where_it_is_more_than_the_hold(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Answers that cost four times their advance are what nobody expects."""
    async with open_store(tmp_path / "runner.db", clock=clock) as store:
        scene = await begin(store, clock)
        await queued(scene, 2)
        await scene.post()
        await scene.book(*(answered(task, 4 * RESERVE) for task in await scene.take()))
        await queued(scene, 3)
        found = await spending_of(store, scene.run)
        assert (found.tasks, found.hold, found.careful) == (3, 3 * RESERVE, 12 * RESERVE)
        assert found.cost is not None
        assert found.cost.expected == 12 * RESERVE

"""What API.md calls unknown, either way round: the books equal the account's bill all the same."""

from pathlib import Path
from typing import Any

import pytest

from runner.lifecycle import State
from runner.pipeline.planner import Trust
from runner.pipeline.ready import ask_list
from runner.simulator.scenario import FailureCharge, PostCost
from runner.store.reconciling import IncidentKind
from runner.task import Provider
from tests.pipeline.scene import HOUR, MINUTE, Scene, lasting
from tests.pipeline.test_audit import after, bill, change, made
from tests.pipeline.test_live import lane_at
from tests.support.clock import ManualClock

TASKS = 20


async def worked_through(scene: Scene, hours: int, **settings: Any) -> None:
    """Ask *TASKS* questions of an account like that, and look after them for some *hours*."""
    change(scene, latency=lasting(MINUTE), **settings)
    await scene.engine.api.user_data()
    await scene.load(TASKS)
    for _ in range(hours):
        while await scene.poster.post_next():
            pass
        await after(scene, HOUR)
        await ask_list(scene.engine, Provider.CLAUDE, Trust())
        await scene.fetch_due()


async def assert_books_equal_the_bill(scene: Scene) -> None:
    await after(scene, 2 * HOUR)
    audit = await made(scene)
    assert audit.agrees, await scene.store.incidents()
    money = (await scene.status()).money
    assert money.charged == bill(scene)
    assert money.reserved == 0
    assert await scene.store.verify() == []
    assert len(scene.created()) == len(scene.account.ledger.tasks)


@pytest.mark.parametrize("post_cost", PostCost)
@pytest.mark.parametrize("get_cost", [False, True])
@pytest.mark.parametrize("listing_final_cost", [False, True])
async def test_what_replies_say_of_costs(
    scene: Scene, post_cost: PostCost, get_cost: bool, listing_final_cost: bool
) -> None:
    """API.md §5: no vendor example of a post's cost could be read, and task_get prints 0."""
    await worked_through(
        scene, 2, post_cost=post_cost, get_cost=get_cost, listing_final_cost=listing_final_cost
    )
    assert await scene.states() == {State.COMPLETED: TASKS}
    await assert_books_equal_the_bill(scene)


@pytest.mark.parametrize("listed", [False, True])
async def test_whether_the_ready_list_shows_failures(scene: Scene, listed: bool) -> None:
    """Not shown, they are found by their age; each failed try came back."""
    await worked_through(
        scene, 12, ready_lists_failures=listed, error_rate=0.5, error_codes=(40103,)
    )
    states = await scene.states()
    assert set(states) <= {State.COMPLETED, State.FAILED}
    assert sum(states.values()) == TASKS
    assert scene.sql("SELECT max(tries) FROM tasks") <= [(3,)]
    await assert_books_equal_the_bill(scene)


@pytest.mark.parametrize(("code", "tries"), [(40103, 3), (40101, 1), (50000, 3)])
async def test_with_which_code_72_hours_end(scene: Scene, code: int, tries: int) -> None:
    """F66: one of them is tried again at once, one never, one after a while; nothing is charged
    for any, and what is at risk is the advances whose return nobody has shown."""
    await worked_through(
        scene,
        300,
        stuck_rate=1.0,
        timeout_code=code,
        failure_charge=FailureCharge.NOTHING,
    )
    assert await scene.states() == {State.FAILED: TASKS}
    assert len(scene.account.ledger.tasks) == tries * TASKS
    incidents = await scene.store.incidents()
    assert {each.kind for each in incidents} <= {IncidentKind.COST_DIFFERS}
    money = (await scene.status()).money
    assert (money.charged, money.reserved) == (bill(scene), 0)


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("final_cost", [False, True])
async def test_whether_the_listing_shows_live_calls(
    tmp_path: Path, clock: ManualClock, listed: bool, final_cost: bool
) -> None:
    """API.md §7: not shown, they are no loss; shown, they are no strangers and not paid twice."""
    async with lane_at(tmp_path, clock, listing_live=listed, listing_final_cost=final_cost) as live:
        scene = live.scene
        await scene.engine.api.user_data()
        await scene.load(5)
        while await live.lane.ask_next():
            pass
        assert await scene.states() == {State.COMPLETED: 5}
        await assert_books_equal_the_bill(scene)

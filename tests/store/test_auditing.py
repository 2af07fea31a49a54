"""What the audit reads of failed tasks, and what it books for them: once, and in every sum."""

from datetime import timedelta

import pytest

from runner.store.amounts import Money
from runner.store.auditing import Expected, FailureCost
from runner.store.reconciling import IncidentKind, NewIncident, Sighting
from runner.store.values import Ceiling, Idle
from runner.task import RemoteId
from tests.store.steps import (
    ADVANCED,
    HOUR,
    MINUTE,
    PRICE,
    RESERVE,
    Scene,
    answered,
    failed,
    numbered,
)

DAY = timedelta(days=1)


async def fail(scene: Scene, *costs: int | None) -> list[Expected]:
    """Tasks that fail; their replies state *costs*."""
    scene.api_time = scene.clock.now()
    await scene.load(numbered(len(costs)))
    await scene.post()
    taken = await scene.take()
    await scene.book(*(failed(task, cost=cost) for task, cost in zip(taken, costs, strict=True)))
    return await expected(scene)


async def expected(scene: Scene) -> list[Expected]:
    end = scene.clock.now()
    found, after = await scene.store.expected(scene.account, end - DAY, end, after=0)
    assert after is None
    return sorted(found, key=lambda task: task.task)


async def failed_tasks(scene: Scene, *, ended_since: timedelta) -> list[Expected]:
    end = scene.clock.now()
    found, after = await scene.store.failed_tasks(
        scene.account, end - 30 * DAY, end, ended_since=end - ended_since, after=0
    )
    assert after is None
    return sorted(found, key=lambda task: task.task)


async def settle(scene: Scene, task: Expected, cost: int, *incidents: NewIncident) -> int:
    costs = [cost_of(task, cost)]
    return await scene.store.settle_failures(costs, incidents, now=scene.clock.now())


def cost_of(task: Expected, cost: int) -> FailureCost:
    return FailureCost(
        task=task.task,
        attempt=task.attempt,
        remote_id=task.remote_id,
        tag=task.tag,
        booked=task.charged,
        cost=cost,
    )


def incident(task: Expected) -> NewIncident:
    return NewIncident(
        kind=IncidentKind.COST_DIFFERS, message="charged", amount=7, remote_id=task.remote_id
    )


async def money(scene: Scene) -> Money:
    assert await scene.store.verify() == []
    found = (await scene.status()).money
    for by in (None, "run", "job", "provider", "model", "day", "account"):
        total, lines = await scene.store.cost(by=by)
        assert total.money == found
        assert all(line.money == found for line in lines)
    return found


@pytest.mark.parametrize(
    ("stated", "cost", "after"),
    [
        (None, 0, Money(refunded=ADVANCED)),
        (None, PRICE, Money(charged=PRICE, refunded=ADVANCED - PRICE)),
        (None, ADVANCED, Money(charged=ADVANCED)),
        (None, ADVANCED + 7, Money(charged=ADVANCED + 7, over_reserve=7)),
        # What had been given back was no longer counted in any budget.
        (0, ADVANCED, Money(charged=ADVANCED, over_reserve=ADVANCED)),
        (ADVANCED, 0, Money(refunded=ADVANCED)),
        (ADVANCED + 7, 0, Money(refunded=ADVANCED)),
    ],
)
async def test_what_a_failure_cost_in_the_end_is_booked_in_every_sum(
    scene: Scene, stated: int | None, cost: int, after: Money
) -> None:
    """F67: advance, charge and refund are those of the bill."""
    (task,) = await fail(scene, stated)
    assert (task.failed, task.charged) == (True, stated)
    await settle(scene, task, cost)
    assert await money(scene) == after + Money(advanced=ADVANCED)
    (task,) = await expected(scene)
    assert task.charged == cost
    total, _ = await scene.store.cost(by=None)
    assert (total.reported, total.computed) == (cost, 0)


async def test_what_was_settled_once_is_not_settled_again(scene: Scene) -> None:
    """Two audits may run at a time; and of what both found, a person is told once."""
    (task,) = await fail(scene, 0)
    assert await settle(scene, task, PRICE, incident(task)) == 1
    assert await settle(scene, task, 2 * PRICE, incident(task)) == 0
    assert (await money(scene)).charged == PRICE
    assert len(await scene.store.incidents()) == 1


async def test_nothing_is_opened_about_what_had_changed_in_the_meantime(scene: Scene) -> None:
    """An incident for something that is not so sends a person looking for nothing."""
    (task,) = await fail(scene, 0)
    await settle(scene, task, PRICE)
    assert await settle(scene, task, ADVANCED, incident(task)) == 0
    assert await scene.store.incidents() == []


async def test_only_failures_are_settled(scene: Scene) -> None:
    """Of an answer the reply says what it cost; a difference there is for a person."""
    scene.api_time = scene.clock.now()
    await scene.load(numbered(2))
    await scene.post()
    first, _ = await scene.take()
    await scene.book(answered(first))
    before = await money(scene)
    tasks = await expected(scene)
    assert [(task.failed, task.charged) for task in tasks] == [(False, PRICE), (False, None)]
    for task in tasks:
        assert await settle(scene, task, 7, incident(task)) == 0
    assert await money(scene) == before


async def test_many_are_settled_in_one_transaction(scene: Scene) -> None:
    """A bad night has thousands of them."""
    tasks = await fail(scene, None, 0, None, 0)
    costs = [cost_of(task, PRICE) for task in tasks]
    told = [incident(task) for task in tasks if task.charged is not None]
    assert await scene.store.settle_failures(costs, told, now=scene.clock.now()) == 2
    after = await money(scene)
    assert (after.charged, after.at_risk, after.over_reserve) == (4 * PRICE, 0, 2 * PRICE)


async def test_what_is_settled_is_free_for_others(scene: Scene) -> None:
    """Budget, day and hold count what is at risk, and it was never to be charged."""
    (task,) = await fail(scene, None)
    await scene.load(numbered(2))
    tight = Ceiling(budget=RESERVE, day=RESERVE, hold=RESERVE)
    assert await scene.intend(ceiling=tight) is Idle.BUDGET
    await settle(scene, task, 0)
    assert not isinstance(await scene.intend(ceiling=tight), Idle)


async def test_failures_are_looked_for_while_their_money_is_at_risk(scene: Scene) -> None:
    """However long ago; and all others for as long as they are news."""
    at_risk, _ = await fail(scene, None, 0)
    assert len(await failed_tasks(scene, ended_since=HOUR)) == 2
    scene.clock.advance(9 * DAY)
    assert await failed_tasks(scene, ended_since=2 * DAY) == [at_risk]
    await settle(scene, at_risk, 0)
    assert await failed_tasks(scene, ended_since=2 * DAY) == []


async def test_a_failed_task_beside_an_attempt_is_settled_like_one(scene: Scene) -> None:
    """Paid twice and failed: the incident tells what it cost in the end."""
    scene.api_time = scene.clock.now()
    await scene.load(numbered(1))
    (task,) = await scene.complete()
    sighting = Sighting(tag=task.tag, remote_id=RemoteId("second"), cost=ADVANCED)
    await scene.store.found([sighting], now=scene.clock.now(), account=scene.account)
    (extra,) = await scene.store.extras_due(1, now=scene.clock.now())
    await scene.store.book_extra("second", failed(extra, cost=None), now=scene.clock.now())
    (double,) = await scene.store.incidents()
    assert double.amount == ADVANCED
    seen = await scene.store.extra_expected(scene.clock.now() - DAY, scene.clock.now())
    assert [(each.failed, each.charged) for each in seen] == [(True, None)]
    await settle(scene, seen[0], 200_000)
    (double,) = await scene.store.incidents()
    assert double.amount == 200_000
    assert await money(scene) == Money(
        advanced=2 * ADVANCED,
        charged=PRICE + 200_000,
        refunded=2 * ADVANCED - PRICE - 200_000,
    )
    scene.clock.advance(MINUTE)
    assert await settle(scene, seen[0], 7) == 0
    assert (await scene.store.incidents())[0].amount == 200_000

"""What answers have cost sets what the next may cost; what a day or a balance allows is kept."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from runner.clock import to_ms
from runner.rows import Batch
from runner.store.values import Balance, Ceiling, Idle
from tests.store.steps import CLAUDE, RESERVE, Scene, accepted, answered, begin, row, rows

DAY = timedelta(days=1)
SEARCH = replace(CLAUDE, name="search", parameters={"web_search": True})


async def answers(scene: Scene, charges: Sequence[int]) -> None:
    """Post, and have answered, a task for each of *charges*."""
    await scene.load(rows(*[f"{scene.loads} {n}?" for n in range(len(charges))]))
    await scene.post(len(charges))
    taken = await scene.take(len(charges))
    assert len(taken) == len(charges)
    await scene.book(*(answered(task, cost) for task, cost in zip(taken, charges, strict=True)))


async def reserve(scene: Scene) -> int:
    (target, *_) = await scene.store.target_history(scene.run.id)
    return target.reserve


def day_of(scene: Scene) -> int:
    return to_ms(scene.clock.now()) // 86_400_000


@pytest.mark.parametrize(
    ("charges", "set_aside"),
    [
        ([RESERVE - 1] * 4, RESERVE),
        ([5 * RESERVE], 5 * RESERVE),
        # Of twenty, the nineteenth: one answer in twenty may cost more.
        ([RESERVE * n for n in range(1, 21)], 19 * RESERVE),
        ([*[RESERVE] * 19, 400 * RESERVE], RESERVE),
    ],
)
async def test_what_dear_answers_cost_is_set_aside_for_the_next(
    scene: Scene, charges: list[int], set_aside: int
) -> None:
    """The advance is no ceiling: with it alone a budget would be passed by every single answer."""
    await answers(scene, charges)
    assert await reserve(scene) == set_aside
    await scene.load(rows("one more?"))
    batch = await scene.post()
    assert (await scene.status()).money.reserved == set_aside
    assert batch.reserve == set_aside


async def test_a_long_first_run_learns_from_its_own_answers(scene: Scene) -> None:
    """Looked up at each intent: a run begun without history must not overspend to its end."""
    await answers(scene, [10 * RESERVE] * 5)
    await scene.load(rows(*[f"more {n}?" for n in range(20)]))
    room = 3 * 10 * RESERVE + 5 * 10 * RESERVE
    batch = await scene.intend(ceiling=Ceiling(budget=room))
    assert isinstance(batch, Batch)
    assert len(batch.attempts) == 3


async def test_searching_and_plain_questions_have_prices_of_their_own(scene: Scene) -> None:
    """A search costs ten times as much; neither must spoil the estimate of the other."""
    await answers(scene, [7 * RESERVE] * 3)
    other = await begin(scene.store, scene.clock, targets=(SEARCH,), job="other")
    (target,) = await other.store.target_history(other.run.id)
    assert (target.answers, target.charges, target.reserve) == (0, (), RESERVE)


async def test_the_history_is_of_all_runs_of_the_store_but_bounded(scene: Scene) -> None:
    """An estimate takes the same time after a million answers: the last thousand count."""
    await answers(scene, [9 * RESERVE] * 60)
    for _ in range(10):
        await answers(scene, [RESERVE] * 100)
    other = await begin(scene.store, scene.clock, job="other")
    (target,) = await other.store.target_history(other.run.id)
    assert (target.answers, len(target.charges)) == (1060, 1000)
    assert set(target.charges) == {RESERVE}


async def test_a_daily_budget_bounds_all_runs_of_the_job_and_ends_with_the_day(
    scene: Scene,
) -> None:
    """Nightly runs and reruns of one job together: what it is for."""
    ceiling = Ceiling(day=3 * RESERVE)
    await scene.load(rows("a?", "b?"))
    await scene.post()
    second = await begin(scene.store, scene.clock, key="again")
    await second.load(rows("c?", "d?", "e?"))
    batch = await second.intend(ceiling=ceiling)
    assert isinstance(batch, Batch)
    assert len(batch.attempts) == 1
    assert await second.intend(ceiling=ceiling) is Idle.DAY
    assert await scene.store.spent_on("sky", day_of(scene)) == 3 * RESERVE
    another_job = await begin(scene.store, scene.clock, job="other")
    await another_job.load(rows("f?"))
    assert isinstance(await another_job.intend(ceiling=ceiling), Batch)
    scene.clock.advance(DAY)
    assert isinstance(await second.intend(ceiling=ceiling), Batch)


async def test_a_late_answer_counts_for_the_day_on_which_it_was_asked_for(scene: Scene) -> None:
    """Else yesterday's answers would eat today's budget before anything is posted."""
    asked_on = day_of(scene)
    await scene.load(rows("a?"))
    await scene.post()
    scene.clock.advance(DAY)
    (task,) = await scene.take()
    await scene.book(answered(task, 4 * RESERVE))
    assert await scene.store.spent_on("sky", asked_on) == 4 * RESERVE
    assert await scene.store.spent_on("sky", asked_on + 1) == 0


async def test_the_balance_is_left_above_its_floor_though_all_that_is_out_costs_its_reserve(
    scene: Scene,
) -> None:
    """What was posted since the balance was asked for is taken off it, and once only."""
    await scene.load(rows(*[f"{n}?" for n in range(10)]))
    await scene.post(2)
    books = await scene.store.spent()
    assert (books.charged, books.held, books.newest_batch) == (0, 2 * RESERVE, 1)
    # Stated after two advances had gone: with them there were 5 reserves above the floor.
    balance = Balance(
        stated=100 + 3 * RESERVE,
        charged=books.charged,
        newest_batch=books.newest_batch,
        beside=books.beside,
    )
    ceiling = Ceiling(floor=100, balance=balance)
    batch = await scene.intend(ceiling=ceiling)
    assert isinstance(batch, Batch)
    assert len(batch.attempts) == 3
    assert await scene.intend(ceiling=ceiling) is Idle.BALANCE


def stating(balance: int | None) -> Balance:
    """The balance of an account that was never used before."""
    return Balance(stated=balance, charged=0, newest_batch=0, beside=0)


async def test_what_ended_before_the_balance_was_stated_frees_nothing_twice(scene: Scene) -> None:
    """Its advance had come back, and stands in the balance already."""
    await scene.load(rows(*[f"{n}?" for n in range(10)]))
    await scene.post(4)
    books = await scene.store.spent()
    # All four had ended, unfetched, and cost half a reserve each.
    balance = Balance(
        stated=3 * RESERVE,
        charged=books.charged,
        newest_batch=books.newest_batch,
        beside=books.beside,
    )
    ceiling = Ceiling(floor=0, balance=balance)
    await scene.book(*(answered(task, RESERVE // 2) for task in await scene.take()))
    batch = await scene.intend(ceiling=ceiling)
    assert isinstance(batch, Batch)
    # Nobody knows that they had ended: their cost is taken off once more, until it is asked anew.
    assert len(batch.attempts) == 1
    assert await scene.intend(ceiling=ceiling) is Idle.BALANCE


async def test_answers_cheaper_than_their_reserve_give_the_balance_back(scene: Scene) -> None:
    """A floor must not strand the rest of a run whose money has come back."""
    await scene.load(rows(*[f"{n}?" for n in range(10)]))
    ceiling = Ceiling(floor=0, balance=stating(4 * RESERVE))
    batch = await scene.intend(ceiling=ceiling)
    assert isinstance(batch, Batch)
    assert len(batch.attempts) == 4
    assert await scene.intend(ceiling=ceiling) is Idle.BALANCE
    await scene.settle(batch, accepted)
    await scene.book(*(answered(task, RESERVE // 2) for task in await scene.take()))
    batch = await scene.intend(ceiling=ceiling)
    assert isinstance(batch, Batch)
    assert len(batch.attempts) == 2


@pytest.mark.parametrize("balance", [None, stating(None)])
async def test_nothing_is_posted_above_a_floor_that_nobody_can_measure(
    scene: Scene, balance: Balance | None
) -> None:
    """The promise is about the account's money: not knowing it is no leave to spend it."""
    await scene.load(rows("a?"))
    assert await scene.intend(ceiling=Ceiling(floor=1, balance=balance)) is Idle.BALANCE


async def test_what_the_command_line_said_of_money_is_kept_with_the_run(scene: Scene) -> None:
    """`submit` and `work` come later, and nobody tells them again."""
    await scene.store.remember_limits(scene.run.id, 5, None)
    (run,) = await scene.store.runs()
    assert (run.given_budget, run.given_hold) == (5, None)
    await scene.store.remember_limits(scene.run.id, None, None)
    (run,) = await scene.store.runs()
    assert run.given_budget is None


async def test_the_first_requests_are_of_different_rows(scene: Scene) -> None:
    """Three samples of one row would show a person nothing of the other rows."""
    both = await begin(scene.store, scene.clock, targets=(CLAUDE, SEARCH), job="both")
    await both.load([row(n, f"{n}?", targets=both.targets) for n in (1, 2, 3)])
    found = await both.store.first_requests(both.run.id, 2)
    assert [each.prompt for each in found] == ["1?", "2?"]

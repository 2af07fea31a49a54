"""What was paid beside the attempts: kept, booked once, and in every sum."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from runner.lifecycle import Reason, State
from runner.money import Evidence
from runner.store.auditing import Audit
from runner.store.control import Keep
from runner.store.endings import Answered, Posted
from runner.store.reconciling import IncidentKind, Sighting
from runner.store.values import Ceiling, Idle
from runner.task import RemoteId, Tag
from tests.store import steps
from tests.store.steps import ADVANCED, PRICE, Scene
from tests.support.clock import ManualClock

DAY = timedelta(days=1)


async def seen_twice(scene: Scene) -> Posted:
    """A completed task of which the account has a second one; that second one, to be asked for."""
    (task,) = await complete(scene)
    sighting = Sighting(tag=task.tag, remote_id=RemoteId("second"), cost=10_000_000)
    assert (await scene.store.found([sighting], now=scene.clock.now())).incidents == 1
    (extra,) = await scene.store.extras_due(10, now=scene.clock.now())
    return extra


async def complete(scene: Scene) -> list[Posted]:
    await scene.load(steps.numbered(1))
    return await scene.complete()


async def test_a_second_task_is_asked_for_under_its_own_id(scene: Scene) -> None:
    """Its answer is paid for; under the first id the first answer would come again."""
    extra = await seen_twice(scene)
    assert extra.remote_id == "second"
    assert extra.allowed_tries == 1


async def test_its_advance_is_held_at_once_and_its_cost_is_in_all_sums(scene: Scene) -> None:
    """Bill and `cost` are equal only if what was paid twice counts twice."""
    extra = await seen_twice(scene)
    before = (await scene.status()).money
    assert (before.charged, before.reserved) == (PRICE, steps.RESERVE)
    await scene.store.book_extra("second", steps.answered(extra, 5_000_000), now=scene.clock.now())
    after = (await scene.status()).money
    assert after.charged == PRICE + 5_000_000
    assert after.advanced == ADVANCED + 10_000_000
    assert after.refunded == ADVANCED - PRICE + 5_000_000
    assert (after.reserved, after.at_risk) == (0, 0)
    for by in (None, "run", "job", "provider", "model", "day"):
        total, lines = await scene.store.cost(by=by)
        assert total.money == after
        assert (total.tasks, total.completed) == (1, 1)
        assert all(line.money == after for line in lines)
    (line,) = await scene.lines()
    assert line.values["cost_nanousd"] == after.charged
    assert await scene.store.verify() == []


async def test_the_incident_tells_the_real_cost_once_it_is_known(scene: Scene) -> None:
    """An advance is no cost: what a person claims back has to be the amount itself."""
    extra = await seen_twice(scene)
    (incident,) = await scene.store.incidents()
    assert (incident.kind, incident.amount) == (IncidentKind.DOUBLE_CHARGE, 10_000_000)
    await scene.store.book_extra("second", steps.answered(extra, 47_000_000), now=scene.clock.now())
    (incident,) = await scene.store.incidents()
    assert incident.amount == 47_000_000
    assert (await scene.status()).money.over_reserve == 47_000_000 - steps.RESERVE


async def test_its_answer_is_kept_and_the_first_one_stays(scene: Scene, path: Path) -> None:
    """Both were paid for."""
    extra = await seen_twice(scene)
    answer = steps.answered(extra, reply=b"the second")
    await scene.store.book_extra("second", answer, now=scene.clock.now())
    assert await scene.store.reply(extra.task, 1) == b"the reply"
    with closing(sqlite3.connect(path)) as db:
        ((raw,),) = db.execute("SELECT raw FROM extra_replies").fetchall()
    assert raw == b"the second"


async def test_what_was_booked_is_booked_once(scene: Scene) -> None:
    """Two processes may ask at the same time, and every later listing shows the task again."""
    extra = await seen_twice(scene)
    for _ in range(2):
        await scene.store.book_extra("second", steps.answered(extra), now=scene.clock.now())
        sighting = Sighting(tag=extra.tag, remote_id=RemoteId("second"), cost=1)
        assert (await scene.store.found([sighting], now=scene.clock.now())).incidents == 0
    assert (await scene.status()).money.charged == 2 * PRICE
    assert await scene.store.extras_due(10, now=scene.clock.now() + DAY) == []
    assert await scene.store.strange([sighting]) == ([], [])


async def test_one_that_still_runs_is_asked_for_later(scene: Scene) -> None:
    """It may take 72 hours like any other."""
    extra = await seen_twice(scene)
    later = scene.clock.now() + DAY
    await scene.store.book_extra("second", steps.still_running(extra, later), now=scene.clock.now())
    assert await scene.store.extras_due(10, now=scene.clock.now()) == []
    scene.clock.advance(DAY)
    (again,) = await scene.store.extras_due(10, now=later)
    assert again.polls == 1


@pytest.mark.parametrize(
    ("cost", "charged", "at_risk"), [(0, 0, 0), (200_000, 200_000, 0), (None, 0, 10_000_000)]
)
async def test_one_that_failed_is_booked_like_any_failure(
    scene: Scene, cost: int | None, charged: int, at_risk: int
) -> None:
    """A cost of 0 shows the refund; silence about it leaves the advance at risk."""
    extra = await seen_twice(scene)
    failed = steps.failed(extra, cost=cost, reason=Reason.TIMED_OUT)
    await scene.store.book_extra("second", failed, now=scene.clock.now())
    money = (await scene.status()).money
    assert (money.charged - PRICE, money.at_risk) == (charged, at_risk)
    assert (await scene.store.incidents())[0].amount == charged + at_risk
    assert await scene.states() == {State.COMPLETED: 1}
    assert await scene.store.verify() == []


async def test_one_whose_answer_is_gone_cost_its_advance(scene: Scene) -> None:
    """What it really cost was never read."""
    extra = await seen_twice(scene)
    await scene.store.book_extra("second", steps.gone(extra), now=scene.clock.now())
    assert (await scene.status()).money.charged == PRICE + 10_000_000


async def test_a_late_arrival_of_an_attempt_taken_for_absent_is_paid_beside_the_next(
    scene: Scene,
) -> None:
    """The next attempt is under way: both will be charged, and both must show."""
    await scene.load(steps.numbered(1))
    batch = await scene.post(how=steps.lost)
    (first,) = batch.attempts
    now = scene.clock.now()
    assert await scene.store.prove_absent([(first.task, first.number)], now=now) == 1
    await scene.post()
    late = Sighting(tag=first.tag, remote_id=RemoteId("late"), cost=10_000_000)
    assert (await scene.store.found([late], now=now)).incidents == 1
    assert await scene.states() == {State.POSTED: 1}
    (extra,) = await scene.store.extras_due(10, now=now)
    assert (extra.remote_id, extra.attempt) == ("late", 1)
    await scene.store.book_extra("late", steps.answered(extra), now=now)
    await scene.book(*map(steps.answered, await scene.take()))
    assert (await scene.status()).money.charged == 2 * PRICE
    assert await scene.store.verify() == []


async def test_an_id_that_is_booked_both_ways_is_a_breach(scene: Scene, path: Path) -> None:
    """It would count twice in every sum, and the account was charged once."""
    await seen_twice(scene)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE attempts SET remote_id = 'second'")
        db.commit()
    assert "extras" in {breach.check for breach in await scene.store.verify()}


async def test_a_budget_counts_what_was_paid_twice(scene: Scene) -> None:
    """A budget is about the bill, not about the tasks."""
    extra = await seen_twice(scene)
    await scene.store.book_extra("second", steps.answered(extra, 90_000_000), now=scene.clock.now())
    await scene.load([steps.row(2)])
    tight = Ceiling(budget=90_000_000 + PRICE)
    assert await scene.intend(ceiling=tight) is Idle.BUDGET


async def test_a_prune_leaves_whole_what_an_open_incident_is_about(scene: Scene) -> None:
    """A person has yet to look at both answers; after that they go like all others."""
    extra = await seen_twice(scene)
    answer: Answered = structs.replace(steps.answered(extra), evidence=Evidence.REPORTED)
    await scene.store.book_extra("second", answer, now=scene.clock.now())
    before = (await scene.status()).money
    gone = await scene.store.prune(scene.run.id, keep=Keep.COSTS, now=scene.clock.now())
    assert (gone.answers, (await scene.lines())[0].values["answer"]) == (0, steps.ANSWER.text)
    (incident,) = await scene.store.incidents()
    await scene.store.close_incident(incident.id, now=scene.clock.now())
    gone = await scene.store.prune(scene.run.id, keep=Keep.COSTS, now=scene.clock.now())
    assert (gone.answers, (await scene.lines())[0].values["answer"]) == (1, None)
    assert (await scene.status()).money == before
    assert await scene.store.verify() == []


async def test_an_audit_is_remembered(scene: Scene, clock: ManualClock) -> None:
    """Cron starts it every hour, and once a day is enough."""
    assert await scene.store.last_audit(scene.account) is None
    made = Audit(start=clock.now() - DAY, end=clock.now(), whole=True, listed=3, compared=2)
    await scene.store.note_audit(scene.account, made, now=clock.now())
    assert await scene.store.last_audit(scene.account) == made


async def test_many_differences_of_one_kind_are_one_incident(scene: Scene) -> None:
    """If the listing never tells final costs, thousands of lines would bury the rest."""
    store, now = scene.store, scene.clock.now()
    assert await store.sum_up(IncidentKind.COST_DIFFERS, "11 tasks", amount=5, now=now)
    assert not await store.sum_up(IncidentKind.COST_DIFFERS, "12 tasks", amount=6, now=now)
    (incident,) = await store.incidents()
    assert (incident.message, incident.amount) == ("12 tasks", 6)
    await store.close_incident(incident.id, now=now)
    assert await store.sum_up(IncidentKind.COST_DIFFERS, "13 tasks", amount=7, now=now)


async def test_what_is_seen_is_sorted_by_whose_it_is(scene: Scene) -> None:
    """An unknown id under our tag is strange; another install's tag is counted, and no incident."""
    (task,) = await complete(scene)
    ours = Sighting(tag=task.tag, remote_id=task.remote_id)
    other = replace(ours, remote_id=RemoteId("other"))
    tag = Tag.parse(task.tag)
    assert tag is not None
    foreign = replace(ours, tag=str(Tag("aaaaaaaa", tag.run, tag.task, tag.digest, tag.attempt)))
    assert await scene.store.strange([ours, other, foreign]) == ([other], [foreign])

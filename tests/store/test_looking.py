"""What people look at adds up: counts, costs and every line of a run."""

import json

import pytest
from msgspec import structs

from runner.lifecycle import State
from runner.money import Evidence
from runner.store.amounts import Money
from runner.store.protocol import TaskStore
from runner.store.sqlite.looking_verbs import EXPORT_PAGE
from runner.store.values import CostLine, Decision
from tests.store.steps import (
    ADVANCED,
    ANSWER,
    CLAUDE,
    GEMINI,
    HOUR,
    PRICE,
    RESERVE,
    OpenStore,
    Scene,
    answered,
    begin,
    failed,
    lost,
    numbered,
    refused,
    row,
    rows,
)
from tests.support.clock import ManualClock


def total_of(lines: list[CostLine]) -> Money:
    return sum((line.money for line in lines), Money())


async def busy(store: TaskStore, clock: ManualClock) -> list[Scene]:
    """Three runs of two jobs on two targets and two days, with money in every column."""
    scenes = []
    for job, fresh in (("sky", 0), ("sky", 1), ("sea", 0)):
        scene = await begin(store, clock, job=job, fresh=fresh, targets=[CLAUDE, GEMINI])
        await scene.load([row(n, targets=[CLAUDE, GEMINI]) for n in range(1, 5)])
        await scene.post(2)
        await scene.post(1, how=lost)
        await scene.post(1, how=refused)
        await scene.post(3)
        (first, second, third, *_) = await scene.take(4)
        await scene.book(
            answered(first),
            failed(second, cost=None),
            failed(third, cost=PRICE, again_at=clock.now() + 22 * HOUR),
        )
        scenes.append(scene)
    clock.advance(22 * HOUR)
    await scenes[0].complete(1)
    return scenes


@pytest.mark.parametrize("by", ["run", "job", "provider", "model", "day"])
async def test_costs_add_up_however_they_are_grouped(
    store: TaskStore, clock: ManualClock, by: str
) -> None:
    """Every cent accounted for: the groups are the total, and the total is the runs'."""
    scenes = await busy(store, clock)
    total, lines = await store.cost(by=by)
    assert len(lines) == {"run": 3}.get(by, 2)
    assert total_of(lines) == total.money
    statuses = [await scene.status() for scene in scenes]
    assert sum((status.money for status in statuses), Money()) == total.money
    assert 0 not in (total.money.reserved, total.money.at_risk, total.money.charged)
    assert (await store.cost(by=None)) == (total, [])
    for scene, status in zip(scenes, statuses, strict=True):
        line, parts = await store.cost(by=by, run=scene.run.id)
        assert line.money == status.money == total_of(parts)


async def test_cost_lines_are_named_as_people_name_them(
    store: TaskStore, clock: ManualClock
) -> None:
    """`runner cost --by` is read by people and by scripts."""
    await busy(store, clock)
    keys = {}
    for by in ("run", "job", "provider", "model", "day"):
        _, lines = await store.cost(by=by)
        keys[by] = {line.key for line in lines}
    assert keys == {
        "run": {"sky", "sky~1", "sea"},
        "job": {"sky", "sea"},
        "provider": {"claude", "gemini"},
        "model": {"claude-sonnet-4-0", "gemini-2.5-flash"},
        "day": {"2026-11-21", "2026-11-22"},
    }


async def test_a_task_is_counted_once_however_often_it_was_asked(scene: Scene) -> None:
    """The cost of an answer is what is spent over what came of it."""
    await scene.load([row(1, key="k")])
    await scene.complete()
    scene.clock.advance(24 * HOUR)
    await scene.load([row(1, key="k", temperature=0.5)])
    await scene.store.decide_changes(scene.run.id, Decision.ASK, now=scene.clock.now())
    await scene.complete()
    total, days = await scene.store.cost(by="day")
    assert (total.tasks, total.completed, total.money.charged) == (1, 1, 2 * PRICE)
    assert [(day.tasks, day.money.charged) for day in days] == [(1, PRICE), (1, PRICE)]


async def test_costs_that_the_api_stated_are_told_apart_from_those_we_reckoned(
    scene: Scene,
) -> None:
    """An invoice is held against the first; the second are right only if our reading is."""
    await scene.load(numbered(3))
    await scene.post()
    stated, reckoned, dear = await scene.take()
    await scene.book(
        structs.replace(answered(stated, PRICE), evidence=Evidence.REPORTED),
        answered(reckoned, 2 * PRICE),
        answered(dear, 5 * RESERVE),
    )
    total, lines = await scene.store.cost(by="provider")
    for line in (total, *lines):
        assert (line.reported, line.computed) == (PRICE, 2 * PRICE + 5 * RESERVE)
        assert line.money.over_reserve == 4 * RESERVE
    twice = total + total
    assert (twice.reported, twice.tasks) == (2 * PRICE, 6)


async def test_cost_by_model_keeps_to_the_model_that_was_asked(
    store: TaskStore, clock: ManualClock
) -> None:
    """A job that moves to a newer model must not rewrite what the old one cost."""
    scene = await begin(store, clock)
    await scene.load([row(1, key="a"), row(2, key="b", model_name="claude-opus-4-0")])
    await scene.complete()
    _, lines = await store.cost(by="model")
    assert {line.key: line.tasks for line in lines} == {
        "claude-sonnet-4-0": 1,
        "claude-opus-4-0": 1,
    }
    assert {line.values["model"] for line in await scene.lines()} == {line.key for line in lines}


async def test_a_store_without_runs_costs_nothing(store: TaskStore) -> None:
    """The first command a person tries may be `runner cost`."""
    assert await store.cost(by="run") == (
        CostLine(key="total", money=Money(), tasks=0, completed=0),
        [],
    )
    assert await store.runs() == []
    assert await store.oldest_uncollected() is None


async def test_status_tells_where_every_task_is(scene: Scene) -> None:
    """Nothing lost: the states sum to the tasks, the tasks are the rows."""
    await scene.load(numbered(5))
    await scene.post(1, how=lost)
    await scene.post(1, how=refused)
    await scene.complete(1)
    await scene.post(1)
    status = await scene.status()
    assert (status.rows, status.duplicates, status.rejected, status.tasks) == (5, 0, 0, 5)
    assert set(status.states) == set(State)
    assert status.states[State.PENDING] == 1
    assert status.reasons == {
        (State.PENDING, ""): 1,
        (State.POSTED, ""): 1,
        (State.COMPLETED, ""): 1,
        (State.FAILED, "refused"): 1,
        (State.UNKNOWN, ""): 1,
    }


async def test_rejected_rows_are_counted(scene: Scene) -> None:
    """`--skip-bad` leaves rows out: they are failures of the run, not silence."""
    load = await scene.begin_load("one")
    assert load is not None
    await scene.store.add_rows(load, numbered(2), now=scene.clock.now())
    assert (await scene.status()).rows == 0
    await scene.store.end_load(load, rejected=3, now=scene.clock.now())
    assert ((await scene.status()).rows, (await scene.status()).rejected) == (2, 3)


# --- exports --------------------------------------------------------------------------------------


async def test_an_export_line_holds_the_whole_answer(scene: Scene) -> None:
    """It is what all of this is for."""
    await scene.load([row(1, "why is the sky blue? 🌍")])
    ((task),) = await scene.complete()
    (line,) = await scene.lines()
    assert (line.position, json.loads(line.cells)) == (1, {"prompt": "why is the sky blue? 🌍"})
    assert line.duplicate_of is None
    assert dict(line.values) == {
        "run_id": scene.run.id,
        "task_id": task.task,
        "target": "claude",
        "provider": "claude",
        "model": "claude-sonnet-4-0",
        "sample": 1,
        "turn": 1,
        "state": "completed",
        "reason": None,
        "error_code": None,
        "error_message": None,
        "attempts": 1,
        "prompt": "why is the sky blue? 🌍",
        "answer": ANSWER.text,
        "reasoning": ANSWER.reasoning,
        "model_name": ANSWER.model_name,
        "input_tokens": 12,
        "output_tokens": 345,
        "reasoning_tokens": 6,
        "web_search": 1,
        "fan_out_queries": '["why is the sky blue", "Rayleigh"]',
        "citation_urls": '["https://example.org/b","https://example.org/a"]',
        "money_spent_nanousd": ANSWER.money_spent_nanousd,
        "cost_nanousd": PRICE,
        "cost_evidence": "computed",
        "remote_id": task.remote_id,
        "tag": task.tag,
        "posted_at": "2026-11-21T02:15:00Z",
        "answered_at": "2026-11-21T03:00:00Z",
        "received_at": "2026-11-21T02:17:00Z",
    }


async def test_failures_are_in_the_export_with_their_reason(scene: Scene) -> None:
    """A row that is missing from the export looks as if it had never been asked."""
    await scene.load(numbered(2))
    await scene.post(1, how=refused)
    refused_line, pending_line = (line.values for line in await scene.lines())
    assert (refused_line["state"], refused_line["reason"]) == ("failed", "refused")
    assert (refused_line["error_code"], refused_line["cost_nanousd"]) == (40501, 0)
    assert refused_line["error_message"] == "Invalid Field: 'user_prompt'."
    assert (pending_line["state"], pending_line["attempts"]) == ("pending", 0)
    assert pending_line["citation_urls"] is None


async def test_the_cost_of_a_line_is_that_of_all_its_attempts(scene: Scene) -> None:
    """The lines of an export sum to what was charged, retries included."""
    await scene.load([row(1, key="k")])
    await scene.post()
    (task,) = await scene.take()
    await scene.book(failed(task, cost=PRICE, again_at=scene.clock.now()))
    await scene.complete()
    (line,) = await scene.lines()
    assert line.values["cost_nanousd"] == (await scene.status()).money.charged == 2 * PRICE


async def test_an_answer_to_the_old_request_is_not_shown_for_the_edited_one(scene: Scene) -> None:
    """It would look as if the edit had been asked already."""
    await scene.load([row(1, "old", key="k")])
    await scene.complete()
    await scene.load([row(1, "new", key="k")])
    (line,) = await scene.lines()
    assert (line.values["prompt"], line.values["answer"]) == ("old", ANSWER.text)
    await scene.store.decide_changes(scene.run.id, Decision.ASK, now=scene.clock.now())
    (line,) = await scene.lines()
    assert (line.values["prompt"], line.values["answer"]) == ("new", None)
    assert line.values["cost_nanousd"] == PRICE


async def test_duplicate_rows_repeat_the_one_answer(scene: Scene) -> None:
    """An export joins to its input line by line."""
    await scene.load([row(1, "a"), row(2, "b"), row(3, "a")])
    await scene.complete()
    lines = await scene.lines()
    assert [(line.position, line.duplicate_of) for line in lines] == [(1, None), (2, None), (3, 1)]
    assert lines[2].values == lines[0].values


async def test_lines_of_a_row_stand_together_in_the_order_of_targets_and_samples(
    store: TaskStore, clock: ManualClock
) -> None:
    """The same input gives the same file, whatever came first."""
    scene = await begin(store, clock, targets=[CLAUDE, GEMINI])
    await scene.load([row(n, targets=[GEMINI, CLAUDE], samples=2) for n in (1, 2)])
    assert [
        (line.position, line.values["target"], line.values["sample"])
        for line in await scene.lines()
    ] == [
        (n, target, sample) for n in (1, 2) for target in ("claude", "gemini") for sample in (1, 2)
    ]


async def test_a_long_run_is_exported_page_by_page(scene: Scene) -> None:
    """Memory does not grow with the run, and no row falls between two pages."""
    await scene.load(numbered(1_234))
    pages = [page async for page in scene.store.export(scene.run.id)]
    assert max(map(len, pages)) <= EXPORT_PAGE
    assert [line.position for page in pages for line in page] == list(range(1, 1_235))


async def test_a_row_with_many_samples_is_exported_whole(scene: Scene) -> None:
    """200 rows times 175 samples are more tasks than a statement may have parameters."""
    await scene.load([row(n, samples=175) for n in range(1, EXPORT_PAGE + 1)])
    assert len(await scene.lines()) == 175 * EXPORT_PAGE > 32_766


async def test_an_export_is_of_one_moment(open_store: OpenStore, scene: Scene) -> None:
    """A load in another process moves lines while they are read: each is told exactly once."""
    await scene.load(numbered(1_200))
    told = []
    async with open_store() as elsewhere:
        async for page in elsewhere.export(scene.run.id):
            told += [line.position for line in page]
            if len(told) == EXPORT_PAGE:
                await scene.load(rows(*(f"question {n}" for n in range(1_200, 0, -1))))
    assert told == list(range(1, 1_201))
    assert (await scene.prompts())[0] == "question 1200"


async def test_an_export_that_is_broken_off_leaves_the_store_usable(scene: Scene) -> None:
    """The disk for the export is full, the pipe is closed: the run goes on."""
    await scene.load(numbered(1_200))
    export = scene.store.export(scene.run.id)
    async for page in export:
        assert len(page) == EXPORT_PAGE
        break
    await scene.complete()
    assert (await scene.status()).money == Money(
        advanced=100 * ADVANCED, charged=100 * PRICE, refunded=100 * (ADVANCED - PRICE)
    )
    assert RESERVE == ADVANCED

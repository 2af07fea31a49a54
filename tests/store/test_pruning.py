"""Old texts go for good; money, counts and everything that is not over stay to the nano-dollar."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from runner.lifecycle import State
from runner.store.control import Keep, Pruned
from runner.store.protocol import TaskStore
from runner.store.sqlite import pruning
from runner.store.values import CostLine, RetryFilter, RunStatus
from tests.store.steps import (
    CLAUDE,
    GEMINI,
    HOUR,
    PRICE,
    Scene,
    answered,
    begin,
    failed,
    gone,
    lost,
    numbered,
    refused,
    row,
)
from tests.support.clock import ManualClock

TEXTS = ("payloads", "results", "citations", "replies")


def left(path: Path) -> dict[str, int]:
    """Rows in the tables of texts, and input lines that have cells."""
    with closing(sqlite3.connect(path)) as db:
        counts = {table: _count(db, f"SELECT count(*) FROM {table}") for table in TEXTS}
        cells = _count(db, "SELECT count(*) FROM input_rows WHERE cells <> '{}'")
        return counts | {"cells": cells}


def _count(db: sqlite3.Connection, sql: str) -> int:
    return int(db.execute(sql).fetchone()[0])


async def prune(scene: Scene, keep: Keep = Keep.COSTS) -> Pruned:
    return await scene.store.prune(scene.run.id, keep=keep, now=scene.clock.now())


async def over(scene: Scene, count: int = 3) -> None:
    """A run of *count* tasks, all answered."""
    await scene.load(numbered(count))
    await scene.complete()


Sums = tuple[RunStatus, list[tuple[CostLine, list[CostLine]]]]


async def sums(scene: Scene) -> Sums:
    """Every count and amount that anybody is shown."""
    status = await scene.status()
    costs = [
        await scene.store.cost(by=by) for by in ("run", "job", "provider", "model", "day", None)
    ]
    return status, costs


async def test_texts_go_and_no_sum_changes(path: Path, scene: Scene) -> None:
    """A year of answers may go; the books for the tax office may not (issue 3)."""
    await over(scene)
    status, costs = await sums(scene)
    size = await scene.store.prune_size(scene.run.id, keep=Keep.COSTS)
    moment = scene.clock.now()
    assert await prune(scene) == size
    assert (size.answers, size.replies) == (3, 3)
    assert left(path) == dict.fromkeys((*TEXTS, "cells"), 0)
    after, costs_after = await sums(scene)
    assert costs_after == costs
    assert after.run.pruned_at == moment
    assert (after.states, after.money, after.rows) == (status.states, status.money, status.rows)


async def test_what_is_freed_is_what_the_texts_held(path: Path, scene: Scene) -> None:
    """The figure is what a person decides by."""
    await scene.load([row(1, "ünï")])
    await scene.post()
    (task,) = await scene.take()
    await scene.book(answered(task, reply=b"r" * 1_000))
    with closing(sqlite3.connect(path)) as db:
        held = sum(
            len(value.encode() if isinstance(value, str) else value)
            for sql in (
                "SELECT body FROM payloads",
                "SELECT answer FROM results",
                "SELECT reasoning FROM results",
                "SELECT fan_out_queries FROM results",
                "SELECT url FROM citations",
                "SELECT title FROM citations",
                "SELECT extra FROM citations",
                "SELECT raw FROM replies",
                "SELECT cells FROM input_rows",
            )
            for (value,) in db.execute(sql)
            if value is not None
        )
    assert (await prune(scene)).bytes == held


async def test_every_line_of_a_pruned_run_is_in_its_export_and_says_so(scene: Scene) -> None:
    """Nothing lost: a line without its answer still has its state, cost and id."""
    await over(scene, 2)
    before = await scene.lines()
    await prune(scene)
    after = await scene.lines()
    gone_columns = {
        "prompt",
        "answer",
        "reasoning",
        "model_name",
        "input_tokens",
        "output_tokens",
        "reasoning_tokens",
        "web_search",
        "fan_out_queries",
        "citation_urls",
        "money_spent_nanousd",
        "answered_at",
        "received_at",
    }
    for old, new in zip(before, after, strict=True):
        assert new.cells == "{}"
        assert {name for name, value in new.values.items() if value is None} >= gone_columns
        assert new.values["reason"] == "pruned"
        same = old.values.keys() - gone_columns - {"reason"}
        assert {n: new.values[n] for n in same} == {n: old.values[n] for n in same}


async def test_keeping_answers_takes_the_raw_replies_alone(path: Path, scene: Scene) -> None:
    """They are the bulk, and needed only to parse anew."""
    await over(scene)
    before, lines = left(path), await scene.lines()
    freed = await prune(scene, Keep.ANSWERS)
    assert (freed.answers, freed.replies, freed.bytes) == (0, 3, 3 * len(b"the reply"))
    assert left(path) == before | {"replies": 0}
    assert await scene.lines() == lines
    assert (await scene.status()).run.pruned_at is None


async def test_what_is_not_over_is_left_whole(path: Path, scene: Scene) -> None:
    """Posted, in doubt, pending, quarantined, edited: each still needs its prompt."""
    await scene.load(numbered(7))
    await scene.post(1, how=lost)
    await scene.post(1, how=refused)
    await scene.post(3)
    done, failing, lost_for_ever = await scene.take()
    await scene.book(answered(done), failed(failing, cost=0), gone(lost_for_ever))
    await scene.post(1)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE tasks SET state = 'quarantined' WHERE state = 'unknown'")
    await prune(scene)
    assert await scene.states() == {
        State.QUARANTINED: 1,
        State.FAILED: 2,
        State.COMPLETED: 1,
        State.EXPIRED: 1,
        State.POSTED: 1,
        State.PENDING: 1,
    }
    with closing(sqlite3.connect(path)) as db:
        kept = db.execute(
            """
            SELECT t.state, i.cells <> '{}' FROM tasks t JOIN payloads p ON p.task_id = t.id
              JOIN input_rows i ON i.row_id = t.row_id
            """
        ).fetchall()
    assert sorted(kept) == [("pending", 1), ("posted", 1), ("quarantined", 1)]


async def test_an_edit_to_be_decided_keeps_its_task_and_its_row(path: Path, scene: Scene) -> None:
    """`--changed ask` may still be said."""
    await scene.load([row(1, "a", key="k", temperature=0.1)])
    await scene.complete()
    await scene.load([row(1, "a", key="k", temperature=0.9)])
    before = left(path)
    assert await prune(scene) == Pruned()
    assert left(path) == before
    assert (await scene.status()).run.pruned_at is None


async def test_the_cells_of_a_row_stay_while_one_of_its_tasks_does(
    path: Path, store: TaskStore, clock: ManualClock
) -> None:
    """They serve all targets of the row."""
    scene = await begin(store, clock, targets=(CLAUDE, GEMINI))
    await scene.load([row(1, targets=(CLAUDE, GEMINI))])
    await scene.complete(1)
    await prune(scene)
    assert left(path) == {"payloads": 1, "results": 0, "citations": 0, "replies": 0, "cells": 1}
    await scene.complete(1)
    await prune(scene)
    assert left(path)["cells"] == 0


async def test_other_runs_are_not_touched(path: Path, store: TaskStore, clock: ManualClock) -> None:
    """Last night's answers are next door."""
    old, new = await begin(store, clock, key="1"), await begin(store, clock, key="2")
    await over(old)
    await over(new)
    lines = await new.lines()
    await prune(old)
    assert await new.lines() == lines
    assert left(path)["payloads"] == 3


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
async def test_a_prune_goes_in_short_transactions(
    path: Path, scene: Scene, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine on the same store gets its turn between any two of them."""
    monkeypatch.setattr(pruning, "PRUNED_AT_ONCE", at_once)
    await scene.load([row(n, samples=2) for n in (1, 2, 3)])
    await scene.complete()
    scene.clock.slept.clear()
    size = await scene.store.prune_size(scene.run.id, keep=Keep.COSTS)
    assert await prune(scene) == size
    assert left(path) == dict.fromkeys((*TEXTS, "cells"), 0)
    assert len(scene.clock.slept) == -(-6 // at_once)


async def test_a_prune_that_was_broken_off_is_marked_and_goes_on(
    path: Path, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first chunk already makes an export incomplete."""
    monkeypatch.setattr(pruning, "PRUNED_AT_ONCE", 1)
    await over(scene)

    async def break_off(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(scene.clock, "sleep", break_off)
        with pytest.raises(KeyboardInterrupt):
            await prune(scene)
    assert left(path)["results"] == 2
    assert (await scene.status()).run.pruned_at is not None
    assert (await prune(scene)).answers == 2
    assert await prune(scene) == Pruned()


async def test_only_runs_that_are_over_and_old_are_offered(
    store: TaskStore, clock: ManualClock
) -> None:
    """By the latest thing that happened, not by when they were begun."""
    one, two, three, empty = [await begin(store, clock, key=key) for key in "1234"]
    runs = [scene.run.id for scene in (one, two, three, empty)]
    await over(one)
    await two.load(numbered(3))
    await two.complete(2)
    await three.load(numbered(1))
    await three.post()
    clock.advance(timedelta(days=5))
    began = clock.now()
    (late,) = await three.take()
    await three.book(answered(late))
    assert await store.prunable(runs, before=began) == [one.run.id, empty.run.id]
    assert await store.prunable(runs[1:], before=began) == [empty.run.id]
    later = clock.now() + HOUR
    assert await store.prunable(runs, before=later) == [one.run.id, three.run.id, empty.run.id]
    await one.load(numbered(3), digest="the same in another order")
    assert await store.prunable(runs, before=began) == [empty.run.id]


async def test_what_was_pruned_cannot_be_asked_again(scene: Scene) -> None:
    """There is no prompt to send any more; an empty one would be paid for."""
    await scene.load(numbered(2))
    await scene.post(1, how=refused)
    await scene.post()
    await scene.book(*[failed(task, cost=0) for task in await scene.take()])
    await prune(scene)
    for which in (RetryFilter(), RetryFilter(codes=frozenset({40501}))):
        assert await scene.store.retriable(scene.run.id, which) == {}
        assert await scene.store.retry(scene.run.id, which, now=scene.clock.now()) == 0


async def test_a_pruned_run_goes_on_with_new_rows(scene: Scene) -> None:
    """A continuing job outlives its old answers; what was asked is not asked again."""
    await over(scene)
    await prune(scene)
    added = await scene.load([*numbered(3), row(4, temperature=0.5)])
    assert added is not None
    assert (added.new, added.known) == (1, 3)
    # The same rows with another request: nothing to compare with, so nothing is reported.
    assert (await scene.status()).changed == 0
    await scene.complete()
    assert (await scene.status()).money.charged == 4 * PRICE
    answers = [line.values["answer"] is not None for line in await scene.lines()]
    assert answers == [False, False, False, True]


async def test_the_model_of_a_pruned_line_is_the_one_that_was_asked(
    store: TaskStore, clock: ManualClock
) -> None:
    """A row may override its target's model; what it cost stands under the right one."""
    scene = await begin(store, clock)
    await scene.load([row(1, model_name="claude-opus-4-1")])
    await scene.complete()
    await prune(scene)
    assert [line.values["model"] for line in await scene.lines()] == ["claude-opus-4-1"]

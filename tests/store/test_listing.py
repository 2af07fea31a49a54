"""Tasks one by one: what a selection means, pages, and everything about one."""

import itertools
import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from runner.lifecycle import Reason, State
from runner.money import Evidence
from runner.rows import InputRow
from runner.store.amounts import Money
from runner.store.listing import Selection, TaskLine
from runner.store.protocol import TaskStore
from runner.store.sqlite import listing, selecting
from runner.store.sqlite.looking_verbs import TASKS_PAGE
from tests.store.steps import (
    ADVANCED,
    ANSWER,
    CLAUDE,
    GEMINI,
    HOUR,
    PRICE,
    Scene,
    answered,
    begin,
    failed,
    lost,
    numbered,
    refused,
    remote_id,
    row,
    still_running,
)
from tests.support.clock import START, ManualClock


async def lines(store: TaskStore, **which: Any) -> list[TaskLine]:
    """All tasks of a selection; how many there are is the same whoever counts."""
    found = [line async for page in store.tasks(Selection(**which)) for line in page]
    assert await store.count_tasks(Selection(**which)) == len(found)
    return found


async def ids(store: TaskStore, **which: Any) -> list[int]:
    return [line.id for line in await lines(store, **which)]


def with_cells(position: int, **cells: object) -> InputRow:
    made = row(position)
    return replace(made, cells=json.dumps(cells, ensure_ascii=False).encode())


@pytest.fixture
async def mixed(store: TaskStore, clock: ManualClock) -> Scene:
    """Eight tasks, claude's 1 3 5 7 and gemini's 2 4 6 8, an hour between the things that happen.

    1 completed · 3 failed(remote, 50000) · 5 unknown · 7 failed(refused, 40501) · 2 posted
    4 6 8 pending, 8 with a model of its own
    """
    scene = await begin(store, clock, targets=[CLAUDE, GEMINI])
    rows = [row(n, targets=[CLAUDE, GEMINI]) for n in (1, 2, 3)]
    special = row(4, targets=[CLAUDE, GEMINI], model_name="gemini-3-pro")
    of_claude = row(4, targets=[CLAUDE])
    rows.append(replace(special, asks=(of_claude.asks[0], special.asks[1])))
    await scene.load(rows)
    clock.advance(HOUR)
    await scene.post(2)
    first, second = await scene.take(2)
    await scene.book(answered(first), failed(second, cost=0))
    clock.advance(HOUR)
    await scene.post(1, how=lost)
    clock.advance(HOUR)
    await scene.post(1, how=refused)
    clock.advance(HOUR)
    await scene.post(1)
    return scene


async def test_without_any_condition_all_tasks_are_meant(mixed: Scene) -> None:
    """By number, so that a list that goes on can be followed."""
    assert await ids(mixed.store) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("which", "meant"),
    [
        ({"states": {State.COMPLETED}}, [1]),
        ({"states": {State.FAILED}}, [3, 7]),
        ({"states": {State.FAILED, State.UNKNOWN}}, [3, 5, 7]),
        ({"states": set()}, []),
        ({"providers": {"gemini"}}, [2, 4, 6, 8]),
        ({"providers": {"gemini", "claude"}}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"providers": {"perplexity"}}, []),
        ({"models": {GEMINI.model}}, [2, 4, 6]),
        ({"models": {"gemini-3-pro"}}, [8]),
        ({"codes": {50000}}, [3]),
        ({"codes": {50000, 40501}}, [3, 7]),
        ({"runs": {1}, "states": {State.FAILED}}, [3, 7]),
        ({"runs": {1, 2}}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"runs": {2}}, []),
        ({"tasks": {7, 3, 99}}, [3, 7]),
        ({"tasks": set()}, []),
        ({"limit": 3}, [1, 2, 3]),
        ({"limit": 10**30}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"providers": {"claude"}, "limit": 2}, [1, 3]),
        ({"states": {State.FAILED}, "codes": {40501}, "providers": {"claude"}}, [7]),
        ({"where": (("prompt", "question 2"),)}, [3, 4]),
        ({"where": (("prompt", "question 2"), ("prompt", "question 3"))}, []),
        ({"where": (("nothing", ""),)}, []),
        ({"since": START + 2 * HOUR}, [2, 5, 7]),
        ({"until": START + HOUR}, [4, 6, 8]),
        ({"since": START + HOUR, "until": START + 2 * HOUR}, [1, 3]),
    ],
)
async def test_each_condition_means_just_its_tasks(
    mixed: Scene, which: dict[str, Any], meant: list[int]
) -> None:
    """A list that shows others hides a failure; a cancel that takes others loses answers."""
    assert await ids(mixed.store, **which) == meant


async def test_a_time_means_the_latest_thing_that_happened(mixed: Scene) -> None:
    """`--state failed --since 24h` are those that failed tonight, whenever they were loaded."""
    moved: dict[int, datetime] = {line.id: line.moved_at for line in await lines(mixed.store)}
    assert moved[8] == START
    assert START + HOUR < moved[1] == moved[3] < START + 2 * HOUR
    assert [moved[5], moved[7], moved[2]] == sorted([moved[5], moved[7], moved[2]])


@pytest.mark.parametrize(
    ("column", "value", "meant"),
    [
        ("brand", "Ünïcode", [1]),
        ('say "hi"', "there", [1]),
        ("n", "7", [1]),
        ("n", "7.0", []),
        ("yes", "true", [1]),
        ("no", "false", [1]),
        ("none", "", [1]),
        ("deep.turns.1", "b", [1]),
        ("deep.on", "true", [1]),
        ("deep.turns.2", "", []),
        ("a.b", "flat", [2]),
        ("brand", "'; DROP TABLE tasks; --", [2]),
        ("brand", "%", []),
        ("brand'", "", []),
    ],
)
async def test_a_cell_is_compared_as_its_text(
    scene: Scene, column: str, value: str, meant: list[int]
) -> None:
    """Cells of JSON Lines are more than text, and names of columns are whatever people write."""
    first = {
        "brand": "Ünïcode",
        'say "hi"': "there",
        "n": 7,
        "yes": True,
        "no": False,
        "none": None,
        "deep": {"turns": ["a", "b"], "on": True},
    }
    second = {"brand": "'; DROP TABLE tasks; --", "a.b": "flat"}
    await scene.load([with_cells(1, **first), with_cells(2, **second)])
    assert await ids(scene.store, where=((column, value),)) == meant


async def test_the_row_is_the_one_last_loaded(scene: Scene) -> None:
    """Who corrected a brand's name looks for the new one."""
    await scene.load([with_cells(1, brand="Acmee"), with_cells(2, brand="Other")])
    await scene.load([with_cells(1, brand="Acme")])
    assert await ids(scene.store, where=(("brand", "Acme"),)) == [1]
    assert await ids(scene.store, where=(("brand", "Acmee"),)) == []
    assert await ids(scene.store, where=(("brand", "Other"),)) == [2]


@pytest.mark.parametrize("limit", [None, 1, TASKS_PAGE, TASKS_PAGE + 1])
@pytest.mark.parametrize("listed", [False, True])
async def test_pages_have_no_seams(scene: Scene, limit: int | None, listed: bool) -> None:
    """Each task is told once, in order, and no page is larger than memory likes."""
    count = 2 * TASKS_PAGE + 7
    await scene.load(numbered(count))
    tasks = frozenset(range(1, count + 1)) if listed else None
    pages = [page async for page in scene.store.tasks(Selection(limit=limit, tasks=tasks))]
    assert max(map(len, pages)) <= TASKS_PAGE
    told = [line.id for page in pages for line in page]
    assert told == list(range(1, (limit or count) + 1))


async def test_a_list_goes_on_over_pages_without_a_match(scene: Scene) -> None:
    """Task numbers from a file lie far apart; one page of unknown ones is not the end."""
    count = 2 * TASKS_PAGE
    await scene.load(numbered(count))
    await scene.post(1)
    wanted = frozenset(range(1, count + 1))
    assert await ids(scene.store, tasks=wanted, where=(("prompt", f"question {count}"),)) == [count]


async def test_what_is_loaded_meanwhile_does_not_disturb_a_list(scene: Scene) -> None:
    """A list may stand in a pager for an hour while the engine works."""
    await scene.load(numbered(TASKS_PAGE + 5))
    pages: AsyncIterator[list[TaskLine]] = scene.store.tasks(Selection())
    first = await anext(pages)
    await scene.load(numbered(TASKS_PAGE + 9))
    await scene.complete()
    told = [line.id for line in first] + [line.id async for page in pages for line in page]
    assert told == sorted(set(told))
    assert len(told) == TASKS_PAGE + 9


CONDITIONS: list[dict[str, Any]] = [
    {"runs": {1}},
    {"runs": {1, 2}},
    {"states": {State.FAILED}},
    {"states": {State.POSTED}},
    {"states": {State.PENDING, State.FAILED}},
    {"providers": {"claude"}},
    {"codes": {50000}},
    {"since": START},
    {"where": (("prompt", "x"),)},
]


@pytest.mark.parametrize("pair", list(itertools.combinations(CONDITIONS, 2)))
async def test_no_list_is_sorted_or_gone_through_from_the_start(
    path: Path, store: TaskStore, pair: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    """A sort for every page of a million tasks takes hours; the number says where to go on."""
    which = Selection(**(pair[0] | pair[1]))
    sql, values = selecting.condition(which)
    with sqlite3.connect(path) as db:
        plan = [
            detail
            for *_, detail in db.execute(
                "EXPLAIN QUERY PLAN SELECT t.id FROM tasks t"
                f" WHERE t.id > :after AND {sql} ORDER BY t.id LIMIT :size",
                values | {"after": 5, "size": 200},
            )
        ]
    db.close()
    assert not [step for step in plan if "TEMP B-TREE FOR ORDER BY" in step and "LAST" not in step]
    (how,) = [step for step in plan if step.split(" ")[:2] == ["SEARCH", "t"]]
    assert "rowid>?" in how


async def test_failures_and_exports_take_the_same_conditions(mixed: Scene) -> None:
    """What was listed is what is grouped and what is exported."""
    which = Selection(codes=frozenset({40501}))
    (group,) = await mixed.store.failures(mixed.run.id, which)
    assert (group.code, group.count, group.sample_task) == (40501, 1, 7)
    exported = [
        line.values["task_id"]
        async for page in mixed.store.export(mixed.run.id, which)
        for line in page
    ]
    assert exported == [7]


async def test_a_line_tells_state_money_and_row(mixed: Scene) -> None:
    """The columns of `runner tasks`."""
    first, *_ = await lines(mixed.store)
    assert (first.run, first.target, first.model) == (1, "claude", CLAUDE.model)
    assert (first.endpoint, first.sample, first.turn) == (CLAUDE.endpoint, 1, 1)
    assert (first.state, first.reason, first.attempts) == (State.COMPLETED, "", 1)
    assert first.charged == PRICE
    assert json.loads(first.cells) == {"prompt": "question 1"}
    (refused_one,) = await lines(mixed.store, codes={40501})
    assert (refused_one.reason, refused_one.code) == (Reason.REFUSED, 40501)
    assert refused_one.message == "Invalid Field: 'user_prompt'."
    (waiting,) = await lines(mixed.store, states={State.POSTED})
    assert waiting.posted_at == waiting.moved_at == mixed.clock.now()
    assert waiting.remote_id is not None


async def test_unknown_numbers_are_named(mixed: Scene) -> None:
    """A list from another store must not be half of an answer."""
    assert await mixed.store.unknown_tasks([9, 3, 12, 8]) == [9, 12]
    assert await mixed.store.unknown_tasks([]) == []


async def test_a_task_tells_all_its_attempts(scene: Scene) -> None:
    """Which was posted when, under which id, what it cost, and what it brought."""
    await scene.load([row(1)])
    await scene.post()
    (posted,) = await scene.take()
    again_at = scene.clock.now() + HOUR
    await scene.book(failed(posted, cost=0, again_at=again_at))
    scene.clock.advance(2 * HOUR)
    second = await scene.post()
    (posted,) = await scene.take()
    await scene.book(still_running(posted, scene.clock.now()))
    (posted,) = await scene.take()
    await scene.book(answered(posted, reply=b"the reply"))

    detail = await scene.store.task(1)
    assert detail is not None
    assert (detail.source, detail.source_line) == ("q.csv", 2)
    assert json.loads(detail.body or "") == {
        "model_name": CLAUDE.model,
        "user_prompt": "question 1",
    }
    assert (detail.tries, detail.allowed_tries, detail.line.polls) == (1, 3, 1)
    first, last = detail.attempts
    assert (first.number, first.state, first.code) == (1, "failed", 50000)
    assert first.result is None
    assert first.money == Money(advanced=ADVANCED, refunded=ADVANCED)
    assert (last.number, last.state, last.batch) == (2, "completed", second.id)
    assert last.remote_id == remote_id(second.attempts[0].tag)
    assert last.tag == second.attempts[0].tag
    times = [first.intended_at, first.accepted_at, first.ended_at, last.intended_at, last.ended_at]
    assert times == sorted(moment for moment in times if isinstance(moment, datetime))
    assert (last.money.charged, last.evidence) == (PRICE, Evidence.COMPUTED)
    assert last.reply_bytes == len(b"the reply")
    assert await scene.store.reply(1, 2) == b"the reply"

    result = last.result
    assert result is not None
    assert (result.answer, result.reasoning) == (ANSWER.text, ANSWER.reasoning)
    assert result.citations == ANSWER.citations
    assert result.fan_out_queries == ANSWER.fan_out_queries
    assert result.money_spent == ANSWER.money_spent_nanousd
    assert (result.web_search, result.parse_error) == (True, None)


async def test_an_answer_that_could_not_be_read_says_why(scene: Scene) -> None:
    """It was paid for: somebody will want to know."""
    await scene.load([row(1)])
    await scene.post()
    (posted,) = await scene.take()
    await scene.book(answered(posted, answer=None))
    detail = await scene.store.task(1)
    assert detail is not None
    (attempt,) = detail.attempts
    assert attempt.result is not None
    assert (attempt.result.answer, attempt.result.parse_error) == ("", "not JSON")


async def test_an_edited_request_stands_beside_the_one_that_was_asked(scene: Scene) -> None:
    """Before a person says ask or keep, both can be seen."""
    await scene.load([row(1, key="k")])
    await scene.complete()
    await scene.load([row(1, key="k", temperature=0.5)])
    detail = await scene.store.task(1)
    assert detail is not None
    assert detail.line.changed
    assert "temperature" not in (detail.body or "")
    assert "temperature" in (detail.edited_body or "")


async def test_a_task_never_tried_has_no_attempts(scene: Scene) -> None:
    """Most tasks of a fresh run."""
    await scene.load([row(1)])
    detail = await scene.store.task(1)
    assert detail is not None
    assert detail.attempts == ()
    assert detail.due_at == START
    assert await scene.store.reply(1, 1) is None


async def test_there_is_no_task_of_a_number_never_given(scene: Scene) -> None:
    """Nor of one that no integer column holds."""
    await scene.load([row(1)])
    assert await scene.store.task(2) is None
    assert await scene.store.task(-1) is None
    assert await scene.store.task(2**63) is None


async def test_a_page_is_one_consistent_look(path: Path, scene: Scene) -> None:
    """Task, attempt and cost of a line are of the same moment: one statement, one view."""
    await scene.load(numbered(3))
    with sqlite3.connect(path) as db:
        db.execute("BEGIN")
        before = listing.page(db, Selection(), 0, 10)
        await scene.complete()
        assert listing.page(db, Selection(), 0, 10) == before
        db.execute("ROLLBACK")
        assert [line.charged for line in listing.page(db, Selection(), 0, 10)] == [PRICE] * 3
    db.close()

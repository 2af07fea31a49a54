"""Every row is queued once, whatever is loaded how often; an edit is noted and sends nothing."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import WrongInput
from runner.lifecycle import State
from runner.rows import Attempt, Batch
from runner.store.amounts import Money
from runner.store.protocol import TaskStore
from runner.store.sqlite.store import open_store
from runner.store.values import Added, Decision, Idle
from runner.task import Endpoint, Outcome, Provider, Tag, Target
from tests.store.steps import (
    CLAUDE,
    GEMINI,
    HOUR,
    RESERVE,
    Scene,
    accepted,
    begin,
    lost,
    not_taken,
    numbered,
    refused,
    row,
    rows,
)
from tests.support.clock import ManualClock

# --- rows -----------------------------------------------------------------------------------------


async def test_every_row_becomes_one_task_for_each_target_and_sample(
    store: TaskStore, clock: ManualClock
) -> None:
    """The number of tasks is the number of charges: it must be the one that was announced."""
    scene = await begin(store, clock, targets=[CLAUDE, GEMINI])
    lines = [row(1, targets=[CLAUDE, GEMINI], samples=3), row(2, targets=[CLAUDE, GEMINI])]
    assert await scene.load(lines) == Added(rows=2, new=8)
    assert await scene.states() == {State.PENDING: 8}


async def test_a_target_is_new_until_the_run_has_it_just_so(
    store: TaskStore, clock: ManualClock
) -> None:
    """Only new ones are held against the list of models: one that left it keeps its answers."""
    scene = await begin(store, clock, targets=[CLAUDE])
    searching = replace(CLAUDE, parameters={"web_search": True})
    other = replace(CLAUDE, model="claude-opus-4-0")
    asked = [CLAUDE, GEMINI, searching, other]
    assert await store.new_targets(scene.run.id, asked) == [GEMINI, searching, other]
    await begin(store, clock, targets=[searching, GEMINI])
    assert await store.new_targets(scene.run.id, asked) == [CLAUDE, other]
    assert await store.new_targets(scene.run.id + 1, asked) == asked


async def test_a_target_that_asks_what_another_asked_is_its_new_name(scene: Scene) -> None:
    """Known by their names, both would be asked; that must be meant."""
    store, named = scene.store, replace(CLAUDE, name="sonnet")
    cooler = replace(CLAUDE, name="cool", parameters={"temperature": 0.1})
    assert await store.renamed_targets(scene.run.id, [named, GEMINI]) == [("claude", named)]
    assert await store.renamed_targets(scene.run.id, [CLAUDE, named]) == []
    assert await store.renamed_targets(scene.run.id, [cooler]) == []


async def test_a_file_that_was_loaded_is_not_loaded_again(scene: Scene) -> None:
    """Starting the same command again costs nothing."""
    assert await scene.load(numbered(3), digest="one") == Added(rows=3, new=3)
    assert await scene.load(numbered(3), digest="one") is None
    assert await scene.states() == {State.PENDING: 3}


async def test_a_load_that_broke_off_is_done_again(scene: Scene) -> None:
    """kill -9 in the middle of a file (F1): no row is missing, none is there twice."""
    load = await scene.begin_load("one")
    assert load is not None
    await scene.store.add_rows(load, numbered(10)[:4], now=scene.clock.now())
    assert await scene.load(numbered(10), digest="one") == Added(rows=10, new=6, known=4)
    assert await scene.prompts() == [f"question {n}" for n in range(1, 11)]


async def test_a_load_that_broke_off_leaves_the_lines_of_the_one_before(scene: Scene) -> None:
    """Half of an edited file is in: until it is loaded again every row still has its line."""
    await scene.load(rows("a", "b", "c", "d"), digest="one")
    load = await scene.begin_load("two")
    assert load is not None
    await scene.store.add_rows(load, rows("d", "new"), now=scene.clock.now())
    assert sorted(map(str, await scene.prompts())) == ["a", "b", "c", "d", "new"]
    await scene.load(rows("d", "new", "c", "b", "a"), digest="two")
    assert await scene.prompts() == ["d", "new", "c", "b", "a"]


async def test_rows_known_in_another_order_are_known(scene: Scene) -> None:
    """Sorting a file in a spreadsheet asks nothing again; the export follows the new order."""
    await scene.load(rows("a", "b", "c"))
    assert await scene.load(rows("c", "a", "b")) == Added(rows=3, known=3)
    assert await scene.prompts() == ["c", "a", "b"]


async def test_a_row_inserted_at_the_top_is_the_only_new_one(scene: Scene) -> None:
    """A row is known by its content, never by its line number."""
    await scene.load(rows("a", "b"))
    await scene.complete()
    assert await scene.load(rows("first", "a", "b")) == Added(rows=3, new=1, known=2)
    assert await scene.states() == {State.PENDING: 1, State.COMPLETED: 2}


async def test_duplicate_rows_are_asked_once_and_counted(scene: Scene) -> None:
    """Paying twice for the same question must be asked for (samples), not slip in."""
    lines = rows("a", "b", "a", "a")
    assert await scene.load(lines) == Added(rows=4, duplicates=2, new=2)
    status = await scene.status()
    assert (status.rows, status.duplicates, status.tasks) == (4, 2, 2)


async def test_duplicates_are_found_across_chunks(scene: Scene) -> None:
    """A file comes in chunks of some thousand rows, and its doubles do not know that."""
    load = await scene.begin_load("one")
    assert load is not None
    now = scene.clock.now()
    first = await scene.store.add_rows(load, rows("a", "b"), now=now)
    second = await scene.store.add_rows(load, [row(3, "b"), row(4, "c")], now=now)
    assert first + second == Added(rows=4, duplicates=1, new=3)
    await scene.store.end_load(load, rejected=0, now=now)
    assert [line.duplicate_of for line in await scene.lines()] == [None, None, 2, None]


async def test_a_chunk_that_is_added_again_replaces_itself(scene: Scene) -> None:
    """A disk may fail after it has saved: who tries again must not end up with doubles."""
    load = await scene.begin_load("one")
    assert load is not None
    for _ in range(2):
        await scene.store.add_rows(load, rows("a", "b", "a"), now=scene.clock.now())
    await scene.store.end_load(load, rejected=0, now=scene.clock.now())
    status = await scene.status()
    assert (status.rows, status.duplicates, status.tasks) == (3, 1, 2)
    assert await scene.prompts() == ["a", "b", "a"]


async def test_limits_and_whole_loads_may_follow_each_other(scene: Scene) -> None:
    """`--limit 5` is how people try a job out: the rest must join it, each row once."""
    whole = [*numbered(12), row(13, "question 2")]
    assert await scene.load(whole[:5], digest="limit 5") == Added(rows=5, new=5)
    assert await scene.load(whole, digest="all") == Added(rows=13, duplicates=1, new=7, known=5)
    assert await scene.load(whole[:5], digest="limit 5") == Added(rows=5, known=5)
    assert await scene.prompts() == [f"question {n}" for n in range(1, 13)]
    assert await scene.load(whole, digest="all") == Added(rows=13, duplicates=1, known=12)
    assert await scene.prompts() == [*(f"question {n}" for n in range(1, 13)), "question 2"]


async def test_nothing_to_add_adds_nothing(scene: Scene) -> None:
    """An input may end on the border of a chunk."""
    assert await scene.load([]) == Added()


async def test_tasks_are_posted_in_the_order_of_the_input(scene: Scene) -> None:
    """Who watches a run sees it go through the file from the top."""
    names = [f"{(n * 7919) % 5003:04}" for n in range(2_500)]
    await scene.load(rows(*names))
    sent = (await scene.batch(100)).attempts + (await scene.batch(100)).attempts
    assert [json.loads(attempt.body)["user_prompt"] for attempt in sent] == names[:200]
    assert [line.values["prompt"] for line in await scene.lines()] == names


async def test_the_same_rows_in_two_runs_are_different_tasks(
    store: TaskStore, clock: ManualClock
) -> None:
    """`--fresh` and a dated key ask everything anew, on purpose, and under new tags."""
    one = await begin(store, clock)
    two = await begin(store, clock, fresh=1)
    assert one.run.id != two.run.id
    for scene in (one, two):
        assert await scene.load(numbered(2)) == Added(rows=2, new=2)
    tags = [attempt.tag for scene in (one, two) for attempt in (await scene.batch()).attempts]
    assert len(set(tags)) == 4
    assert [(await scene.status()).run.name for scene in (one, two)] == ["sky", "sky~1"]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.text("abcdefg", max_size=9), st.booleans()), max_size=5))
def test_an_export_holds_the_latest_load_and_then_what_only_earlier_ones_had(
    tmp_path_factory: pytest.TempPathFactory, loads: list[tuple[str, bool]]
) -> None:
    """Whatever is loaded in whatever pieces, every row has its line, and no row has two of it."""
    path = tmp_path_factory.mktemp("export") / "runner.db"
    expected: list[str] = []
    for prompts, _ in loads:
        expected = [*prompts, *(prompt for prompt in expected if prompt not in prompts)]

    async def exported() -> list[object]:
        clock = ManualClock()
        async with open_store(path, clock=clock) as store:
            scene = await begin(store, clock)
            for number, (prompts, broken_off) in enumerate(loads):
                load = await scene.begin_load(f"input {number}")
                assert load is not None
                for line in rows(*prompts):
                    await store.add_rows(load, [line], now=clock.now())
                if not broken_off:
                    await store.end_load(load, rejected=0, now=clock.now())
            return await scene.prompts()

    assert asyncio.run(exported()) == expected


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text("abcdefg", min_size=1, max_size=12), st.integers(1, 6))))
def test_what_is_new_is_queued_once_in_whatever_company_it_comes(
    tmp_path_factory: pytest.TempPathFactory, loads: list[tuple[str, int]]
) -> None:
    """Rows that nothing is known about go a short way, beside others that go the long one: neither
    may cost a row its task, nor pay for one twice, and each task asks what its own row says."""
    path = tmp_path_factory.mktemp("company") / "runner.db"
    both = (CLAUDE, GEMINI)

    async def work() -> None:
        clock = ManualClock()
        async with open_store(path, clock=clock) as store:
            scene = await begin(store, clock, targets=both)
            seen: set[str] = set()
            for number, (prompts, size) in enumerate(loads):
                load = await scene.begin_load(f"input {number}")
                assert load is not None
                lines = [row(n, text, targets=both) for n, text in enumerate(prompts, start=1)]
                added = Added()
                for first in range(0, len(lines), size):
                    part = lines[first : first + size]
                    added += await store.add_rows(load, part, now=clock.now())
                await store.end_load(load, rejected=0, now=clock.now())
                new = 2 * len(set(prompts) - seen)
                assert added == Added(
                    rows=len(prompts),
                    duplicates=len(prompts) - len(set(prompts)),
                    new=new,
                    known=2 * len(set(prompts)) - new,
                )
                seen |= set(prompts)
            assert await store.verify() == []
            asked = [
                json.loads(attempt.body)["user_prompt"]
                for target in (1, 2)
                if isinstance(batch := await scene.intend(target=target), Batch)
                for attempt in batch.attempts
            ]
            # What the latest input does not ask any more is left alone.
            latest = set(loads[-1][0]) if loads else set()
            assert sorted(asked) == sorted([*latest, *latest])

    asyncio.run(work())


# --- runs -----------------------------------------------------------------------------------------


async def test_beginning_a_run_twice_is_one_run(scene: Scene) -> None:
    """A crash between the run and its load must not leave an empty twin."""
    again = await begin(scene.store, scene.clock)
    assert again.run == scene.run
    assert await scene.store.runs() == [scene.run]
    assert await scene.store.newest_run("sky", "") == scene.run


async def test_runs_are_found_by_job_and_key_newest_last(
    store: TaskStore, clock: ManualClock
) -> None:
    """Which run a start belongs to decides what is asked."""
    a = (await begin(store, clock, key="2026-11-20")).run
    b = (await begin(store, clock, key="2026-11-21")).run
    c = (await begin(store, clock, key="2026-11-21", fresh=1)).run
    other = (await begin(store, clock, job="sea")).run
    assert await store.newest_run("sky", "2026-11-21") == c
    assert await store.newest_run("sky", "2026-11-22") is None
    assert await store.newest_run("mud", "") is None
    assert await store.runs() == [a, b, c, other]
    assert await store.runs(job="sky") == [a, b, c]
    assert (c.name, c.number, c.key_columns) == ("sky@2026-11-21~1", "r3", ("prompt",))


async def test_a_target_cannot_change_its_endpoint_within_a_run(scene: Scene) -> None:
    """Half of a run answered by another provider under the same name would pass unnoticed."""
    moved = Target(name="claude", endpoint=Endpoint(provider=Provider.GEMINI), model="g")
    with pytest.raises(WrongInput, match='target "claude" was dataforseo/claude/standard'):
        await begin(scene.store, scene.clock, targets=[moved])


async def test_a_new_reserve_counts_from_the_next_intent(scene: Scene) -> None:
    """What a task may cost is learned on the way; what is under way stays as it was reserved."""
    await scene.load(numbered(2))
    await scene.batch(1)
    await begin(scene.store, scene.clock, reserve=3 * RESERVE)
    # The new engine knows the first to be in doubt.
    assert (await scene.status()).money == Money(at_risk=RESERVE)
    await scene.batch(1)
    assert (await scene.status()).money == Money(at_risk=RESERVE, reserved=3 * RESERVE)


async def test_columns_are_those_of_the_latest_load_then_those_of_older_ones(scene: Scene) -> None:
    """A CSV export needs one header for lines that different files brought."""
    for digest, columns in (("one", ["prompt", "brand"]), ("two", ["id", "prompt"])):
        load = await scene.store.begin_load(
            scene.run.id, digest=digest, source="q.csv", columns=columns, now=scene.clock.now()
        )
        assert load is not None
    assert await scene.store.input_columns(scene.run.id) == ["id", "prompt", "brand"]


# --- edited requests ------------------------------------------------------------------------------


async def test_an_edited_request_is_noted_and_nothing_is_sent_for_it(scene: Scene) -> None:
    """An edit must never make anybody pay again unasked, nor send what the input no longer says."""
    await scene.load([row(1, key="k1"), row(2, key="k2")])
    assert await scene.load([row(1, key="k1", temperature=0.5), row(2, key="k2")]) == Added(
        rows=2, known=2
    )
    status = await scene.status()
    assert (status.changed, status.held) == (1, 1)
    batch = await scene.batch()
    assert [b"temperature" in a.body for a in batch.attempts] == [False]
    assert await scene.intend() is Idle.NOTHING_DUE
    assert (await scene.status()).next_due_at is None


async def test_an_edit_taken_back_is_no_change(scene: Scene) -> None:
    """People try a temperature and put the old one back."""
    await scene.load([row(1, key="k")])
    await scene.load([row(1, key="k", temperature=0.5)])
    await scene.load([row(1, key="k", temperature=0.7)])
    assert (await scene.status()).changed == 1
    await scene.load([row(1, "question 1", key="k")])
    assert (await scene.status()).changed == 0
    assert len((await scene.batch()).attempts) == 1


async def test_ask_sends_the_request_as_it_was_edited_last(scene: Scene) -> None:
    """The word to ask is given for what the input says at that time."""
    await scene.load([row(1, key="k"), row(2, key="other")])
    await scene.complete()
    await scene.load([row(1, key="k", temperature=0.5)])
    await scene.load([row(1, key="k", temperature=0.7)])
    assert await scene.store.decide_changes(scene.run.id, Decision.ASK, now=scene.clock.now()) == 1
    assert await scene.states() == {State.PENDING: 1, State.COMPLETED: 1}
    (attempt,) = (await scene.batch()).attempts
    assert b'"temperature": 0.7' in attempt.body
    assert attempt.number == 2
    assert (await scene.status()).changed == 0


async def test_keep_lets_the_old_request_stand_until_the_next_edit(scene: Scene) -> None:
    """Who said keep is not asked the same question at every start."""
    await scene.load([row(1, key="k")])
    await scene.load([row(1, key="k", temperature=0.5)])
    assert await scene.store.decide_changes(scene.run.id, Decision.KEEP, now=scene.clock.now()) == 1
    await scene.load([row(1, key="k", temperature=0.5)], digest="again")
    assert (await scene.status()).changed == 0
    await scene.load([row(1, key="k", temperature=0.7)])
    assert (await scene.status()).changed == 1


async def test_what_was_kept_once_is_an_edit_again_after_another_was_asked(scene: Scene) -> None:
    """Keep was said of a request that is gone: going back to that edit is a new decision."""
    now = scene.clock.now()
    await scene.load([row(1, key="k")])
    await scene.load([row(1, key="k", temperature=0.5)])
    await scene.store.decide_changes(scene.run.id, Decision.KEEP, now=now)
    await scene.load([row(1, key="k", temperature=0.7)])
    await scene.store.decide_changes(scene.run.id, Decision.ASK, now=now)
    await scene.load([row(1, key="k", temperature=0.5)], digest="back")
    assert (await scene.status()).changed == 1


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(None, State.POSTING), (accepted, State.POSTED), (lost, State.UNKNOWN)],
)
async def test_ask_leaves_alone_what_may_be_at_the_api(
    scene: Scene, outcome: Callable[[Attempt], Outcome] | None, state: State
) -> None:
    """A second request for a task whose first may be charged is paid for twice."""
    await scene.load([row(1, key="k")])
    batch = await scene.batch()
    if outcome:
        await scene.settle(batch, outcome)
    await scene.load([row(1, key="k", temperature=0.5)])
    assert await scene.store.decide_changes(scene.run.id, Decision.ASK, now=scene.clock.now()) == 0
    assert await scene.states() == {state: 1}
    assert ((await scene.status()).changed, (await scene.status()).held) == (1, 0)


async def test_a_task_edited_in_flight_is_held_when_it_comes_back(scene: Scene) -> None:
    """It was certainly not taken; sent again as it was, it would not be what the input says."""
    await scene.load([row(1, key="k")])
    batch = await scene.batch()
    await scene.load([row(1, key="k", temperature=0.5)])
    await scene.settle(batch, not_taken)
    scene.clock.advance(HOUR)
    assert await scene.intend() is Idle.NOTHING_DUE
    status = await scene.status()
    assert (status.changed, status.undecided, status.held) == (1, 1, 1)


async def test_a_failed_task_that_was_edited_is_asked_with_its_edit(scene: Scene) -> None:
    """The usual repair: the API refused a request, its author corrects it."""
    await scene.load([row(1, key="k")])
    await scene.post(how=refused)
    await scene.load([row(1, "shorter", key="k")])
    assert await scene.store.decide_changes(scene.run.id, Decision.ASK, now=scene.clock.now()) == 1
    (attempt,) = (await scene.batch()).attempts
    assert b"shorter" in attempt.body
    tag = Tag.parse(attempt.tag)
    assert tag is not None
    assert tag.attempt == 2


async def test_a_kept_edit_is_reconsidered_when_no_other_waits(scene: Scene) -> None:
    """Whoever said keep may think better of it; the input still has the edit."""
    store, now = scene.store, scene.clock.now()
    await scene.load([row(1, key="k")])
    await scene.complete()
    await scene.load([row(1, key="k", temperature=0.5)])
    assert await store.reconsider(scene.run.id) == 0
    await store.decide_changes(scene.run.id, Decision.KEEP, now=now)
    assert await store.reconsider(scene.run.id) == 1
    assert await store.reconsider(scene.run.id) == 0
    await scene.load([row(1, key="k", temperature=0.5)])
    assert await store.decide_changes(scene.run.id, Decision.ASK, now=now) == 1
    assert await scene.states() == {State.PENDING: 1}

"""A person's word to post nothing: it holds until it ends, and stops nothing else."""

from datetime import datetime, timedelta

import pytest

from runner.errors import WrongInput
from runner.lifecycle import State
from runner.store.control import Pause
from runner.store.postgres.store import open_store as open_postgres
from runner.store.protocol import TaskStore
from runner.store.values import Ceiling, Idle
from tests.store.steps import HOUR, MINUTE, OpenStore, Scene, answered, begin, numbered, row, seal
from tests.support.clock import START, ManualClock
from tests.support.postgres import time_of


async def pause_run(scene: Scene, until: datetime | None = None, reason: str = "") -> Pause:
    return await scene.store.pause(
        run=scene.run.id, until=until, reason=reason, now=scene.clock.now()
    )


async def test_nothing_of_a_paused_run_is_offered_or_intended(scene: Scene) -> None:
    """Also not by an engine that chose its target a moment before the pause."""
    await scene.load(numbered(3))
    ((target, _),) = await scene.store.targets_to_post(scene.run.id, now=scene.clock.now())
    await pause_run(scene)
    assert await scene.store.targets_to_post(scene.run.id, now=scene.clock.now()) == []
    assert await scene.intend(target=target) is Idle.NOTHING_DUE
    # A reached budget is not what a person should be told then.
    assert await scene.intend(target=target, ceiling=Ceiling(budget=0)) is Idle.NOTHING_DUE
    assert await scene.states() == {State.PENDING: 3}


async def test_what_is_at_the_api_is_collected_all_the_same(scene: Scene) -> None:
    """It is paid for, and its window closes."""
    await scene.load(numbered(3))
    await scene.post(2)
    await pause_run(scene)
    await scene.book(*map(answered, await scene.take()))
    assert await scene.states() == {State.COMPLETED: 2, State.PENDING: 1}


async def test_the_word_holds_across_a_restart(
    open_store: OpenStore, scene: Scene, clock: ManualClock
) -> None:
    """Nobody who paused on Friday wants Saturday's cron to post."""
    await scene.load(numbered(1))
    await pause_run(scene, reason="price check")
    async with open_store() as again:
        status = await again.status(scene.run.id)
        assert str(status.paused) == "paused: price check"
        assert (status.held, status.next_due_at) == (1, None)
        assert await again.targets_to_post(scene.run.id, now=clock.now()) == []


async def test_a_pause_with_an_end_ends_by_itself(scene: Scene) -> None:
    """`--until 06:00` needs nobody awake at six."""
    await scene.load(numbered(1))
    await pause_run(scene, START + HOUR)
    status = await scene.status()
    assert str(status.paused) == "paused until 2026-11-21 03:15 UTC"
    assert status.next_due_at == START + HOUR
    scene.clock.advance(HOUR)
    assert (await scene.status()).paused is None
    assert await scene.store.pauses(now=scene.clock.now()) == []
    assert len((await scene.batch()).attempts) == 1


async def test_who_pauses_again_says_anew_how_long_and_why(scene: Scene) -> None:
    """One thing has one pause, so that one `resume` ends it."""
    await pause_run(scene, START + HOUR, "lunch")
    await pause_run(scene)
    (only,) = await scene.store.pauses(now=scene.clock.now())
    assert (only.until, only.reason, only.since) == (None, "", START)
    resumed = await scene.store.resume(run=scene.run.id, now=scene.clock.now())
    assert resumed == only
    assert await scene.store.resume(run=scene.run.id, now=scene.clock.now()) is None


async def test_a_pause_whose_end_is_over_holds_nothing(scene: Scene) -> None:
    """The moment may pass while the command waits for the store: nothing is wrong with it."""
    await scene.load(numbered(1))
    now = scene.clock.now()
    made = await pause_run(scene, now)
    assert (made.until, made.since) == (now, now)
    assert await scene.store.pauses(now=now) == []
    assert len((await scene.batch()).attempts) == 1


async def test_a_pause_lasts_as_long_as_its_maker_meant_whatever_the_servers_clock_says(
    dsn: str,
) -> None:
    """`--until 1m` on a host two minutes behind would be over before it began."""
    server, here = ManualClock(), ManualClock()
    here.set_wall(START - 2 * MINUTE)
    async with open_postgres(dsn, clock=here, time_of=time_of(server), may_lose=True) as store:
        scene = await begin(store, here)
        await scene.load(numbered(1))
        await pause_run(scene, here.now() + MINUTE)
        assert await scene.intend(target=1) is Idle.NOTHING_DUE
        server.advance(MINUTE)
        assert len((await scene.batch()).attempts) == 1


async def test_a_job_that_the_store_does_not_have_is_not_the_whole_store(scene: Scene) -> None:
    """A name that is mistyped must neither hold everybody up nor let everybody go."""
    now = scene.clock.now()
    with pytest.raises(WrongInput):
        await scene.store.pause(job="skye", now=now)
    assert await scene.store.pauses(now=now) == []
    whole = await scene.store.pause(now=now)
    assert await scene.store.resume(job="skye", now=now) is None
    assert await scene.store.pauses(now=now) == [whole]


@pytest.mark.parametrize(
    ("words", "held"),
    [
        ({"job": "sky"}, {"sky@1", "sky@2"}),
        ({"run": 1}, {"sky@1"}),
        ({}, {"sky@1", "sky@2", "sea"}),
    ],
    ids=["job", "run", "store"],
)
async def test_a_pause_holds_what_it_names_and_nothing_else(
    store: TaskStore, clock: ManualClock, words: dict[str, str | int], held: set[str]
) -> None:
    """Pausing one customer's job must not stop another's night."""
    scenes = [
        await begin(store, clock, job=job, key=key)
        for job, key in (("sky", "1"), ("sky", "2"), ("sea", ""))
    ]
    job, run = words.get("job"), words.get("run")
    assert job is None or isinstance(job, str)
    assert run is None or isinstance(run, int)
    await store.pause(job=job, run=run, now=clock.now())
    assert {s.run.name for s in scenes if (await s.status()).paused is not None} == held


async def test_a_paused_job_holds_the_run_of_tomorrow_too(
    store: TaskStore, clock: ManualClock
) -> None:
    """The run does not exist yet when somebody says stop."""
    await begin(store, clock, key="today")
    await store.pause(job="sky", now=clock.now())
    tomorrow = await begin(store, clock, key="tomorrow")
    await tomorrow.load(numbered(2))
    assert await tomorrow.intend() is Idle.NOTHING_DUE
    assert (await tomorrow.status()).held == 2


async def test_resume_ends_exactly_what_it_names(scene: Scene) -> None:
    """Whoever stopped a job for its bad prompts does not want it sent by somebody else's resume."""
    now = scene.clock.now()
    await scene.load(numbered(1))
    await scene.store.pause(job="sky", reason="bad prompts", now=now)
    await scene.store.pause(until=now + HOUR, now=now)
    assert await scene.store.resume(run=scene.run.id, now=now) is None
    assert await scene.store.resume(now=now) is not None
    assert str((await scene.status()).paused) == "paused: bad prompts"
    assert await scene.store.resume(job="sky", now=now) is not None
    assert (await scene.status()).held == 0
    assert len((await scene.batch()).attempts) == 1


async def test_of_several_pauses_the_one_that_ends_last_is_told(scene: Scene) -> None:
    """Or a person waits for six o'clock in vain."""
    now = scene.clock.now()
    await scene.store.pause(until=now + MINUTE, now=now)
    await scene.store.pause(job="sky", until=now + HOUR, now=now)
    paused = (await scene.status()).paused
    assert paused is not None
    assert paused.scope == "sky"
    await pause_run(scene)
    paused = (await scene.status()).paused
    assert paused is not None
    assert (paused.scope, paused.until) == ("r1", None)


async def test_changed_and_paused_tasks_are_counted_as_held_once(
    store: TaskStore, clock: ManualClock
) -> None:
    """What may be posted is computed as pending less held: it must never be negative."""
    scene = await begin(store, clock)
    await scene.load(numbered(2))
    await scene.load([row(1, "question 1", temperature=0.9), *numbered(2)[1:]])
    assert (await scene.status()).held == 1
    await pause_run(scene)
    status = await scene.status()
    assert (status.held, status.changed, status.states[State.PENDING]) == (2, 1, 2)


async def test_a_pause_that_ends_between_looking_and_the_intent_lets_it_through(
    scene: Scene,
) -> None:
    """What counts is the moment of the intent, on the clock that decides."""
    await scene.load(numbered(1))
    now = scene.clock.now()
    await pause_run(scene, now + timedelta(seconds=1))
    target = 1
    assert await scene.intend(target=target) is Idle.NOTHING_DUE
    scene.clock.advance(timedelta(seconds=1))
    batch = await scene.store.begin_batch(
        run=scene.run.id,
        target=target,
        account=scene.account,
        worker=scene.worker,
        limit=1,
        now=scene.clock.now(),
        patience=MINUTE,
        ceiling=Ceiling(),
        seal=seal,
    )
    assert not isinstance(batch, Idle)

"""What a store makes of tasks that another one has paid for, in whose place it stands."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from runner.lifecycle import State
from runner.parameters import request_digest
from runner.rows import Ask
from runner.store.reconciling import IncidentKind, Sighting
from runner.task import RemoteId, Tag, TaskId, identity_digest
from tests.store import steps
from tests.store.places import Place
from tests.store.steps import Scene
from tests.support.clock import ManualClock

OTHER = "otherone"


@dataclass
class Replaced:
    """A store with three tasks, in the place of one that has paid for the same rows."""

    scene: Scene
    tag_part: str

    def sighting(self, position: int, request: str | None, *, task: int | None = None) -> Sighting:
        """The task of the row at *position*, as the other store posted it."""
        row = steps.row(position)
        digest = identity_digest(row.key, steps.CLAUDE.name, 1, 1)
        tag = Tag(OTHER, self.tag_part, TaskId(task or position), digest, 1)
        return Sighting(tag=str(tag), remote_id=RemoteId(f"id {position}"), request=request)


def digest_of(ask: Ask, **changed: object) -> str:
    return request_digest(json.loads(ask.body) | changed)


def request_of(position: int, **changed: object) -> str:
    (ask,) = steps.row(position).asks
    return digest_of(ask, **changed)


@pytest.fixture
async def replaced(place: Place, clock: ManualClock) -> AsyncIterator[Replaced]:
    async with place.open(clock) as store:
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(3))
        place.damage(f"INSERT INTO install VALUES ('replaced_installs', '{OTHER}')")
        ((tag_part,),) = place.read("SELECT tag_part FROM runs")
        yield Replaced(scene, tag_part)


async def test_a_store_has_its_name_from_its_first_run_on(place: Place, clock: ManualClock) -> None:
    """A copy without one would make one of its own, and know none of the original's tags."""
    name = "SELECT value FROM install WHERE name = 'install_id'"
    async with place.open(clock) as store:
        assert place.read(name) == []
        run = await store.begin_run(
            job="sky",
            key="",
            fresh=0,
            api="live",
            key_columns=["prompt"],
            targets=[(steps.CLAUDE, steps.RESERVE)],
            now=clock.now(),
        )
        ((install,),) = place.read(name)
        scene = await steps.begin(store, clock)
        assert scene.run.id == run.id
        await scene.load(steps.numbered(1))
        (attempt,) = (await scene.batch()).attempts
        assert attempt.tag.startswith(f"{install}.")


async def test_what_was_asked_word_for_word_is_taken_up(
    replaced: Replaced, clock: ManualClock
) -> None:
    """It is paid for, and its answer is the answer."""
    store = replaced.scene.store
    # The rows were loaded in another order there.
    seen = [replaced.sighting(n, request_of(n), task=4 - n) for n in (1, 2)]
    found = await store.found(seen, now=clock.now())
    assert (len(found.adopted), found.incidents) == (2, 0)
    assert await replaced.scene.states() == {State.POSTED: 2, State.PENDING: 1}
    assert await store.verify() == []


@pytest.mark.parametrize(
    "request_",
    [
        None,
        request_of(1, user_prompt="another question"),
        request_of(1, model_name="another-model"),
        request_of(1, temperature=0.5),
        request_of(2),
    ],
)
async def test_what_may_be_another_question_is_told_and_not_taken_up(
    replaced: Replaced, clock: ManualClock, request_: str | None
) -> None:
    """A row keeps its key when its prompt or its target is edited: the old answer is none to it."""
    store = replaced.scene.store
    found = await store.found([replaced.sighting(1, request_)], now=clock.now())
    assert (len(found.adopted), found.incidents) == (0, 1)
    (incident,) = await store.incidents()
    assert incident.kind is IncidentKind.ORPHAN
    assert incident.amount > 0
    assert await store.adopt_orphans(now=clock.now()) == 0
    assert await replaced.scene.states() == {State.PENDING: 3}


async def test_the_same_words_asked_live_are_told_and_not_taken_up(
    replaced: Replaced, clock: ManualClock
) -> None:
    """The target was Live in that store: there is no answer to fetch under its id."""
    store = replaced.scene.store
    live = replace(replaced.sighting(1, request_of(1)), live=True)
    assert (await store.found([live], now=clock.now())).incidents == 1
    assert await store.adopt_orphans(now=clock.now()) == 0
    assert await replaced.scene.states() == {State.PENDING: 3}


async def test_what_is_loaded_after_the_listing_is_taken_up_by_what_was_noted_of_it(
    replaced: Replaced, clock: ManualClock
) -> None:
    """The store had several jobs, and they are loaded again one night after the other."""
    store = replaced.scene.store
    seen = [
        replaced.sighting(4, request_of(4)),
        replaced.sighting(5, request_of(5, temperature=0.5)),
    ]
    assert (await store.found(seen, now=clock.now())).incidents == 2
    await replaced.scene.load(steps.numbered(5))
    assert await store.adopt_orphans(now=clock.now()) == 1
    assert await replaced.scene.states() == {State.POSTED: 1, State.PENDING: 4}
    (left,) = await store.incidents()
    assert left.remote_id == "id 5"

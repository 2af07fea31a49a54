"""What the store does with doubt: whatever is seen at the API is booked once, or told."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import pytest

from runner.lifecycle import State
from runner.rows import Batch
from runner.store.reconciling import (
    Doubt,
    Found,
    IncidentKind,
    Known,
    NewIncident,
    Sighting,
    Times,
)
from runner.task import RemoteId, Tag
from tests.store import steps
from tests.store.places import AnyStore, Place
from tests.support.clock import ManualClock

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@dataclass
class Doubtful:
    """A store with three tasks in doubt."""

    store: AnyStore
    clock: ManualClock
    scene: steps.Scene
    batch: Batch
    place: Place

    async def states(self) -> dict[State, int]:
        status = await self.store.status(self.scene.run.id)
        return {state: n for state, n in status.states.items() if n}

    async def see(self, *ids: str, tag: str | None = None) -> Found:
        """The first task's tag is seen under *ids*."""
        tag = tag or self.batch.attempts[0].tag
        seen = [Sighting(tag=tag, remote_id=RemoteId(each), cost=10_000_000) for each in ids]
        return await self.store.found(seen, now=self.clock.now())

    @property
    def attempts(self) -> list[tuple[int, int]]:
        return [(each.task, each.number) for each in self.batch.attempts]


@pytest.fixture
async def doubtful(place: Place, clock: ManualClock) -> AsyncIterator[Doubtful]:
    async with place.open(clock) as opened:
        store = cast(AnyStore, opened)
        scene = await steps.begin(store, clock)
        await scene.load(steps.numbered(3))
        batch = await scene.post(how=steps.lost)
        yield Doubtful(store, clock, scene, batch, place)


async def test_doubt_is_read_with_all_that_its_decision_takes(doubtful: Doubtful) -> None:
    """Tags to look for, prompts as the second key, and the times between which it was sent."""
    (doubt,) = await doubtful.store.doubts()
    assert [each.tag for each in doubt.attempts] == [e.tag for e in doubtful.batch.attempts]
    assert all(each.prompt for each in doubt.attempts)
    assert doubt.deadline == doubtful.batch.deadline
    assert expected(doubt) == (False, False, False)
    moment = doubtful.clock.now().replace(microsecond=0)
    times = Times(batch=doubt.batch, began_api=moment, seen_api=moment + MINUTE, clean_api=None)
    await doubtful.store.note_times([times])
    (doubt,) = await doubtful.store.doubts()
    assert (doubt.began_api, doubt.seen_api, doubt.clean_api) == (moment, moment + MINUTE, None)


@dataclass
class Neighbours:
    """Posts before and after one in doubt. The API's clock is right; ours goes as it is set."""

    scene: steps.Scene
    clock: ManualClock
    api: datetime

    def __post_init__(self) -> None:
        self.scene.api_time = self.api

    def wait(self, by: timedelta) -> None:
        self.clock.advance(by)
        self.api += by
        self.scene.api_time = self.scene.api_time and self.api

    def set_clock(self, by: timedelta) -> None:
        self.clock.set_wall(self.clock.now() + by)

    async def lose(self) -> Doubt:
        await self.scene.post(1, how=steps.lost)
        return await self.doubt()

    async def doubt(self) -> Doubt:
        (doubt,) = await self.scene.store.doubts()
        return doubt


@pytest.fixture
async def neighbours(scene: steps.Scene, clock: ManualClock) -> Neighbours:
    now = clock.now()
    # So long ago that they are due by every clock of these tests.
    clock.set_wall(now - 3 * HOUR)
    await scene.load(steps.numbered(9))
    clock.set_wall(now)
    return Neighbours(scene, clock, now)


def expected(doubt: Doubt) -> tuple[bool, bool, bool]:
    return doubt.accepted_near, doubt.accepted_after, doubt.accepted_later


@pytest.mark.parametrize("fast", [timedelta(0), HOUR, -HOUR])
async def test_what_was_accepted_before_it_is_never_expected_as_later(
    neighbours: Neighbours, fast: timedelta
) -> None:
    """F76: dated by a clock that was an hour fast, an older task would vouch for a listing that
    lags behind the doubtful one."""
    neighbours.set_clock(fast)
    await neighbours.scene.post(1)
    neighbours.set_clock(-fast)
    neighbours.wait(2 * MINUTE)
    assert expected(await neighbours.lose()) == (False, False, False)


@pytest.mark.parametrize("fast", [timedelta(0), HOUR, -HOUR])
async def test_what_was_accepted_around_it_is_expected_whatever_our_clock_said(
    neighbours: Neighbours, fast: timedelta
) -> None:
    """The listing has to show them, or it lags or shows no tags."""
    await neighbours.scene.post(1)
    neighbours.set_clock(fast)
    neighbours.wait(MINUTE / 2)
    assert expected(await neighbours.lose()) == (True, False, False)
    neighbours.set_clock(-2 * fast)
    neighbours.wait(MINUTE)
    await neighbours.scene.post(1)
    assert expected(await neighbours.doubt()) == (True, True, False)
    neighbours.wait(MINUTE)
    await neighbours.scene.post(1)
    assert expected(await neighbours.doubt()) == (True, True, True)


async def test_what_was_accepted_hours_later_is_beyond_the_listing(neighbours: Neighbours) -> None:
    """What it cannot show must not be missed in it for ever."""
    await neighbours.lose()
    neighbours.wait(2 * HOUR)
    await neighbours.scene.post(1)
    assert expected(await neighbours.doubt()) == (False, False, False)


async def test_without_the_api_s_time_it_is_later_only_by_what_was_read_since(
    neighbours: Neighbours,
) -> None:
    """The first post of a start may leave before any reply was believed: its deadline is counted
    from the first `Date` after the doubt."""
    neighbours.scene.api_time = None
    doubt = await neighbours.lose()
    assert doubt.over_api is None
    neighbours.wait(MINUTE)
    await neighbours.scene.post(1)
    assert expected(await neighbours.doubt()) == (False, True, False)
    times = Times(
        batch=doubt.batch, began_api=neighbours.api, seen_api=neighbours.api, clean_api=None
    )
    await neighbours.scene.store.note_times([times])
    neighbours.scene.api_time = neighbours.api
    neighbours.wait(2 * MINUTE)
    await neighbours.scene.post(1)
    assert expected(await neighbours.doubt()) == (False, True, True)


async def test_a_task_that_is_known_comes_with_its_batch_and_the_api_s_time(
    neighbours: Neighbours,
) -> None:
    """What it proves about another one hangs on which of the two was intended first."""
    batch = await neighbours.scene.post(1)
    (attempt,) = batch.attempts
    seen = Sighting(tag=attempt.tag, remote_id=steps.remote_id(attempt.tag))
    found = await neighbours.scene.store.found([seen], now=neighbours.clock.now())
    assert found.known == {attempt.tag: Known(batch=batch.id, intended_api=neighbours.api)}


async def test_an_id_is_adopted_once_and_another_one_is_an_incident(doubtful: Doubtful) -> None:
    """Every id at the API belongs to one attempt, or somebody is told what it cost."""
    found = await doubtful.see("one", "two")
    assert (len(found.adopted), found.incidents) == (1, 1)
    assert await doubtful.states() == {State.POSTED: 1, State.UNKNOWN: 2}
    again = await doubtful.see("one", "two")
    assert (len(again.adopted), again.incidents, len(again.known)) == (0, 0, 1)
    (incident,) = await doubtful.store.incidents()
    assert (incident.kind, incident.remote_id) == (IncidentKind.DOUBLE_CHARGE, "two")
    assert incident.amount == 10_000_000


async def test_what_is_seen_after_it_was_taken_for_absent_is_adopted_while_it_waits(
    doubtful: Doubtful,
) -> None:
    """Before the second attempt is sent there is still time: its tag is found, never sent."""
    now = doubtful.clock.now()
    assert await doubtful.store.prove_absent(doubtful.attempts, now=now) == 3
    assert await doubtful.states() == {State.PENDING: 3}
    await doubtful.see("late")
    assert await doubtful.states() == {State.PENDING: 2, State.POSTED: 1}
    assert await doubtful.store.verify() == []


async def test_what_is_seen_after_the_next_attempt_left_is_an_incident(doubtful: Doubtful) -> None:
    """U1: a request may arrive later than anybody waits; then it was paid twice, and is told."""
    await doubtful.store.prove_absent(doubtful.attempts, now=doubtful.clock.now())
    await doubtful.scene.post()
    found = await doubtful.see("late")
    assert (found.adopted, found.incidents) == (frozenset(), 1)
    (incident,) = await doubtful.store.incidents()
    assert incident.attempt == 1


async def test_a_tag_of_this_store_that_it_does_not_know_is_an_orphan(doubtful: Doubtful) -> None:
    """Its row is gone from the input, so that nobody would ask for its answer; other stores' tags
    are nobody's business."""
    ours = Tag.parse(doubtful.batch.attempts[0].tag)
    assert ours is not None
    lost = Tag(ours.install, ours.run, ours.task, "a" * 26, 7)
    other = Tag("aaaaaaaa", ours.run, ours.task, ours.digest, 7)
    assert (await doubtful.see("one", tag=str(other))).incidents == 0
    assert (await doubtful.see("two", tag=str(lost))).incidents == 1
    (incident,) = await doubtful.store.incidents()
    assert incident.kind is IncidentKind.ORPHAN


async def test_a_decision_that_comes_too_late_changes_nothing(doubtful: Doubtful) -> None:
    """A task that was found meanwhile must not be sent again."""
    await doubtful.see("one")
    now = doubtful.clock.now()
    assert await doubtful.store.prove_absent(doubtful.attempts[:1], now=now) == 0
    assert await doubtful.store.quarantine(doubtful.attempts[:1], message="", now=now) == 0
    assert (await doubtful.states())[State.POSTED] == 1


async def test_a_quarantined_task_keeps_its_money_at_risk(doubtful: Doubtful) -> None:
    """Nobody can say that it is not gone."""
    before = (await doubtful.store.status(doubtful.scene.run.id)).money.at_risk
    now = doubtful.clock.now()
    assert await doubtful.store.quarantine(doubtful.attempts, message="no proof", now=now) == 3
    status = await doubtful.store.status(doubtful.scene.run.id)
    assert status.money.at_risk == before > 0
    assert status.states[State.QUARANTINED] == 3
    assert await doubtful.store.verify() == []


async def test_an_incident_is_closed_once(doubtful: Doubtful) -> None:
    """Closed ones are kept, and shown to whoever asks."""
    new = NewIncident(kind=IncidentKind.COST_DIFFERS, message="2 % more", remote_id="one")
    now = doubtful.clock.now()
    assert await doubtful.store.open_incident(new, now=now)
    assert not await doubtful.store.open_incident(new, now=now)
    (incident,) = await doubtful.store.incidents()
    assert await doubtful.store.close_incident(incident.id, now=now)
    assert not await doubtful.store.close_incident(incident.id, now=now)
    assert await doubtful.store.incidents() == []
    assert len(await doubtful.store.incidents(closed=True)) == 1


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("UPDATE run_states SET n = n + 1", "counts"),
        ("UPDATE run_money SET charged_nanousd = 5", "money"),
        ("UPDATE attempts SET tag = 'x'", "tags"),
        ("UPDATE attempts SET remote_id = 'x'", "ids"),
        ("UPDATE tasks SET attempt = 9", "attempts"),
        ("UPDATE attempts SET state = 'failed'", "states"),
        ("UPDATE attempts SET state = 'posted'", "posted"),
        ("UPDATE attempts SET reserved_nanousd = 1", "reserves"),
        ("UPDATE tasks SET state = 'completed'", "answers"),
        ("INSERT INTO rows SELECT 99, id, x'00' FROM runs", "rows"),
        ("UPDATE tasks SET attempt = 2", "open"),
    ],
)
async def test_what_does_not_add_up_is_named(doubtful: Doubtful, damage: str, check: str) -> None:
    """`verify` must be able to fail, or its silence means nothing."""
    assert await doubtful.store.verify() == []
    doubtful.place.damage(damage)
    assert check in {breach.check for breach in await doubtful.store.verify()}

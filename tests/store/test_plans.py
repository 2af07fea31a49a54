"""A server plans by what it believes of a table: no plan may take more than was asked for."""

import pytest

from runner.lifecycle import State
from runner.store.planning import Kind
from tests.store.places import ServerPlace
from tests.store.steps import begin, numbered
from tests.support.clock import ManualClock

KIND = Kind("dataforseo/claude/standard", "claude-sonnet-4-0")


@pytest.fixture
def _read_anew_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan for a table that was empty when the server last looked: what a statement chooses
    from is read once more for each row that it may change."""
    off = ("hashjoin", "mergejoin", "material", "sort", "hashagg")
    monkeypatch.setenv("PGOPTIONS", " ".join(f"-c enable_{each}=off" for each in off))


@pytest.mark.usefixtures("_read_anew_for_each_row")
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_batch_is_no_longer_than_its_limit(
    dsn: str, clock: ManualClock, limit: int
) -> None:
    """A Live call asks one task, a post holds a hundred, and both cost what the budget left."""
    async with ServerPlace(dsn).open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(6))
        batch = await scene.batch(limit)
        assert len(batch.attempts) == limit
        assert await scene.states() == {State.POSTING: limit, State.PENDING: 6 - limit}


@pytest.mark.usefixtures("_read_anew_for_each_row")
async def test_no_more_is_hastened_than_there_is_room_for(dsn: str, clock: ManualClock) -> None:
    """Each is a call."""
    async with ServerPlace(dsn).open(clock) as store:
        scene = await begin(store, clock)
        await scene.load(numbered(6))
        await scene.post(6)
        now = clock.now()
        assert await store.hasten(2, older={KIND: now}, now=now) == 2

"""Claimed tasks on their way to the fetchers."""

from datetime import UTC, datetime

import anyio
import pytest
from anyio.lowlevel import checkpoint

from runner.pipeline.claimed import Claimed
from runner.store.endings import Posted
from runner.task import Endpoint, Provider, RemoteId, TaskId


def posted(number: int) -> Posted:
    return Posted(
        task=TaskId(number),
        attempt=1,
        tag=f"tag{number}",
        remote_id=RemoteId(f"id{number}"),
        endpoint=Endpoint(provider=Provider.CLAUDE),
        posted_at=datetime(2026, 1, 1, tzinfo=UTC),
        polls=0,
        tries=0,
        allowed_tries=3,
        ready=True,
    )


async def turns() -> None:
    """Let everybody who can go on do so."""
    for _ in range(5):
        await checkpoint()


async def test_tasks_are_taken_in_the_order_they_were_claimed_in() -> None:
    """The store gives the most urgent first."""
    claimed = Claimed()
    await claimed.put(map(posted, (3, 1, 2)), left=3)
    assert [(await claimed.take()).task for _ in range(3)] == [3, 1, 2]


@pytest.mark.parametrize("left", [0, 2])
async def test_the_claimer_goes_on_when_few_enough_wait(left: int) -> None:
    """Claimed too early, a lease runs out in the line; too late, fetchers stand idle."""
    claimed, went_on = Claimed(), anyio.Event()

    async def claimer() -> None:
        await claimed.put(map(posted, range(4)), left=left)
        went_on.set()

    async with anyio.create_task_group() as group:
        group.start_soon(claimer)
        await turns()
        for _ in range(4 - left - 1):
            await claimed.take()
        await turns()
        assert not went_on.is_set()
        await claimed.take()
        await turns()
        assert went_on.is_set()


async def test_every_fetcher_that_waits_gets_a_task_once_there_are_enough() -> None:
    """One that is not woken would be missing for the rest of the run."""
    claimed, got = Claimed(), list[int]()

    async def fetcher() -> None:
        got.append((await claimed.take()).task)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(fetcher)
        await turns()
        await claimed.put([posted(1)], left=0)
        await claimed.put([posted(2), posted(3)], left=0)
    assert sorted(got) == [1, 2, 3]


async def test_a_claim_that_brought_nothing_does_not_wait() -> None:
    """The claimer would never look again."""
    claimed = Claimed()
    with anyio.fail_after(30):
        await claimed.put([], left=0)

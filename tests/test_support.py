"""The stand-ins that other tests believe: the manual clock and mocked HTTP."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import ClientSession, ServerDisconnectedError
from aioresponses import aioresponses

from tests.support.clock import START, ManualClock

URL = "http://api.test/v3/task_get"


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    """A test about two stages must see the order that real time would give them."""
    clock = ManualClock()
    woken = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.now() - START))

    await asyncio.gather(sleep(10), sleep(5), sleep(7))
    assert woken == [(n, timedelta(seconds=n)) for n in (5, 7, 10)]
    assert clock.slept == [10, 5, 7]


async def test_a_patient_clock_stands_still_until_it_is_told() -> None:
    """Else a window would pass before the test had looked at what came before it."""
    clock = ManualClock(patient=True)
    early, late = (asyncio.create_task(clock.sleep(n)) for n in (5, 10))
    await clock.until_asleep(2)
    clock.advance(timedelta(seconds=6))
    await early
    assert not late.done()
    assert clock.now() - START == timedelta(seconds=6)
    late.cancel()
    await asyncio.wait([late])
    assert clock.sleeping == 0


def test_a_turned_wall_clock_takes_no_time() -> None:
    """What is measured on the monotonic clock must not notice an operator."""
    clock = ManualClock()
    before = clock.monotonic()
    clock.set_wall(START - timedelta(days=1))
    assert clock.monotonic() == before
    assert clock.now() == START - timedelta(days=1)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(timedelta(seconds=-1))


@pytest.mark.parametrize("size", [10, 700_000])
async def test_a_mocked_answer_of_any_size_can_be_read(size: int) -> None:
    """A ready answer for 100 tasks is far over the limit of aiohttp's stream."""
    with aioresponses() as api:
        api.get(URL, body=b"x" * size, headers={"X-RateLimit-Limit": "2000"}, repeat=True)
        async with ClientSession() as session:
            async with session.get(URL) as reply:
                assert await reply.read() == b"x" * size
                assert reply.headers["X-RateLimit-Limit"] == "2000"
            async with session.get(URL) as reply:
                pieces = [piece async for piece in reply.content.iter_chunked(1000)]
            assert sum(map(len, pieces)) == size


async def test_a_mocked_failure_is_raised_and_a_refusal_has_its_status() -> None:
    """The client sorts these; the mock must not blur them."""
    with aioresponses() as api:
        api.post(URL, payload={"status_code": 40210}, status=402)
        api.post(URL, exception=ServerDisconnectedError())
        async with ClientSession() as session:
            async with session.post(URL, json=[]) as reply:
                assert reply.status == 402
                assert await reply.json() == {"status_code": 40210}
            with pytest.raises(ServerDisconnectedError):
                await session.post(URL, json=[])

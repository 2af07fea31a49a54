"""Death at every failpoint of a Live call, for each thing that can become of the call."""

import asyncio
from pathlib import Path

import pytest

from tests.crash.live_deaths import LIVE, die
from tests.crash.sweep import AT_ONCE, Fate


@pytest.mark.parametrize("fate", Fate)
async def test_a_death_around_a_live_call_pays_nothing_twice_in_silence(
    tmp_path: Path, fate: Fate
) -> None:
    """Its answer comes with the reply or never: what is lost is shown with its amount, and asked
    again only when a person says so."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(point: str) -> str | None:
        async with free:
            return await die(tmp_path / point, next(p for p in LIVE if p == point), fate)

    points = sorted(LIVE)
    ended = await asyncio.gather(*(one(point) for point in points))
    wrong = {point: said for point, said in zip(points, ended, strict=True) if said}
    assert not wrong

"""Death at every failpoint of a Live call, for each thing that can become of the call."""

import asyncio
from pathlib import Path

import pytest

from runner.failpoints import Point
from tests.crash.live_deaths import LIVE, die
from tests.crash.sweep import AT_ONCE, Fate, Kept, Means


@pytest.mark.parametrize("fate", Fate)
async def test_a_death_around_a_live_call_pays_nothing_twice_in_silence(
    tmp_path: Path, fate: Fate, means: Means
) -> None:
    """Its answer comes with the reply or never: what is lost is shown with its amount, and asked
    again only when a person says so."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(point: Point, kept: Kept) -> str | None:
        async with free:
            return await die(tmp_path / f"{point}-{kept.name}", point, fate, kept, means)

    cases = [(point, kept) for point in sorted(LIVE) for kept in Kept]
    ended = await asyncio.gather(*(one(*case) for case in cases))
    wrong = {case: said for case, said in zip(cases, ended, strict=True) if said}
    assert not wrong

"""Fixtures of the stages' tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import stamina

from tests.pipeline.scene import Scene, staged
from tests.support.clock import ManualClock


@pytest.fixture
async def scene(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Scene]:
    """An engine with a run that nothing is loaded into yet; the account has no faults."""
    async with staged(tmp_path, clock) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_waits_within_a_call() -> Iterator[None]:
    """The client's tries within one call follow at once; its own tests see to the waits."""
    with stamina.set_testing(True, attempts=3):
        yield

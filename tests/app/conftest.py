"""Fixtures for whole starts."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import stamina

from runner.pipeline import live, submitter
from tests.app.place import Place, placed


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A workspace and an account without faults."""
    async with placed(tmp_path) as made:
        yield made


@pytest.fixture(autouse=True)
def _no_intent_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds of a clock that runs 8 or 60 times as fast are less than a busy machine, or a
    disk that syncs, may take between an intent and its post. `tests/pipeline` has that limit."""
    for module in (submitter, live):
        monkeypatch.setattr(module, "STALE_S", 3_600.0)


@pytest.fixture(autouse=True)
def _no_waits_within_a_call() -> Iterator[None]:
    """The client's tries within one call follow at once; its own tests see to the waits."""
    with stamina.set_testing(True, attempts=3):
        yield

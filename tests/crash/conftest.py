"""What all deaths share: a server for the stores that are on one, and a warm `runner`."""

from collections.abc import Iterator

import pytest

from tests.crash.sweep import Means
from tests.support.postgres import Server
from tests.support.warm import warm


@pytest.fixture(scope="session")
def means(durable_postgres: Server) -> Iterator[Means]:
    """Made once: to start a server or to import everything takes longer than most cases."""
    with warm() as ready:
        yield Means(durable_postgres, ready)

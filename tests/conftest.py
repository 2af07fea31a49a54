"""Set-up for every test: hypothesis, mocked HTTP, a clock that only the test moves.

A test that needs the machine's own time makes a ``SystemClock``; nothing here is patched.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support import mocked_http
from tests.support.clock import ManualClock
from tests.support.postgres import Server, serving

# A shared or loaded machine is slow at times, and that says nothing about the code. In CI every
# run tries the same examples: a red run there can be had again.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

mocked_http.bridge()


@pytest.fixture
def clock() -> ManualClock:
    """A clock whose sleepers do not wait."""
    return ManualClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, started when the first test asks for it."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def durable_postgres() -> Iterator[Server]:
    """A server that saves as a real one does: the program itself accepts no other."""
    with serving(durable=True) as server:
        yield server

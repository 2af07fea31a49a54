"""Fixtures of the simulator's tests."""

import pytest

from runner.simulator.account import Account
from tests.simulator.helpers import ManualClock, new_account


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def account(clock: ManualClock) -> Account:
    return new_account(clock)

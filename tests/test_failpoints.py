"""Named places to die: each in one place of the code, and dead silent in production."""

import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from runner import failpoints
from runner.failpoints import VARIABLE, Point
from tests.support.commands import environment

ROOT = Path(__file__).resolve().parent.parent


def python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


STORE = ROOT / "runner" / "store"


@pytest.mark.parametrize(
    ("store", "others"),
    [
        ("a file", {STORE / "postgres"}),
        ("a server", {STORE / "sqlite", STORE / "migrate.py"}),
    ],
)
def test_each_point_stands_in_exactly_one_place_with_either_store(
    store: str, others: set[Path]
) -> None:
    """Two places under one name would be swept as if they were one, and none as if it were safe."""
    used: Counter[str] = Counter()
    for path in (ROOT / "runner").rglob("*.py"):
        if not others & {path, path.parent}:
            used.update(re.findall(r"\bhit\(Point\.(\w+)\)", path.read_text(encoding="utf-8")))
    assert used == Counter(point.name for point in Point), f"where the store is {store}"


def test_without_an_order_a_point_is_a_call_of_nothing() -> None:
    """It stands in the middle of what posts and stores: no look at the environment each time."""
    assert failpoints.armed(None) is failpoints.armed("")
    assert failpoints.armed(None)(Point.INTENT_DURABLE) is None
    ended = python(
        "from runner.failpoints import Point, hit\nfor p in Point: hit(p)\nprint('alive')"
    )
    assert ended.stdout == "alive\n"


def test_an_order_strikes_its_own_point_at_its_own_turn_and_like_a_power_cut() -> None:
    """No handler, no `finally`, no flush may run: the sweep would prove too little."""
    code = (
        "from runner.failpoints import Point, hit\n"
        "try:\n"
        "    for n in range(3):\n"
        "        print(n, flush=True)\n"
        "        hit(Point.BOOK_INSIDE)\n"
        "        hit(Point.BOOK_DURABLE)\n"
        "finally:\n"
        "    print('cleaned up', flush=True)\n"
    )
    ended = python(code, **{VARIABLE: "book.durable:2"})
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "0\n1\n")


@pytest.mark.parametrize("order", ["nowhere", "book.durable:0", "book.durable:x", "BOOK_DURABLE"])
def test_an_order_for_no_point_stops_the_process_before_it_does_anything(order: str) -> None:
    """A sweep with a misspelt name would pass without a single death."""
    ended = python("import runner.failpoints\nprint('went on')", **{VARIABLE: order})
    assert ended.returncode == 1
    assert not ended.stdout
    assert VARIABLE in ended.stderr
    assert order in ended.stderr

"""The benchmarks run, on small numbers: what they print is for people, and nothing of it is judged
here but memory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import CASES
from bench.measuring import Line, Sample, skipped, take_turns

ROOT = Path(__file__).resolve().parent.parent.parent

MOST_MB = 160
"""Of a small load or run: what the modules take, and a margin for other allocators."""

NEEDS_CLIENT = {"post", "collect", "run"}
"""Cases that can do without a ratio where the official client cannot be installed."""


@pytest.mark.timeout(600)
def test_every_benchmark_prints_a_ratio_or_why_there_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A benchmark that broke unseen would be missed when it is needed."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json"],
        cwd=ROOT,
        # Where there is no network that should be known soon.
        env={**os.environ, "PIP_RETRIES": "0", "PIP_DEFAULT_TIMEOUT": "15"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    lines: list[dict[str, Any]] = json.loads(done.stdout)["lines"]
    # A change that makes things slower shows in the log of the tests.
    with capsys.disabled():
        print()
        for line in lines:
            said = line["note"] if line["ratio"] is None else f"{line['ratio']:.3f}"
            print(f"{line['case']:<12} {said} {line['goal']}  {line['what']}")

    cases = {line["case"].split(".")[0] for line in lines}
    assert set(CASES) <= cases
    for line in lines:
        if line["ratio"] is None:
            assert line["case"].split(".")[0] in NEEDS_CLIENT, line
            assert line["note"], line
        else:
            assert line["ratio"] > 0, line
    memory = {line["case"]: line["ratio"] for line in lines if line["case"].endswith(".memory")}
    assert memory.keys() == {"load.memory", "run.memory"}
    assert max(memory.values()) < MOST_MB


def test_the_sides_of_a_case_take_turns() -> None:
    """One side after the other would give all of the machine's bad minute to one of them."""
    order: list[str] = []

    def side(name: str) -> Sample:
        order.append(name)
        return Sample(float(len(order)))

    samples = take_turns({"a": lambda: side("a"), "b": lambda: side("b")}, 3)
    assert order == ["a", "b"] * 3
    assert [each.seconds for each in samples["b"]] == [2.0, 4.0, 6.0]


@pytest.mark.parametrize(
    ("goal", "ratio", "met"),
    [
        ("≥ 2", 2.0, True),
        ("≥ 2", 1.99, False),
        ("≤ 1.05", 1.05, True),
        ("≤ 1.05", 1.06, False),
        ("", 7.0, None),
    ],
)
def test_a_line_says_whether_its_goal_is_met(goal: str, ratio: float, met: bool | None) -> None:
    """A goal read the wrong way round would praise what got worse."""
    line = Line(case="x", what="y", ratio=ratio, goal=goal)
    assert line.met() is met
    assert ("MISSED" in line.text()) is (met is False)
    assert Line.read(line.document()) == line


def test_a_skipped_line_says_why() -> None:
    """An empty cell looks like a zero."""
    line = skipped("post", "× the client", "no network")
    assert line.met() is None
    assert "no network" in line.text()

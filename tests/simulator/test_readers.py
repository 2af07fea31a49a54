"""Scenarios come from flags, files and control messages; mistakes in them are named."""

from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from runner.errors import WrongInput
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault, FaultRate
from runner.simulator.latency import Latency, Shape, read_latency
from runner.simulator.readers import (
    read_strike,
    scenario_from_options,
    scenario_from_table,
    scenario_from_toml,
)
from runner.simulator.scenario import Running, Scenario


def test_no_flags_make_an_account_without_faults() -> None:
    """`runner simulate` alone must behave well."""
    assert scenario_from_options() == Scenario()
    assert Scenario().faults == ()


def test_flags_become_a_scenario() -> None:
    """The flags of UX.md, as people write them."""
    made = scenario_from_options(
        latency="2s", error_rate="2%", lose_posts="0.01", speed="60x", seed=3
    )
    assert made.latency == Latency(Shape.CONSTANT, 2.0)
    assert (made.error_rate, made.speed, made.seed) == (0.02, 60.0, 3)
    assert {(rate.fault, rate.rate, rate.call) for rate in made.faults} == {
        (Fault.DROP_AFTER, 0.005, CallKind.TASK_POST),
        (Fault.DROP_BEFORE, 0.005, CallKind.TASK_POST),
    }


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"latency": "soon"}, "--latency"),
        ({"latency": "9s..1s"}, "--latency"),
        ({"latency": "lognormal 1s x"}, "--latency"),
        ({"error_rate": "200%"}, "--error-rate"),
        ({"lose_posts": "few"}, "--lose-posts"),
        ({"speed": "0"}, "--speed"),
        ({"speed": "fast"}, "--speed"),
    ],
)
def test_a_wrong_flag_is_named(flags: dict[str, Any], named: str) -> None:
    """Exit 2, with the flag to look at."""
    with pytest.raises(WrongInput, match=named):
        scenario_from_options(**flags)


def test_a_file_becomes_a_scenario(tmp_path: Path) -> None:
    """Faults for every call stand above those of one kind."""
    path = tmp_path / "bad_day.toml"
    path.write_text(
        'seed = 3\nbalance_usd = "12.5"\nlatency = "1s..30s"\nrunning = "created"\n'
        '[faults]\nhtml = 0.001\n[faults.task_post]\ndrop_after = "1%"\n'
    )
    made = scenario_from_toml(path)
    assert made.balance == 12_500_000_000
    assert made.latency == Latency(Shape.UNIFORM, 1.0, 30.0)
    assert made.running is Running.CREATED
    assert made.faults == (
        FaultRate(fault=Fault.HTML, rate=0.001),
        FaultRate(fault=Fault.DROP_AFTER, rate=0.01, call=CallKind.TASK_POST),
    )


def test_all_mistakes_of_a_file_are_named_with_their_lines(tmp_path: Path) -> None:
    """One look at the file has to be enough."""
    path = tmp_path / "wrong.toml"
    path.write_text('seed = -1\nlatancy = "2s"\n\n[faults]\ndrop_aftr = 0.1\n')
    with pytest.raises(WrongInput) as caught:
        scenario_from_toml(path)
    told = [str(problem) for problem in caught.value.problems]
    assert [line.removeprefix(f"{path}:").split(": ")[0] for line in told] == ["1:1", "2:1", "4:2"]
    assert "did you mean latency?" in told[1]
    assert "did you mean drop_after?" in told[2]


@pytest.mark.parametrize("content", ["seed = [", None])
def test_an_unreadable_file_is_named(tmp_path: Path, content: str | None) -> None:
    """No TOML, or no file at all."""
    path = tmp_path / "scenario.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(WrongInput, match=r"scenario\.toml"):
        scenario_from_toml(path)


@pytest.mark.parametrize(
    "table",
    [
        {"error_rate": True},
        {"error_codes": []},
        {"rate_headers": "yes"},
        {"calls_per_minute": 0},
        {"balance_usd": "much"},
        {"faults": {"nowhere": {"html": 0.1}}},
        {"faults": {"html": 2}},
        {"faults": 1},
        {"running": "standing"},
        {"echo_without": "tag"},
        {"reply_delay_s": -1},
    ],
)
def test_values_of_the_wrong_kind_are_refused(table: dict[str, object]) -> None:
    """A scenario that is silently something else makes every test under it worthless."""
    (name,) = table
    with pytest.raises(WrongInput, match=name):
        scenario_from_table(table)


@pytest.mark.parametrize(
    "table", [{}, {"fault": "drop"}, {"fault": "html", "times": 0}, {"fault": "html", "rate": 1}]
)
def test_a_wrong_order_is_refused(table: dict[str, object]) -> None:
    """An order that never strikes would let a test pass for nothing."""
    with pytest.raises(WrongInput):
        read_strike(table)


def test_passwords_do_not_show() -> None:
    """Scenarios get printed."""
    assert "hunter2" not in repr(scenario_from_table({"password": "hunter2"}))


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("250ms", 0.25, 0.25), ("1m..2m", 60, 120), ("1h", 3600, 3600), ("0s..1d", 0, 86400)],
)
def test_run_times_stay_within_their_bounds(text: str, low: float, high: float) -> None:
    """Units are those that people write."""
    rng = Random(1)
    drawn = [read_latency(text).draw(rng) for _ in range(200)]
    assert timedelta(seconds=low) <= min(drawn) <= max(drawn) <= timedelta(seconds=high)


def test_a_lognormal_has_its_median_and_a_slow_tail() -> None:
    """Most answers come soon, a few late: what polling has to cope with."""
    rng = Random(1)
    drawn = sorted(read_latency("lognormal 4s 1").draw(rng).total_seconds() for _ in range(2001))
    assert 3.5 < drawn[1000] < 4.5
    assert drawn[-1] > 40

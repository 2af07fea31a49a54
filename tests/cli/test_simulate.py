"""`runner simulate`: flags and scenario files to a scenario."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from runner.cli.actions.simulate import command_for, scenario_of
from runner.cli.commands.simulate import command
from runner.errors import Exit
from runner.simulator.scenario import Scenario
from tests.cli.calling import FakeApp, call

if TYPE_CHECKING:
    from runner.cli.commands.simulate import SimulateOptions


def options(**given: Any) -> "SimulateOptions":
    values: SimulateOptions = {
        "host": "127.0.0.1",
        "port": 0,
        "latency": None,
        "error_rate": None,
        "lose_posts": None,
        "speed": None,
        "seed": None,
        "scenario": None,
        "calls_per_minute": None,
        "login": None,
        "password": None,
        "account": None,
    }
    cast("dict[str, Any]", values).update(given)
    return values


def test_without_flags_it_is_an_account_without_faults() -> None:
    """A rehearsal that fails by chance teaches nothing."""
    assert scenario_of(options()) == Scenario()


def test_the_help_tells_what_holds_without_a_flag() -> None:
    """Who does not know how slow and how sound it is cannot read what a rehearsal took."""
    usual = Scenario()
    told = {
        o.opts[0]: str(getattr(o, "help", "")).partition("default: ")[2] for o in command.params
    }
    shape = usual.latency
    assert told["--latency"] == f'"{shape.shape} {shape.seconds:g}s {shape.other:g}".'
    assert told["--error-rate"] == told["--lose-posts"] == "none."
    assert (usual.error_rate, usual.faults) == (0, ())
    assert told["--speed"] == f"{usual.speed:g}x."
    assert told["--seed"] == f"{usual.seed}."
    assert told["--calls-per-minute"] == f"{usual.calls_per_minute}."
    assert told["--account"] == "it ends with the command."


def test_flags_go_before_the_file(tmp_path: Path) -> None:
    """The file is shared; the flag is what is tried out now."""
    file = tmp_path / "s.toml"
    file.write_text('seed = 3\ncalls_per_minute = 600\nspeed = 60\nlogin = "a"\n', "utf-8")
    scenario = scenario_of(options(scenario=file, seed=8, login="b", password="c", speed="2x"))
    assert (scenario.seed, scenario.calls_per_minute, scenario.speed) == (8, 600, 2.0)
    assert (scenario.login, scenario.password) == ("b", "c")


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (["--error-rate", "lots"], "--error-rate"),
        (["--speed", "fast"], "--speed"),
        (["--scenario", "nowhere.toml"], "nowhere.toml"),
        (["--port", "70000"], "--port"),
        (["--host", "no-such-host.invalid", "--port", "0"], "no-such-host.invalid"),
    ],
)
def test_a_flag_that_cannot_be_read_is_named(argv: list[str], word: str, folder: Path) -> None:
    """Before anything listens."""
    ended = call("simulate", *argv)
    assert ended.code is Exit.WRONG_INPUT
    assert word in ended.err


@pytest.mark.parametrize(
    ("argv", "said", "way_on"),
    [
        (["--account", "prompts.csv/a"], "prompts.csv/a cannot be opened: Not a dir", "--account"),
        (["--scenario", "no.toml"], "the scenario no.toml cannot be read: No such f", "--scenario"),
        (["--scenario", "x.toml"], "the scenario x.toml cannot be read: it is not UTF-8", "--sc"),
    ],
)
def test_a_file_that_cannot_be_had_is_told_in_words(
    argv: list[str], said: str, way_on: str, folder: Path
) -> None:
    """`[Errno 30]` means something to few, and names no way on to anybody."""
    (folder / "x.toml").write_bytes(b"\xff")
    ended = call("simulate", *argv)
    assert ended.code is Exit.WRONG_INPUT
    assert said in ended.err
    assert "Errno" not in ended.err
    assert way_on in ended.err.splitlines()[-1]


def test_the_command_that_it_shows_keeps_out_of_the_store_of_real_answers(
    folder: Path, fake: FakeApp
) -> None:
    """Invented answers in runner.db would be counted as done, and as paid, for ever."""
    url = "http://127.0.0.1:8801"
    argv = shlex.split(command_for(url))[1:]
    ended = call(*argv, environ={"DATAFORSEO_LOGIN": "any", "DATAFORSEO_PASSWORD": "any"})
    assert ended.code is Exit.DONE, ended.err
    assert fake.settings is not None
    assert (fake.settings.api.base_url, fake.settings.store.name) == (url, "simulated.db")
    assert fake.job is not None
    assert fake.job.output_dir == folder / "simulated"

"""Options of every command: before its name, after it, or both."""

from pathlib import Path

import pytest

from runner import logs
from runner.app import StopSwitch
from runner.cli.catalogue import BY_NAME
from runner.cli.shared import shared_options
from runner.errors import Exit
from runner.settings import ApiKind
from tests.cli.calling import FakeApp, call


@pytest.mark.parametrize(
    "argv",
    [
        ["--json", "status"],
        ["status", "--json"],
    ],
)
def test_a_shared_option_may_stand_before_or_after_the_command(
    argv: list[str], folder: Path
) -> None:
    """Nobody remembers which side an option belongs to."""
    assert call(*argv).document["schema"] == "runner.status/1"


def test_of_two_the_later_one_counts(folder: Path, fake: FakeApp) -> None:
    """An alias sets a default before the command; what is typed behind it must win."""
    call("--api", "live", "run", "prompts", "--api", "sim")
    assert fake.settings is not None
    assert str(fake.settings.api) == "sim"
    call("--api", "sim", "run", "prompts", "--api", "sandbox")
    assert str(fake.settings.api) == "sandbox"


def test_an_option_that_was_not_given_behind_leaves_the_one_before_alone(
    folder: Path, fake: FakeApp
) -> None:
    """The defaults of the second place must not win over what was said in the first."""
    call("--api", "sim", "--store", "other.db", "run", "prompts")
    assert fake.settings is not None
    assert fake.settings.api.kind is ApiKind.SIM
    assert fake.settings.store == folder / "other.db"


def test_both_places_count_for_verbosity(folder: Path, fake: FakeApp) -> None:
    """`-v` twice is `-vv`, wherever they stand."""
    seen = []

    def look(stop: StopSwitch) -> None:
        seen.append(logs.calls_logged())
        stop.request()

    fake.during = look
    call("-v", "run", "prompts", "-v")
    call("run", "prompts", "-v")
    assert seen == [True, False]


def test_a_folder_counts_for_everything_that_is_relative(
    folder: Path, fake: FakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `git -C`: cron has another current folder than the person who tried the line."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert call("-C", str(folder), "run", "jobs/prompts.toml").code is Exit.DONE
    assert fake.settings is not None
    assert fake.settings.workspace == folder


def test_a_folder_that_is_not_there_is_named(folder: Path) -> None:
    """A wrong -C must not run in whatever folder cron starts in."""
    ended = call("-C", "nowhere", "status")
    assert ended.code is Exit.WRONG_INPUT
    assert "-C nowhere" in ended.err


@pytest.mark.parametrize("name", BY_NAME)
def test_every_command_takes_every_shared_option(name: str) -> None:
    """UX.md §5: no exceptions; each of them has one meaning everywhere."""
    module = __import__(BY_NAME[name].module, fromlist=["command"])
    taken = {option for parameter in module.command.params for option in parameter.opts}
    assert {option for shared in shared_options() for option in shared.opts} <= taken


def test_no_command_gives_a_reserved_letter_another_meaning() -> None:
    """`-v` that means one thing here and another there is a trap (UX.md §2.1)."""
    reserved = {
        "-v": "--verbose",
        "-q": "--quiet",
        "-n": "--dry-run",
        "-y": "--yes",
        "-o": "--output",
    }
    for entry in BY_NAME.values():
        module = __import__(entry.module, fromlist=["command"])
        for parameter in module.command.params:
            for letter in reserved.keys() & set(parameter.opts):
                assert reserved[letter] in parameter.opts, (entry.name, letter)

"""Whoever pastes a command from a message acts on the store that the message is about."""

from pathlib import Path

import pytest

from runner.cli.pasting import completed
from runner.cli.shared import Shared
from runner.errors import Exit, MoneyStopped, RunnerError
from tests.cli.calling import FakeApp, Stream, call, status_of
from tests.cli.test_voice import voice

THERE = Shared(api="sim", store="my store.db")
FLAGS = "--api sim --store 'my store.db'"


@pytest.mark.parametrize(
    ("text", "pasted"),
    [
        ("runner status", f"runner {FLAGS} status"),
        ("see: runner errors x · runner retry x", "see: runner {0} errors x · runner {0} retry x"),
        ("`runner run` and `runner work` decide", "`runner {0} run` and `runner {0} work` decide"),
        ("runner check jobs/x.toml", "runner check jobs/x.toml"),
        ("runner run demo --api sim", "runner run demo --api sim"),
        ("runner --store other.db poll", "runner --store other.db poll"),
        ("runner load --help", "runner load --help"),
        ("runner help job-file", "runner help job-file"),
        ("the runner may know", "the runner may know"),
        ("./runner status", "./runner status"),
    ],
)
def test_a_command_is_given_the_flags_that_it_needs(text: str, pasted: str) -> None:
    """Without --api and --store it would look at, or pay from, another store."""
    assert completed(text, THERE) == pasted.format(FLAGS)
    assert completed(text, Shared()) == text
    assert completed(completed(text, THERE), THERE) == pasted.format(FLAGS)


def test_the_folder_is_given_to_every_command() -> None:
    """Paths in a message are relative to it."""
    text = completed("runner check x.toml, then: runner run x.toml", Shared(folder=Path("a b")))
    assert text == "runner -C 'a b' check x.toml, then: runner -C 'a b' run x.toml"


def test_an_address_that_may_hold_a_password_is_left_out() -> None:
    """The environment has it; a terminal's scrollback should not."""
    shared = Shared(store="postgresql://me:secret@db/runner")
    assert completed("runner status", shared) == "runner status"


def test_every_kind_of_message_has_them() -> None:
    """One place sees to it, so that nobody who writes a message has to think of it."""
    err = Stream()
    speaker = voice(THERE, err=err, environ={})
    command = "runner status"
    speaker.note(command)
    speaker.warn(command)
    speaker.alarm("alarm", command, Exit.DONE)
    speaker.error(RunnerError(command, why=command, how=command), Exit.WRONG_INPUT)
    assert err.text.count(f"runner {FLAGS} status") == 6
    document = speaker.error_document(RunnerError("no", how=command), Exit.WRONG_INPUT)
    assert document["how"] == f"runner {FLAGS} status"


def test_the_way_on_of_a_stopped_run_has_them(folder: Path, fake: FakeApp) -> None:
    """It is the command that spends money."""
    fake.status, fake.exit = status_of(pending=3), Exit.MONEY
    fake.reason = MoneyStopped("no room", how="runner run x.toml --budget 5   (or raise it)")
    ended = call("run", "prompts", "--api", "sim")
    assert "go on with: runner --api sim run x.toml --budget 5" in ended.err
    result = call("run", "prompts", "--api", "sim", "--json").events[-1]
    assert result["error"]["how"].startswith("runner --api sim run x.toml")

"""What `runner` shows before it does anything, and what it must not import for that."""

import json
import subprocess
import sys

import pytest

from runner.cli.catalogue import BY_NAME, COMMANDS
from runner.cli.exit_codes import CRON, MEANING
from runner.errors import Exit
from tests.cli.calling import call

NAMES = tuple(BY_NAME)


def help_of(*argv: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of a help, which click prints to the process's own stdout."""
    assert call(*argv).code is Exit.DONE
    return capsys.readouterr().out.splitlines()


def test_no_help_imports_what_only_work_needs() -> None:
    """Completion and `--help` that load the whole program take over a second (UX.md §2.10)."""
    script = (
        "import sys, io, contextlib, json\n"
        "from runner.cli import main\n"
        f"calls = [['--help'], [], ['help']] + [[name, '--help'] for name in {NAMES!r}]\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    codes = [main(call) for call in calls]\n"
        "heavy = {'aiohttp', 'pydantic', 'rich', 'structlog', 'anyio', 'aiosqlite', 'msgspec'}\n"
        "print(json.dumps([codes, sorted(heavy & set(sys.modules))]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    codes, imported = json.loads(done.stdout)
    assert set(codes) == {0}
    assert imported == []


@pytest.mark.parametrize("name", NAMES)
def test_each_help_begins_with_an_example_that_can_be_pasted(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """People copy the first line that they see (UX.md §2.10)."""
    first = help_of(name, "--help", capsys=capsys)[0]
    assert first == f"  {BY_NAME[name].examples[0]}"
    assert first.startswith(f"  runner {name}")


@pytest.mark.parametrize("name", NAMES)
def test_each_help_lists_the_exit_codes_that_the_command_can_give_and_no_other(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrapper script is written from this list (UX.md §2.3)."""
    lines = help_of(name, "--help", capsys=capsys)
    listed = [int(line.split()[0]) for line in lines[lines.index("Exit codes:") + 1 :]]
    assert listed == sorted({0, *map(int, BY_NAME[name].codes)})


def test_only_what_sends_or_plans_to_can_fail_for_money() -> None:
    """Codes in a help that cannot happen teach people to ignore the list."""
    sending = {entry.name for entry in COMMANDS if Exit.MONEY in entry.codes}
    assert sending == {"plan", "run", "retry", "submit", "poll", "work", "account"}
    assert all(Exit.WRONG_INPUT in entry.codes for entry in COMMANDS)


@pytest.mark.parametrize("name", NAMES)
def test_every_option_of_a_help_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An option without a word is a riddle."""
    command = help_of(name, "--help", capsys=capsys)
    assert command
    module = __import__(BY_NAME[name].module, fromlist=["command"])
    assert [p.name for p in module.command.params if hasattr(p, "help") and not p.help] == []


def test_runner_alone_shows_the_everyday_commands_and_two_examples() -> None:
    """Who knows nothing yet types just this."""
    shown = call()
    assert shown.code is Exit.DONE
    for entry in COMMANDS:
        assert (f"\n  {entry.name} " in shown.out) == entry.everyday
    assert shown.out.count("\n  runner run ") == 2


def test_the_tree_names_every_command_every_shared_option_and_every_topic(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`runner help` is the one page with everything."""
    text = "\n".join(help_of("help", capsys=capsys))
    assert text == "\n".join(help_of("--help", capsys=capsys))
    for word in (*NAMES, "-C DIR", "--api", "--log-file", "--no-input", "exit-codes"):
        assert word in text


def test_the_table_of_exit_codes_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """A code that the table lacks is one that nobody can handle."""
    lines = help_of("help", "exit-codes", capsys=capsys)
    assert [int(line.split()[0]) for line in lines[1:]] == [int(code) for code in Exit]
    assert set(MEANING) == set(CRON) == set(Exit)


def test_help_of_a_command_is_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`runner help run` and `runner run --help` must not drift apart."""
    assert help_of("help", "run", capsys=capsys) == help_of("run", "--help", capsys=capsys)


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["stauts"], "did you mean status?"),
        (["run", "x", "--wiat", "0"], "did you mean --wait?"),
        (["help", "exit-code"], "did you mean exit-codes?"),
        (["help", "retyr"], "did you mean retry?"),
    ],
)
def test_a_typo_is_answered_with_what_was_meant(argv: list[str], meant: str) -> None:
    """UX.md §2.1."""
    ended = call(*argv)
    assert ended.code is Exit.WRONG_INPUT
    assert ended.out == ""
    assert meant in ended.err
    assert "go on with: runner" in ended.err


def test_commands_have_no_hidden_abbreviations() -> None:
    """`runner sta` that works today would mean something else after the next command."""
    assert call("sta").code is Exit.WRONG_INPUT


def test_a_mistake_on_the_command_line_is_json_too_wherever_json_was_asked_for() -> None:
    """A program reads stdout, whatever goes wrong (UX.md §2.4)."""
    ended = call("run", "--nonsense", "--json")
    assert ended.code is Exit.WRONG_INPUT
    assert ended.document["event"] == "error"
    assert ended.document["exit"] == 2
    assert "--nonsense" in ended.document["what"]

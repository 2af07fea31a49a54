"""docs/commands.md says what the helps say, and no help says it with control characters."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli.catalogue import BY_NAME, COMMANDS, TOPICS
from runner.cli.reference import REGENERATE, reference
from runner.cli.topics import text
from tests.support.commands import ROOT, environment

PAGE = ROOT / "docs" / "commands.md"
HELPS = [
    [],
    ["help"],
    ["--help"],
    *(["help", topic] for topic in TOPICS),
    *([name, "--help"] for name in BY_NAME),
]


def test_the_page_of_commands_is_the_one_that_the_tree_makes() -> None:
    """People search the page, and paste from it."""
    page = PAGE.read_text("utf-8") if PAGE.exists() else ""
    assert page == reference(), f"docs/commands.md has drifted; make it again: {REGENERATE}"


def test_the_command_that_the_page_names_makes_it() -> None:
    """The failing test prints it."""
    python, *arguments = REGENERATE.partition(" > ")[0].split()
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, check=True, cwd=ROOT, env=environment()
    )
    assert done.stdout.decode("utf-8") == reference()


def test_the_page_has_every_command_with_example_options_and_codes() -> None:
    """It is the only page with all of it."""
    parts = re.split(r"^## (\S+)\n", reference(), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    for entry in COMMANDS:
        section = sections[entry.name]
        assert all(f"\n{example}\n" in section for example in entry.examples)
        codes = re.findall(r"^Exit codes: (.*)\.$", section, re.MULTILINE)
        assert codes == [", ".join(str(int(code)) for code in sorted({0, *entry.codes}))]
        command = __import__(entry.module, fromlist=["command"]).command
        own = [p for p in command.params if not getattr(p, "hidden", False)]
        for parameter in own:
            assert parameter.help.replace("|", "\\|") in section
            assert all(name in section for name in parameter.opts if name.startswith("-"))


def test_the_page_has_every_topic_and_a_link_to_it() -> None:
    """Who reads on the web has no `runner help`, and job files have settings that stand nowhere
    else."""
    page = reference()
    for topic in TOPICS:
        place = "exit-codes" if topic == "exit-codes" else f"help-{topic}"
        assert f"- [`runner help {topic}`](#{place}): " in page
        assert topic == "exit-codes" or f"\n## help {topic}\n\n```\n{text(topic)}```\n" in page


def test_the_page_depends_neither_on_the_terminal_nor_on_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else it would drift from one machine to the next."""
    made = reference()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert reference() == made


def test_no_help_has_a_control_character_in_a_pipe(tmp_path: Path) -> None:
    """`runner help | less` and a log of it (UX.md §10, 3), even where colours are forced."""
    script = (
        "import sys\n"
        "from runner.cli import main\n"
        f"for argv in {HELPS!r}:\n"
        "    print('##', argv, flush=True)\n"
        "    assert main(argv) == 0, argv\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env=environment(FORCE_COLOR="1", TERM="xterm-256color"),
    )
    text = done.stdout.decode("utf-8")
    assert done.stderr == b""
    assert text.count("\n## ") == len(HELPS) - 1
    assert sorted(set(re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text))) == []
    assert not [line for line in text.splitlines() if line != line.rstrip()]

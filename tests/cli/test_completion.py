"""What a shell offers at TAB, asked as the shell asks and once through a real bash."""

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner import resources
from runner.cli.catalogue import BY_NAME, TOPICS
from runner.errors import Exit
from tests.cli.calling import call
from tests.reports.filling import filled
from tests.support.commands import ROOT, environment

SHIPPED = [path.stem for path in resources.shipped_jobs()]


@pytest.fixture
async def workspace(folder: Path) -> Path:
    """``folder`` with two jobs, two nights of one of them, and a rehearsal."""
    shutil.copy(folder / "jobs" / "prompts.toml", folder / "jobs" / "brands.toml")
    for store, job, key in (
        ("runner.db", "brands", "2026-11-20"),
        ("runner.db", "brands", "2026-11-21"),
        ("runner-sim.db", "rehearsed", ""),
    ):
        async with filled(folder / store, [{"prompt": "why?"}], job=job, run_key=key):
            pass
    return folder


def offers(line: str, **variables: str) -> list[str]:
    """What bash is offered behind *line*."""
    environ = {"_RUNNER_COMPLETE": "bash_complete", "COMP_LINE": line, **variables}
    ended = call(environ=environ)
    assert (ended.code, ended.err) == (Exit.DONE, "")
    pairs = [each.split(",", 1) for each in ended.out.splitlines()]
    return [value for kind, value in pairs if kind == "plain"]


def test_commands_are_offered_and_narrowed_down(folder: Path) -> None:
    """UX.md §2.10."""
    assert offers("runner ") == list(BY_NAME)
    assert offers("runner st") == ["status"]
    assert offers("runner --api sim -q st") == ["status"]
    assert offers("runner nonsense") == []


@pytest.mark.parametrize("name", BY_NAME)
def test_every_option_of_every_command_is_offered_the_shared_ones_too(
    folder: Path, name: str
) -> None:
    """An option that TAB does not know is one that people do not find."""
    module = __import__(BY_NAME[name].module, fromlist=["command"])
    known = {
        option
        for parameter in module.command.params
        for option in parameter.opts
        if option.startswith("--")
    }
    assert {"--store", "--json"} <= known
    assert known <= set(offers(f"runner {name} --"))


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("runner --color ", ["auto", "always", "never"]),
        ("runner --color=al", ["always"]),
        ("runner run prompts --changed ", ["ask", "keep"]),
        ("runner export --state po", ["posting", "posted"]),
        ("runner --api ", ["live", "sandbox", "sim"]),
        ("runner status --api s", ["sandbox", "sim"]),
        ("runner config ", ["show", "path"]),
        ("runner schedule s", ["systemd"]),
        ("runner completion ", ["bash", "zsh", "fish"]),
        ("runner help exit", ["exit-codes"]),
    ],
)
def test_choices_are_offered(folder: Path, line: str, offered: list[str]) -> None:
    """Words from a closed list need not be remembered."""
    assert offers(line) == offered


def test_help_is_offered_every_command_and_topic(folder: Path) -> None:
    """Both are what it takes."""
    assert set(offers("runner help ")) == {*BY_NAME, *TOPICS}


def test_jobs_of_the_workspace_and_shipped_ones_are_offered(workspace: Path) -> None:
    """UX.md §2.10: names, so that nobody types paths."""
    assert offers("runner run ") == sorted(["brands", "prompts", *SHIPPED])
    assert offers("runner run br") == ["brands"]
    assert offers("runner check prompts br") == ["brands"]
    assert offers("runner schedule cron pr") == ["prompts"]


def test_runs_are_offered_by_name_the_newest_first(workspace: Path) -> None:
    """Last night's is the one that is wanted."""
    nights = ["brands@2026-11-21", "brands@2026-11-20"]
    assert offers("runner status brands@") == nights
    assert offers("runner errors brands")[:2] == nights
    assert offers("runner status r1") == ["r1"]


def test_runs_come_from_the_store_that_the_line_names(workspace: Path) -> None:
    """A rehearsal has a store of its own, and a person may name another."""
    assert "rehearsed" not in offers("runner status re")
    assert offers("runner --api sim status re") == ["rehearsed"]
    assert offers("runner status --api sim re") == ["rehearsed"]
    assert offers("runner status --store runner-sim.db re") == ["rehearsed"]
    assert offers("runner status re", RUNNER_STORE="runner-sim.db") == ["rehearsed"]


def test_another_folder_is_looked_into_where_the_line_says_so(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """``-C`` counts for what is completed behind it."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert offers("runner run br") == []
    assert offers(f"runner -C {workspace} run br") == ["brands"]
    assert offers(f"runner -C {workspace} status brands@2026-11-20") == ["brands@2026-11-20"]


def test_files_are_left_to_the_shell(workspace: Path) -> None:
    """It knows more of quoting and colours than we do."""
    for line in ("runner run ./jo", "runner init --from ", "runner --log-file lo", "runner run p"):
        environ = {"_RUNNER_COMPLETE": "bash_complete", "COMP_LINE": line}
        assert call(environ=environ).out.startswith("file,")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "runner.db").write_bytes(b"no database"),
        lambda folder: (folder / "runner.toml").write_text("store = 7\n", "utf-8"),
        lambda folder: (folder / "runner.toml").write_text("[[[", "utf-8"),
        lambda folder: shutil.rmtree(folder / "jobs"),
    ],
)
def test_a_broken_workspace_is_met_with_silence(workspace: Path, spoil: object) -> None:
    """Nobody asked for an error in the middle of a word."""
    assert callable(spoil)
    spoil(workspace)
    assert offers("runner status brands@") in ([], ["brands@2026-11-21", "brands@2026-11-20"])
    assert set(SHIPPED) <= set(offers("runner run "))


def test_names_that_a_shell_would_break_are_left_out(folder: Path) -> None:
    """A job file called ``$(rm -rf x).toml`` must never reach a command line unquoted."""
    for name in ("$(touch x)", "a b", "a;b", "*", "`x`", "a\nplain,injected", "-rf"):
        (folder / "jobs" / f"{name}.toml").write_text("", "utf-8")
    assert offers("runner run ") == sorted(["prompts", *SHIPPED])


def test_what_an_eager_option_prints_is_not_offered(folder: Path) -> None:
    """``runner --version <TAB>`` parses --version."""
    assert offers("runner --version ") == list(BY_NAME)


def test_an_unfinished_quote_is_no_failure(folder: Path) -> None:
    """That is what a line looks like while somebody types."""
    assert offers("runner run 'pro") == ["prompts"]


def test_the_variable_set_by_mistake_does_not_turn_commands_into_nothing(folder: Path) -> None:
    """A cron job that does nothing and ends with 0 is found out much too late."""
    ended = call("status", environ={"_RUNNER_COMPLETE": "1"})
    assert ended.code is Exit.WRONG_INPUT
    assert "unset _RUNNER_COMPLETE" in ended.err


@pytest.mark.parametrize(
    ("shell", "protocol", "binds"),
    [
        ("bash", "_RUNNER_COMPLETE=bash_complete", "complete -o nosort -F _runner_completion"),
        ("zsh", "_RUNNER_COMPLETE=zsh_complete", "compdef _runner_completion runner"),
        ("fish", "_RUNNER_COMPLETE=fish_complete", "complete --no-files --command runner"),
    ],
)
def test_the_script_of_each_shell_asks_runner_itself(
    folder: Path, shell: str, protocol: str, binds: str
) -> None:
    """A list frozen into a script would be wrong after the next update."""
    ended = call("completion", shell)
    assert (ended.code, ended.err) == (Exit.DONE, "")
    assert protocol in ended.out
    assert binds in ended.out
    document = call("completion", shell, "--json").document
    assert document["script"].rstrip("\n") == ended.out.rstrip("\n")


@pytest.mark.parametrize(
    ("shell", "words", "cword", "expected"),
    [
        ("zsh", "runner sta", "1", "plain\nstatus\n"),
        ("fish", "runner sta", "sta", "plain,status\t"),
    ],
)
def test_zsh_and_fish_are_answered_in_their_own_form(
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    shell: str,
    words: str,
    cword: str,
    expected: str,
) -> None:
    """Their scripts show the summary of a command beside its name."""
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", cword)
    ended = call(environ={"_RUNNER_COMPLETE": f"{shell}_complete"})
    assert ended.out.startswith(expected)
    assert BY_NAME["status"].summary in ended.out


def test_completing_imports_nothing_heavy(workspace: Path) -> None:
    """Over a fifth of a second is felt at every TAB (UX.md §2.10)."""
    script = (
        "import json, os, sys\n"
        "from runner.cli import main\n"
        "codes = []\n"
        "for line in json.loads(sys.argv[1]):\n"
        "    os.environ['COMP_LINE'] = line\n"
        "    codes.append(main([]))\n"
        "heavy = {'aiohttp', 'pydantic', 'rich', 'structlog', 'anyio', 'aiosqlite', 'msgspec'}\n"
        "print('HEAVY', codes, sorted(heavy & set(sys.modules)))\n"
    )
    lines = ["runner ", "runner run ", "runner status brands", "runner run --", "runner help "]
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(lines)],
        capture_output=True,
        text=True,
        check=True,
        cwd=workspace,
        env=environment(_RUNNER_COMPLETE="bash_complete"),
    )
    assert "plain,brands@2026-11-21\n" in done.stdout
    assert done.stdout.splitlines()[-1] == f"HEAVY {[0] * len(lines)} []"
    assert done.stderr == ""


class Bash:
    """An interactive bash that has read the script, at a terminal of its own."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def typed(self, keys: str, until: str) -> str:
        """Type *keys* and return what stands on the screen once *until* does."""
        os.write(self._terminal, keys.encode())
        seen, give_up = "", time.monotonic() + 30
        while until not in seen and time.monotonic() < give_up:
            if select.select([self._terminal], [], [], 0.1)[0]:
                seen += os.read(self._terminal, 65_536).decode(errors="replace")
        return seen

    def completed(self, line: str, until: str) -> str:
        """What *line* becomes by one TAB; the line is cleared again."""
        seen = self.typed(f"{line}\t", until)
        self.typed("\x15\n", "$ ")
        return seen


@contextmanager
def bash(folder: Path) -> Iterator[Bash]:
    """Bash in *folder*, with ``runner`` in its PATH."""
    programs = folder / "programs"
    programs.mkdir()
    runner = programs / "runner"
    runner.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m runner "$@"\n', "utf-8")
    runner.chmod(0o755)
    environ = environment(
        PATH=f"{programs}:{os.environ['PATH']}", PS1="$ ", TERM="dumb", PYTHONPATH=str(ROOT)
    )
    here, there = pty.openpty()
    process = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=there,
        stdout=there,
        stderr=there,
        cwd=folder,
        env=environ,
        start_new_session=True,
    )
    os.close(there)
    try:
        shell = Bash(here)
        shell.typed("", "$ ")
        # Not `source <(…)`: the bash of macOS reads nothing from that.
        shell.typed("runner completion bash > script; source ./script; echo re''ady\n", "ready")
        yield shell
    finally:
        process.kill()
        process.wait()
        os.close(here)


def test_a_real_bash_completes_commands_jobs_options_and_runs(workspace: Path) -> None:
    """The script has to hold its own against readline, which breaks words at ``@`` and ``=``."""
    with bash(workspace) as shell:
        assert "runner status " in shell.completed("runner stat", "status ")
        assert "runner run brands " in shell.completed("runner run br", "brands ")
        assert "runner run --fresh " in shell.completed("runner run --fr", "--fresh ")
        assert "runner --color=always " in shell.completed("runner --color=al", "always ")
        assert "runner run prompts.csv " in shell.completed("runner run prompts.c", "csv ")
        assert "runner status brands@2026-11-20 " in shell.completed(
            "runner status brands@2026-11-20", "20 "
        )
        # Two nights begin alike: as much as they share is filled in, behind the @.
        assert "026-11-2" in shell.completed("runner status brands@2", "026-11-2")

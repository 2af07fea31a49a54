"""What is lost for good is confirmed first; where nobody can be asked, that is said at once."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.calling import call
from tests.reports.filling import filled
from tests.support.commands import environment

CELLS = [{"prompt": prompt} for prompt in ("why?", "how?", "when?")]
ASKING = (["cancel", "waiting"], ["prune", "--older-than", "0"])


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A store with a run to cancel and a run to prune."""
    store = tmp_path / "runner.db"
    async with filled(store, CELLS, job="over"):
        pass
    async with filled(store, CELLS, job="waiting", post=None):
        pass
    return tmp_path


def states(folder: Path) -> dict[str, dict[str, int]]:
    """Tasks of each job by state."""
    runs = call("status", "--json", "--store", str(folder / "runner.db")).document["runs"]
    return {run["job"]: {s: n for s, n in run["states"].items() if n} for run in runs}


UNTOUCHED = {"over": {"completed": 3}, "waiting": {"pending": 3}}


@pytest.mark.parametrize("argv", ASKING, ids=" ".join)
@pytest.mark.parametrize("stdin", ["closed", "nothing", "a pipe that says yes", "silent pipe"])
def test_without_a_terminal_it_ends_at_once_with_2_and_names_the_flag(
    argv: list[str], stdin: str, folder: Path
) -> None:
    """A cron job neither hangs nor assumes yes (UX.md §10, check 7)."""
    script = "import sys; from runner.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, *argv]
    if stdin == "closed":
        command = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL if stdin == "nothing" else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if stdin == "a pipe that says yes":
        out, err = process.communicate("yes\n", timeout=30)
    else:
        # Stdin stays open: a program that asked would wait until the time is over.
        process.wait(30)
        out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert "--yes" in err
    assert states(folder) == UNTOUCHED


def on_a_terminal(folder: Path, argv: list[str], answer: bytes = b"") -> tuple[int, str]:
    """Run in a process of its own on a pseudo-terminal; its exit code and what it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        given = environment(TERM="dumb")
        os.execve(sys.executable, [sys.executable, "-m", "runner", *argv], given)
    shown = b""
    with suppress(OSError):  # The process has ended and closed its side.
        while part := os.read(terminal, 4096):
            shown += part
            if answer and b"[y/N]" in shown:
                os.write(terminal, answer)
                answer = b""
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("argv", "question", "after"),
    [
        (
            ["cancel", "waiting"],
            "drop 3 queued tasks of waiting (r2)? [y/N] ",
            {"over": {"completed": 3}, "waiting": {"cancelled": 3}},
        ),
        (
            ["prune", "--older-than", "0", "-q"],
            "delete 3 answers (",
            UNTOUCHED,
        ),
    ],
    ids=["cancel", "prune"],
)
def test_on_a_terminal_a_person_says_yes(
    argv: list[str], question: str, after: Mapping[str, object], folder: Path
) -> None:
    """The question says what would be lost, also with -q: silence there would be a hang."""
    code, shown = on_a_terminal(folder, argv, b"y\n")
    assert code == 0, shown
    assert question in shown
    assert states(folder) == after


@pytest.mark.parametrize(
    ("answer", "ends"),
    [(b"\n", 2), (b"n\n", 2), (b"yes please\n", 2), (b"\x04", 2), (b"\x03", 130)],
)
def test_anything_but_yes_changes_nothing(answer: bytes, ends: int, folder: Path) -> None:
    """Enter and Ctrl-D are no yes, and end as where nobody can be asked; 130 is Ctrl-C alone."""
    code, shown = on_a_terminal(folder, ["cancel", "waiting"], answer)
    assert code == ends, shown
    assert "error: " in shown
    assert states(folder) == UNTOUCHED


def test_who_forbids_questions_gets_none_on_a_terminal_either(folder: Path) -> None:
    """`--no-input` in a script that somebody tries by hand."""
    code, shown = on_a_terminal(folder, ["cancel", "waiting", "--no-input"])
    assert code == 2
    assert "--no-input was given" in shown
    assert "[y/N]" not in shown
    assert states(folder) == UNTOUCHED


def test_yes_is_not_asked(folder: Path) -> None:
    """And where there is nothing to lose, nothing needs to be confirmed."""
    store = ("--store", str(folder / "runner.db"))
    for _ in range(2):
        for argv in ASKING:
            assert call(*argv, "--yes", *store).code == 0
    for argv in ASKING:
        assert call(*argv, *store).code == 0
    assert states(folder) == {"over": {"completed": 3}, "waiting": {"cancelled": 3}}

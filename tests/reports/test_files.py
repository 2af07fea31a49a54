"""Which files an export may replace, and what is left when it is killed."""

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from runner.errors import Exit, WrongInput
from runner.reports.files import NOTE, Exported, OutputFile

ROOT: Final = Path(__file__).resolve().parents[2]


def write(path: Path, text: str, *, job: str = "demo", force: bool = False) -> Exported:
    """What an export does with one file."""
    output = OutputFile(path, job=job, force=force)
    try:
        output.begin()
        output.write(text.encode())
        return output.publish(rows=1)
    finally:
        output.discard()


def hidden(folder: Path) -> list[str]:
    """Names of what is in *folder* beside the exports."""
    return sorted(path.name for path in folder.glob(".*"))


def test_our_own_earlier_export_is_replaced(tmp_path: Path) -> None:
    """The nightly run writes the same file again, and nobody is there to say --force."""
    path = tmp_path / "demo.csv"
    for text in ("one", "two", "", "two"):
        assert write(path, text) == Exported(path, 1, len(text))
        assert path.read_text() == text
    assert hidden(tmp_path) == [NOTE]


def test_an_export_that_a_person_edited_is_kept(tmp_path: Path) -> None:
    """The comments that somebody typed beside the answers are in no store."""
    path = tmp_path / "demo.csv"
    write(path, "one")
    path.write_text("0ne")
    with pytest.raises(WrongInput, match="exists, and is not an earlier export") as caught:
        write(path, "two")
    assert caught.value.exit_code == Exit.WRONG_INPUT
    assert "--force" in caught.value.lines()[-1]
    assert path.read_text() == "0ne"
    write(path, "two", force=True)
    write(path, "three")
    assert path.read_text() == "three"


def test_a_copy_with_the_same_bytes_is_still_ours(tmp_path: Path) -> None:
    """A restored backup has another inode and another time, and not a byte of anybody's work."""
    path = tmp_path / "demo.csv"
    write(path, "one")
    path.unlink()
    path.write_text("one")
    os.utime(path, (1, 1))
    write(path, "two")
    assert path.read_text() == "two"


def test_a_foreign_file_is_never_overwritten_without_force(tmp_path: Path) -> None:
    """A job called like the file of prompts beside it would destroy the prompts."""
    path = tmp_path / "demo.csv"
    path.write_text("mine")
    with pytest.raises(WrongInput):
        write(path, "one")
    assert path.read_text() == "mine"
    assert hidden(tmp_path) == []


def test_another_jobs_export_is_kept(tmp_path: Path) -> None:
    """Two jobs that write to one place would take turns in losing each other's answers."""
    path = tmp_path / "all.csv"
    write(path, "one", job="first")
    with pytest.raises(WrongInput):
        write(path, "two", job="second")
    assert path.read_text() == "one"


@pytest.mark.parametrize("note", ["", "{", "[]", '{"files": 3}', '{"files": {"demo.csv": [{}]}}'])
def test_with_a_broken_note_nothing_counts_as_ours(tmp_path: Path, note: str) -> None:
    """In doubt the file is kept, and the command says so instead of failing with a traceback."""
    path = tmp_path / "demo.csv"
    write(path, "one")
    (tmp_path / NOTE).write_text(note)
    with pytest.raises(WrongInput):
        write(path, "two")
    write(path, "two", force=True)
    write(path, "three")


def test_a_file_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    """A long export looks at the place when it begins; somebody may put a file there since."""
    path = tmp_path / "demo.csv"
    output = OutputFile(path, job="demo", force=False)
    output.begin()
    path.write_text("mine")
    with pytest.raises(WrongInput):
        output.publish(rows=0)
    output.discard()
    assert path.read_text() == "mine"
    assert hidden(tmp_path) == []


def test_two_exports_at_once_both_end_whole_and_known(tmp_path: Path) -> None:
    """`runner export` while the nightly run writes: the last one stands, and is ours."""
    path = tmp_path / "demo.csv"
    first, second = (OutputFile(path, job="demo", force=False) for _ in range(2))
    for output, text in ((first, b"first"), (second, b"the second")):
        output.begin()
        output.write(text)
    second.publish(rows=1)
    first.publish(rows=1)
    assert path.read_text() == "first"
    write(path, "third")


def test_many_exports_into_one_folder_all_stay_known(tmp_path: Path) -> None:
    """Nightly jobs end at the same moment; a note lost would stop the next night."""
    paths = [tmp_path / f"{n}.csv" for n in range(8)]
    for _ in range(2):
        threads = [threading.Thread(target=write, args=(path, "x")) for path in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for path in paths:
        write(path, "y")
    assert hidden(tmp_path) == [NOTE]


# --- what is no plain file ------------------------------------------------------------------------


@pytest.mark.parametrize("leads_to", ["a file", "nothing"])
def test_a_symbolic_link_is_not_followed(tmp_path: Path, leads_to: str) -> None:
    """F80: who may write to the folder could else have any file of ours overwritten."""
    target, link = tmp_path / "target", tmp_path / "demo.csv"
    if leads_to == "a file":
        target.write_text("mine")
    link.symlink_to(target)
    with pytest.raises(WrongInput, match="symbolic link"):
        write(link, "one")
    write(link, "one", force=True)
    assert not link.is_symlink()
    assert link.read_text() == "one"
    assert (target.read_text() if target.exists() else None) == (
        "mine" if leads_to == "a file" else None
    )


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_or_a_pipe_is_never_replaced(tmp_path: Path, force: bool) -> None:
    """Under root `-o /dev/stdout --force` would put a file where the system has its stdout."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "link to folder").symlink_to(tmp_path / "folder")
    for name in ("folder", "pipe", "link", "link to folder"):
        with pytest.raises(WrongInput):
            write(tmp_path / name, "one", force=force)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert (tmp_path / "link").is_symlink()
    assert hidden(tmp_path) == []


def test_a_place_that_cannot_be_written_is_a_wrong_input(tmp_path: Path) -> None:
    """The message names the file and the cause; a traceback would name neither."""
    (tmp_path / "file").write_text("")
    with pytest.raises(WrongInput, match=r"demo\.csv cannot be written: (File exists|Not a dir)"):
        write(tmp_path / "file" / "demo.csv", "one")
    with pytest.raises(WrongInput, match="cannot be written: File name too long"):
        write(tmp_path / ("x" * 300), "one")


def test_missing_folders_are_made(tmp_path: Path) -> None:
    """`[output] dir` need not exist before the first night."""
    write(tmp_path / "a" / "b" / "demo.csv", "one")
    assert (tmp_path / "a" / "b" / "demo.csv").read_text() == "one"


def test_a_new_file_is_private_and_an_own_one_keeps_its_mode(tmp_path: Path) -> None:
    """Who shared last night's file with a group has not to do it again every morning."""
    path = tmp_path / "demo.csv"
    before = os.umask(0)
    try:
        write(path, "one")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / NOTE).stat().st_mode) == 0o600
        path.chmod(0o640)
        write(path, "two")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.write_text("edited")
        path.chmod(0o666)
        write(path, "three", force=True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


# --- kill -9 --------------------------------------------------------------------------------------

KILLED: Final = """
import os, signal, sys
from pathlib import Path
from runner.reports.files import OutputFile

path, moment = Path(sys.argv[1]), sys.argv[2]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

output = OutputFile(path, job="demo", force=False)
output.begin()
output.write(b"new" * 100_000)
if moment == "writing":
    die()
replace = Path.replace
def replacing(self, target):
    if moment == "before the note" or (moment == "after the note" and Path(target) == path):
        die()
    return replace(self, target)
Path.replace = replacing
output.publish(rows=1)
die()
"""


@pytest.mark.parametrize("moment", ["writing", "before the note", "after the note", "done"])
@pytest.mark.parametrize("earlier", [None, "old"])
def test_a_killed_export_leaves_a_whole_file_that_is_still_ours(
    tmp_path: Path, moment: str, earlier: str | None
) -> None:
    """F8: and the next start must not need --force, nor find old parts piling up."""
    path = tmp_path / "demo.csv"
    if earlier:
        write(path, earlier)
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, str(path), moment], cwd=ROOT, check=False
        )
        assert ended.returncode == -signal.SIGKILL
        if moment == "done":
            assert path.read_text() == "new" * 100_000
        else:
            assert (path.read_text() if path.exists() else None) == earlier
    write(path, "again")
    assert path.read_text() == "again"
    assert hidden(tmp_path) == [NOTE]


def _hold(path: Path, begun: threading.Event, done: threading.Event) -> None:
    output = OutputFile(path, job="demo", force=False)
    output.begin()
    output.write(b"slow")
    begun.set()
    done.wait(30)
    output.publish(rows=1)


def test_the_part_of_a_living_export_is_left_alone(tmp_path: Path) -> None:
    """Two jobs into one folder: cleaning up after the dead must not rob the living."""
    spawn = multiprocessing.get_context("spawn")
    begun, done = spawn.Event(), spawn.Event()
    slow = spawn.Process(target=_hold, args=(tmp_path / "slow.csv", begun, done))
    slow.start()
    assert begun.wait(30)
    write(tmp_path / "quick.csv", "quick")
    assert len(hidden(tmp_path)) == 2
    done.set()
    slow.join(30)
    assert slow.exitcode == 0
    assert (tmp_path / "slow.csv").read_text() == "slow"
    assert hidden(tmp_path) == [NOTE]

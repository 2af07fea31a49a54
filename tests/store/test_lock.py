"""One engine per store: the second is refused at once, and a dead one is in nobody's way."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from runner.clock import SystemClock
from runner.errors import StoreBroken, TryLater
from runner.store.lock import EngineElsewhere, engine_lock
from tests.support.clock import ManualClock

HOLD = """
import asyncio, sys
from pathlib import Path
from runner.clock import SystemClock
from runner.store.lock import engine_lock

async def main() -> None:
    async with engine_lock(Path(sys.argv[1]), wait_s=0, clock=SystemClock()):
        print("held", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is the engine of the store in *path*."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


async def test_a_second_engine_is_refused_at_once(path: Path, clock: ManualClock) -> None:
    """Two engines would post the same tasks (F13); cron's second start must not hang (F16)."""
    with holder(path):
        with pytest.raises(EngineElsewhere):
            async with engine_lock(path, wait_s=0, clock=clock):
                pass
        assert clock.slept == []


async def test_an_engine_may_wait_for_the_first(path: Path, clock: ManualClock) -> None:
    """`--wait-lock` is for cron: it waits as long as was said, not longer."""
    with holder(path):
        with pytest.raises(EngineElsewhere):
            async with engine_lock(path, wait_s=10, clock=clock):
                pass
        assert 9.5 <= sum(clock.slept) <= 10.5


async def test_a_store_reached_through_a_link_is_the_same_store(
    path: Path, clock: ManualClock
) -> None:
    """`runner.db` is often a link to a larger disk."""
    path.touch()
    link = path.with_name("link.db")
    link.symlink_to(path)
    with holder(path), pytest.raises(EngineElsewhere):
        async with engine_lock(link, wait_s=0, clock=clock):
            pass


async def test_a_killed_engine_holds_nothing(path: Path, clock: ManualClock) -> None:
    """The kernel frees the lock; the file that is left behind means nothing (F14)."""
    with holder(path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        assert Path(f"{path}.lock").exists()
        async with engine_lock(path, wait_s=0, clock=clock):
            pass


async def test_an_engine_that_ended_lets_the_next_one_in(path: Path) -> None:
    """Also within one process: a failed start is followed by another."""

    async def fail() -> None:
        async with engine_lock(path, wait_s=0, clock=SystemClock()):
            with pytest.raises(EngineElsewhere):
                async with engine_lock(path, wait_s=0, clock=SystemClock()):
                    pass
            raise RuntimeError("boom")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="boom"):
            await fail()


async def test_the_lock_file_is_private(path: Path, clock: ManualClock) -> None:
    """Who may open it may hold it, and keep the engine out."""
    before = os.umask(0)
    try:
        async with engine_lock(path, wait_s=0, clock=clock):
            assert Path(f"{path}.lock").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_processes_that_make_the_same_store_at_once_all_get_it(tmp_path: Path) -> None:
    """Two cron jobs may start in the same second of the first night; neither may be turned away."""
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from runner.clock import SystemClock\n"
        "from runner.store.sqlite.store import open_store\n"
        "async def main():\n"
        "    async with open_store(Path(sys.argv[1]), clock=SystemClock()) as store:\n"
        "        await store.runs()\n"
        "asyncio.run(main())\n"
    )
    for number in range(3):
        store = tmp_path / f"{number}.db"
        started = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(store)],
                cwd=Path(__file__).resolve().parents[2],
                stderr=subprocess.PIPE,
            )
            for _ in range(6)
        ]
        for process in started:
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said.decode()


async def test_a_lock_file_that_cannot_be_opened_is_told_in_words(tmp_path: Path) -> None:
    """A folder in its place, or a file system that was mounted read-only, is no bug of ours."""
    (tmp_path / "runner.db.lock").mkdir()
    with pytest.raises(StoreBroken, match="cannot be locked: Is a directory") as told:
        async with engine_lock(tmp_path / "runner.db", wait_s=0, clock=SystemClock()):
            pass
    assert told.value.where == str(tmp_path / "runner.db.lock")


async def test_a_full_disk_keeps_the_lock_for_another_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may be gone by the next start is not for a person."""

    def full(self: FileLock, **_how: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileLock, "acquire", full)
    with pytest.raises(TryLater, match="No space left"):
        async with engine_lock(tmp_path / "runner.db", wait_s=0, clock=SystemClock()):
            pass

"""Two jobs of one workspace, started at the same minute by cron."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.commands import JOB, Workspace, workspace

PATIENCE_S = 60.0


def two_jobs(work: Workspace) -> None:
    """``prices`` asks the same questions as ``brands``, of the same store."""
    work.write("prices.toml", JOB.replace('name = "brands"', 'name = "prices"'))


def until(true: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    give_up = time.monotonic() + PATIENCE_S
    while not true() and time.monotonic() < give_up:
        time.sleep(0.05)
    assert true()


def states(work: Workspace) -> dict[str, dict[str, int]]:
    """Tasks of each job by state."""
    runs = work.json("status")["runs"]
    return {run["job"]: {s: n for s, n in run["states"].items() if n} for run in runs}


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it said on stderr."""
    _, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, err


def test_with_wait_lock_both_end_well(tmp_path: Path) -> None:
    """One works, the other waits for it, and nobody has to know who was first."""
    with workspace(tmp_path) as work:
        two_jobs(work)
        names = ("brands.toml", "prices.toml")
        starts = [work.start("run", name, "--wait-lock", "60s") for name in names]
        for process in starts:
            code, err = ended(process)
            assert code == 0, err
        assert states(work) == {"brands": {"completed": 12}, "prices": {"completed": 12}}
        ledger = work.api.ledger()
        assert (ledger["created"], ledger["duplicate_tags"]) == (24, 0)


def test_without_it_one_steps_aside_and_names_the_other(tmp_path: Path) -> None:
    """75 at once, and no mail with -q: the next night asks what this one did not."""
    with workspace(tmp_path, "--latency", "1h") as work:
        two_jobs(work)
        starts = [work.start("run", name) for name in ("brands.toml", "prices.toml")]
        until(lambda: any(process.poll() is not None for process in starts))
        aside, at_work = sorted(starts, key=lambda process: process.poll() is None)
        code, err = ended(aside)
        assert code == 75
        # Between taking the lock and saying who it is the other one has no name yet.
        assert f"pid {at_work.pid} " in err or "which is just starting" in err
        assert "--wait-lock" in err
        until(lambda: work.api.ledger()["created"] == 12)
        named = work.runner("run", "prices.toml")
        assert named.returncode == 75
        assert f"pid {at_work.pid} " in named.stderr
        quiet = work.runner("-q", "run", "prices.toml")
        assert (quiet.returncode, quiet.stdout, quiet.stderr) == (75, "", "")
        work.api.control(advance_s=7200)
        code, err = ended(at_work)
        assert code == 0, err
        assert len(states(work)) == 1


def test_who_waits_for_a_process_that_is_killed_goes_on_without_help(tmp_path: Path) -> None:
    """The lock is the kernel's: it ends with the process, not with a time-out."""
    with workspace(tmp_path, "--latency", "1h") as work:
        two_jobs(work)
        first = work.start("run", "brands.toml")
        until(lambda: work.api.ledger()["created"] == 12)
        second = work.start("run", "prices.toml", "--wait-lock", "60s", "--wait", "0")
        time.sleep(1.0)
        assert second.poll() is None
        assert work.api.ledger()["created"] == 12
        first.kill()
        first.communicate()
        code, err = ended(second)
        assert code == 3, err
        assert states(work) == {"brands": {"posted": 12}, "prices": {"posted": 12}}
        work.api.control(advance_s=7200)
        for name in ("brands.toml", "prices.toml"):
            assert work.runner("run", name).returncode == 0
        assert work.api.ledger()["created"] == 24


def test_a_time_that_is_over_is_for_later(tmp_path: Path) -> None:
    """`--wait-lock` is a limit, not a promise."""
    with workspace(tmp_path, "--latency", "1h") as work:
        two_jobs(work)
        first = work.start("run", "brands.toml")
        until(lambda: work.api.ledger()["created"] == 12)
        second = work.runner("run", "prices.toml", "--wait-lock", "1s")
        assert second.returncode == 75, second.stderr
        assert f"pid {first.pid} " in second.stderr
        first.kill()
        first.communicate()

"""kill -9 at any moment, then the same command: promises 1, 2 and 6 at once."""

import asyncio
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

from runner.errors import Exit
from runner.simulator.account import Account
from runner.simulator.latency import Latency, Shape
from runner.simulator.scenario import Scenario
from runner.simulator.server import serve
from tests.support import drive_job
from tests.support.jobs import job_at, write_prompts
from tests.support.waiting import until

SPEED = 16.0
KILLS = 7
ROOT = Path(drive_job.__file__).parents[2]


async def a_life(folder: Path, url: str, epoch: float) -> asyncio.subprocess.Process:
    """A process that runs the job."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        drive_job.__file__,
        str(folder),
        url,
        str(SPEED),
        str(epoch),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def a_moment(random: Random, account: Account, life: int) -> None:
    """Any moment of a life, from the imports on; every other time one around its posts."""
    taken = len(account.ledger.tasks)
    if life % 2:
        with suppress(TimeoutError):
            await until(lambda: len(account.ledger.tasks) > taken, within_s=2)
        await asyncio.sleep(random.uniform(0.0, 0.3))
    else:
        await asyncio.sleep(random.uniform(0.25, 0.9))


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "runner.db")) as db:
        return db.execute(query).fetchall()


async def test_killed_at_any_moment_nothing_is_paid_twice_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    """F1 to F7, F18: each life loads new rows, posts and collects, and is killed in between. The
    account, in another process, is asked what it really took."""
    random = Random()
    epoch = time.time()
    account = Account(
        Scenario(
            latency=Latency(Shape.UNIFORM, 0.0, 10.0),
            calls_per_minute=100_000,
            reply_delay_s=0.03,
        ),
        clock=drive_job.clock_since(epoch, SPEED),
    )
    account.deposit(account.scenario.balance)
    prompts = 0
    async with serve(account) as server:
        for life in range(KILLS + 1):
            prompts += 40
            write_prompts(tmp_path / "q.csv", prompts)
            job_at(tmp_path, providers=("claude", "gemini"))
            process = await a_life(tmp_path, server.url, epoch)
            if life < KILLS:
                await a_moment(random, account, life)
                if process.returncode is None:
                    process.send_signal(signal.SIGKILL)
            code = await process.wait()
    assert code in {Exit.DONE, Exit.NOT_FINISHED}

    created = [task.tag for task in account.ledger.tasks]
    assert len(set(created)) == len(created)
    prompts_asked = Counter(
        (entry.provider, entry.prompt)
        for entry in account.ledger.entries(account.now_ms(), offset=0, limit=10_000)
    )
    assert set(prompts_asked.values()) == {1}, "a question was paid for twice"

    states = Counter(state for (state,) in rows(tmp_path, "SELECT state FROM tasks"))
    assert states.keys() <= {"completed", "unknown"}
    assert states.total() == prompts * 2
    received = {
        tag for (tag,) in rows(tmp_path, "SELECT tag FROM attempts WHERE remote_id NOTNULL")
    }
    doubtful = {
        tag for (tag,) in rows(tmp_path, "SELECT tag FROM attempts WHERE state = 'unknown'")
    }
    assert received <= set(created)
    assert set(created) - received <= doubtful
    assert len(doubtful) == states["unknown"]
    charged = {task.tag: task.charge for task in account.ledger.tasks}
    booked = rows(tmp_path, "SELECT tag, charged_nanousd FROM attempts WHERE state = 'completed'")
    assert booked == [(tag, charged[tag]) for tag, _ in booked]
    (counted,) = rows(tmp_path, "SELECT sum(n) FROM run_states WHERE n > 0")
    assert counted == (prompts * 2,)

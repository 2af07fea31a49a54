"""A workspace, and a simulated account to run its jobs against, in a world that runs faster."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.app import Progress, RunOptions, RunSummary, StopSwitch, run_job
from runner.errors import Problem
from runner.jobfile import Job
from runner.lifecycle import State
from runner.pipeline.loader import LoadReport
from runner.settings import Settings
from runner.simulator.account import Account
from runner.simulator.calls import CallKind
from runner.simulator.faults import Fault, Strike
from runner.simulator.latency import Latency, Shape
from runner.simulator.scenario import Scenario
from runner.simulator.server import serve
from runner.store.values import Run, RunStatus
from tests.support.fast_clock import FastClock
from tests.support.jobs import job_at, write_prompts

AT_ONCE = Latency(Shape.CONSTANT, 0.0)
AN_HOUR = Latency(Shape.CONSTANT, 3600.0)


@dataclass(slots=True)
class Recorder:
    """A reporter that remembers."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    progresses: list[Progress] = field(default_factory=list)
    fail_when: Callable[[], object] | None = None
    """When the screen is gone."""

    def problem(self, problem: Problem) -> None:
        self.problems.append(problem)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begun(self, run: Run, load: LoadReport | None, status: RunStatus) -> None:
        self.runs.append(run.name)

    def progress(self, progress: Progress) -> None:
        self.progresses.append(progress)
        if self.fail_when is not None and self.fail_when():
            raise BrokenPipeError


@dataclass(slots=True)
class Place:
    """Where jobs are started."""

    folder: Path
    clock: FastClock
    account: Account
    url: str
    reporter: Recorder = field(default_factory=Recorder)
    stop: StopSwitch = field(default_factory=StopSwitch)

    def settings(self, **environ: str) -> Settings:
        """What the environment says, changed by *environ*."""
        given = {
            "DATAFORSEO_BASE_URL": self.url,
            "DATAFORSEO_LOGIN": "me",
            "DATAFORSEO_PASSWORD": "secret",
            "RUNNER_CALLS_PER_MINUTE": "100000",
            "RUNNER_POST_TIMEOUT_SECONDS": "5",
        }
        kept = {name: value for name, value in (given | environ).items() if value}
        return Settings.load(environ=kept, flags={}, workspace=self.folder)

    def job(self, prompts: int | list[str] | None = None, **how: Any) -> Job:
        """The job ``sky``; its file is written anew if *prompts* are given."""
        if prompts is not None:
            write_prompts(self.folder / "q.csv", prompts)
        return job_at(self.folder, **how)

    async def start(
        self, job: Job, options: RunOptions | None = None, *, settings: Settings | None = None
    ) -> RunSummary:
        """Start *job* as a person or cron would."""
        return await run_job(
            job,
            options or RunOptions(export=False, wait_s=3600),
            settings=settings or self.settings(),
            clock=self.clock,
            reporter=self.reporter,
            stop=self.stop,
        )

    def begin(self, job: Job, options: RunOptions | None = None) -> asyncio.Task[RunSummary]:
        """Start *job* and go on without waiting for its end."""
        return asyncio.ensure_future(self.start(job, options))

    def strike(self, fault: Fault, call: CallKind = CallKind.TASK_POST, **how: Any) -> None:
        self.account.faults.arm(Strike(fault=fault, call=call, **how))

    def posts(self) -> int:
        """Calls of task_post that came."""
        return self.account.calls.counts[CallKind.TASK_POST]

    def calls(self) -> int:
        """Calls of any kind that came."""
        return sum(self.account.calls.counts.values())

    def created(self) -> list[str | None]:
        """The tag of every task that the account took."""
        return [task.tag for task in self.account.ledger.tasks]

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """What stands in the store's file."""
        with closing(sqlite3.connect(self.folder / "runner.db")) as db:
            return db.execute(query).fetchall()


def states(summary: RunSummary) -> dict[State, int]:
    """How many tasks are in each state that has any."""
    return {state: n for state, n in summary.status.states.items() if n}


@asynccontextmanager
async def placed(folder: Path, *, speed: float = 8.0, **scenario: Any) -> AsyncIterator[Place]:
    """A place whose account answers at once unless told otherwise.

    *speed*: how many of its seconds are a real one. A second in which the machine does something
    else is so many of them, so much more than the default is for tests that only wait.
    """
    clock = FastClock(speed)
    settings = Scenario(**{"latency": AT_ONCE, "calls_per_minute": 100_000, **scenario})
    account = Account(settings, clock=clock)
    account.deposit(settings.balance)
    async with serve(account) as server:
        yield Place(folder, clock, account, server.url)

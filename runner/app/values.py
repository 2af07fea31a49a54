"""What a start of a job is told, tells, and ends with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import anyio

from runner.app.left_over import LeftOver
from runner.errors import Exit, Problem, RunnerError
from runner.lifecycle import State
from runner.pipeline.loader import LoadReport
from runner.reports.estimate import Range
from runner.store.values import Decision, Run, RunStatus
from runner.web.listen import Listen


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """How many unsuccessful tasks a run may end with and still be fine."""

    count: int = 0
    percent: float | None = None
    """Of the run's tasks; counts instead of *count* if given."""

    def too_many(self, unsuccessful: int, tasks: int) -> bool:
        """Whether *unsuccessful* of *tasks* are more than allowed."""
        if self.percent is not None:
            return unsuccessful * 100 > self.percent * tasks
        return unsuccessful > self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What posting the tasks of a run would take, for a person to agree to."""

    run: Run
    tasks: int
    hold: int
    """Taken from the balance until answers are in, nano-dollars."""
    cost: Range | None
    """None where this store knows of no such answer."""
    careful: int
    """The hold, or the expected cost if greater; what is reserved where nothing is expected."""


Confirm = Callable[[Spending], None]
"""Returns if a person agrees; raises if not, or if there is nobody to ask. May take its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What the command line says about one start of a job."""

    wait_s: float = 6 * 3600.0
    """How long to wait for answers; 0 posts and collects what is ready; ``inf`` for ever."""
    wait_lock_s: float = 0.0
    limit: int | None = None
    """Only the first so many rows of the input."""
    fresh: bool = False
    pay_again: bool = False
    """With ``fresh``: although the newest run is unfinished. Without: although a target looks like
    another one under a new name."""
    source: str = ""
    """The absolute path of the job file, remembered for `retry`, or of data that is asked without
    one; empty for standard input."""
    again: str = field(default="", compare=False)
    """The command that starts the job again, for messages to name; empty where there is none."""
    key: str | None = None
    """Another run than the one that a start belongs to now."""
    skip_bad: Path | None = None
    changed: Decision | None = None
    trust_docs: bool = False
    """Ask a model in a way that the API's pages allow, though its list of models says no."""
    failures: Failures = field(default_factory=Failures)
    export: bool = True
    raw_cells: bool = False
    """Leave cells of a CSV that begin like formulas as they are."""
    listen: Listen | None = None
    """Where postbacks are received while it lasts; with several jobs, what the first one's says."""
    force: bool = False
    """Overwrite files that are not this job's own earlier exports."""
    given_budget: int | None = None
    """What the command line says instead of the job, kept with the run, nano-dollars."""
    given_hold: int | None = None
    confirm: Confirm | None = field(default=None, repr=False, compare=False)
    """Who is asked before much is spent; None asks nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a start stands."""

    status: RunStatus
    elapsed_s: float
    calls: int
    calls_per_minute: int
    now: datetime
    stopping: bool
    note: str | None
    """Why nothing moves, if that is so: no reply from the API, posting paused, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """How one start of a job ended."""

    status: RunStatus
    """Of the run that the start belongs to."""
    others: tuple[RunStatus, ...]
    """Other runs of the job that changed since their last export (late answers), or wait for
    another try."""
    left_over: tuple[LeftOver, ...]
    """Pending tasks of other runs of the job, which no start posts unless it is told to."""
    load: LoadReport | None
    exit: Exit
    reason: RunnerError | None
    """What stopped the start, if it did not simply end."""
    retried: int
    """Tasks that this start put back to pending on a person's word."""
    files: tuple[Path, ...]
    elapsed_s: float
    calls: int
    rejects: Path | None = None
    """The file that the bad rows of the input went to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What loading an input came to."""

    status: RunStatus
    load: LoadReport | None
    """None if no input was read: only edited tasks were decided about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSummary:
    """What `submit` or `poll` came to."""

    before: tuple[RunStatus, ...]
    """Where the runs that were meant stood before it."""
    after: tuple[RunStatus, ...]
    posts: int
    """Calls of task_post."""
    calls: int
    exit: Exit
    reason: RunnerError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """Where the daemon stands."""

    runs: int
    """Not finished yet."""
    states: Mapping[State, int]
    """Tasks of the whole store that have not ended, by state."""
    ended: int
    """Tasks that ended since it began."""
    oldest_posted_at: datetime | None
    calls: int
    calls_per_minute: int
    now: datetime
    note: str | None
    """Why nothing moves, if that is so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkSummary:
    """How the daemon ended."""

    working: Working
    exit: Exit
    reason: RunnerError | None
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a start would do; nothing was sent and nothing was kept."""

    run: str
    """The name of the run that it would belong to."""
    rows: int
    new: int
    """Tasks that would be queued."""
    known: int
    changed: int
    gone: int = 0
    """Tasks queued before that the input does not ask any more; they would be left alone."""
    rejected: int
    duplicates: int
    to_post: int
    """Tasks that would be posted: new and pending ones."""
    hold_nanousd: int
    """What posting them would take from the balance until their answers are in; Live takes none
    ahead."""
    calls: int
    """Calls that it takes at least: posts of 100 tasks, and one fetch for each task; for a Live
    task the one that asks it."""


class StoppedEarly(RunnerError):
    """Somebody asked to stop before anything was posted."""

    def __init__(self, exit_code: Exit) -> None:
        super().__init__(
            "stopped before anything was posted",
            why="what was read of the input so far is kept",
            how="start the same command again",
        )
        self.exit_code = exit_code


class StopSwitch:
    """A person's wish to stop: post nothing more, save what is under way, end."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self.exit: Exit | None = None
        """The code to end with, once somebody asked."""

    def request(self, exit_code: Exit = Exit.INTERRUPTED) -> None:
        """Ask for the stop. To be called in the event loop's thread."""
        self.exit = self.exit or exit_code
        self._event.set()

    async def wait(self) -> None:
        """Return when somebody asked."""
        await self._event.wait()


class Reporter(Protocol):
    """Who is told what happens, while it happens."""

    def problem(self, problem: Problem) -> None:
        """One mistake in the input."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def begun(self, run: Run, load: LoadReport | None, status: RunStatus) -> None:
        """The input is queued; posting begins."""

    def progress(self, progress: Progress) -> None:
        """Called about twice a second."""

"""What the verbs of a store take and give: frozen values, the same for every database."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import Enum, StrEnum
from pathlib import Path

from runner.errors import Exit, RunnerError, StoreBroken
from runner.lifecycle import State
from runner.store.amounts import Money
from runner.store.control import Pause
from runner.store.listing import Selection
from runner.task import TaskId


class AttemptOver(RunnerError):
    """A verb came for an attempt that is no longer the task's current one, or no longer open."""


class RequestGone(StoreBroken):
    """Tasks are queued whose requests are not in the store, so nothing was posted."""

    def __init__(self, tasks: Collection[int]) -> None:
        more = f" ({len(tasks) - 1:,} more like it)" if len(tasks) > 1 else ""
        super().__init__(
            f"task {min(tasks)} is queued, and its request is not in the store{more}",
            why="nothing was posted: the store was damaged or edited",
            how="see what else is missing with `runner verify`",
        )


class StoreUnwritable(RunnerError):
    """The transaction could not be saved (disk full, locked, I/O error); it can be tried again."""

    exit_code = Exit.TRY_LATER
    perhaps_saved = False
    """Whether it may have been saved all the same."""


def is_job_file(source: str | Path) -> bool:
    """Whether a start from *source* has a job file; otherwise it is the data itself."""
    return Path(source).suffix.lower() == ".toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a job."""

    id: int
    job: str
    source: str = ""
    """The file that it was last started from, absolute: a job file, or data that was asked without
    one; empty for standard input."""
    key: str
    """Empty for a job with one continuing run, else the day or name it belongs to."""
    fresh: int
    """How often ``--fresh`` started the same job and key anew."""
    api: str
    key_columns: tuple[str, ...]
    """The columns that name a row of this run for ever."""
    created_at: datetime
    given_budget: int | None = None
    """What ``--budget`` said at its latest start, nano-dollars."""
    given_hold: int | None = None
    """What ``--max-hold`` said."""
    pruned_at: datetime | None = None
    """When answers of it were last deleted, so that its exports are not whole; None if never."""

    @property
    def name(self) -> str:
        """``JOB``, ``JOB@KEY``; with ``~N`` after the N-th ``--fresh``."""
        name = f"{self.job}@{self.key}" if self.key else self.job
        return f"{name}~{self.fresh}" if self.fresh else name

    @property
    def job_file(self) -> str:
        """The job file as last run; empty for a job that has none."""
        return self.source if is_job_file(self.source) else ""

    @property
    def number(self) -> str:
        """The short form that every command takes: ``r42``."""
        return f"r{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """Where a run stands."""

    run: Run
    rows: int
    duplicates: int
    rejected: int
    states: Mapping[State, int]
    reasons: Mapping[tuple[State, str], int]
    changed: int
    """Tasks whose request in the input differs from the one queued; nothing is sent for them."""
    gone: int = 0
    """Pending tasks that the latest load does not ask any more; nothing is sent for them."""
    undecided: int = 0
    """Pending tasks that no start goes on with before a person decides: changed ones and their
    follow-ups, and those that are gone."""
    held: int
    """Pending tasks for which nothing is sent: undecided ones, or all while the run is paused or
    being loaded."""
    money: Money
    oldest_posted_at: datetime | None
    next_due_at: datetime | None
    """When the next pending task may be posted."""
    paused: Pause | None = None
    """Why nothing is posted, if a person said so."""
    loading: bool = False
    """The latest load is not finished: it goes on in another process, or was broken off."""

    @property
    def tasks(self) -> int:
        return sum(self.states.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What one chunk of rows came to."""

    rows: int = 0
    duplicates: int = 0
    new: int = 0
    """Tasks queued."""
    known: int = 0
    """Tasks that were there already."""

    def __add__(self, other: "Added") -> "Added":
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Added(**sums)


class Decision(StrEnum):
    """What to do about tasks whose request was edited."""

    ASK = "ask"
    """Ask the edited request: a new attempt, paid again where the old one was."""
    KEEP = "keep"
    """The old request and its answer stand."""


class Idle(Enum):
    """Why no batch was begun."""

    NOTHING_DUE = "nothing due"
    BUDGET = "budget reached"
    DAY = "daily budget reached"
    HOLD = "hold reached"
    BALANCE = "balance floor reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What the API said of the account, and what the books held just before, nano-dollars."""

    stated: int | None
    """None: it does not say."""
    charged: int
    """Of all tasks of the account, in the end."""
    newest_batch: int
    """Of tasks in later batches *stated* knows nothing; of earlier ones it is without the advance,
    or already less by the cost of one that ended and was not fetched yet."""
    beside: int
    """Advances of tasks that the API took twice, as far as they were known and not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """Limits on a run's money, nano-dollars; None = no limit."""

    budget: int | None = None
    """charged + reserved + at risk never passes it at an intent."""
    hold: int | None = None
    """reserved + at risk never passes it: posting waits until answers free some."""
    day: int | None = None
    """What attempts of the job begun on one UTC day cost or may cost never passes it."""
    floor: int | None = None
    """The balance, less all that may still be charged, never falls below it."""
    balance: Balance | None = None
    """The balance as last stated, for *floor*; None: not known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Tasks of a run that failed for the same cause."""

    state: State
    reason: str
    provider: str
    model: str
    code: int | None
    message: str
    """The API's words for one of them."""
    count: int
    sample_task: TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryFilter:
    """Which unsuccessful tasks to take."""

    codes: frozenset[int] | None = None
    among: Selection = field(default_factory=Selection)
    """None but these; what it says of runs, states and codes does not count."""
    pay_again: bool = False
    """Also what may already have been paid: expired, answer lost, written off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """Money and counts of one group."""

    key: str
    money: Money
    tasks: int
    completed: int
    computed: int = 0
    """What of ``money.charged`` is our own reckoning; the rest the API has stated, nano-dollars."""

    @property
    def reported(self) -> int:
        """What of ``money.charged`` the API has stated as the cost."""
        return self.money.charged - self.computed

    def __add__(self, other: "CostLine") -> "CostLine":
        """Both under the key of the first; no task may be in both."""
        return CostLine(
            key=self.key,
            money=self.money + other.money,
            tasks=self.tasks + other.tasks,
            completed=self.completed + other.completed,
            computed=self.computed + other.computed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportLine:
    """One input row × target × sample × turn, as stored."""

    position: int
    cells: str
    """JSON object."""
    duplicate_of: int | None
    changed: bool = False
    """The row was edited since, undecided: the prompt is not what *cells* say now."""
    values: Mapping[str, object] = field(default_factory=dict)
    """Our columns, named as in the view ``results_v1``."""

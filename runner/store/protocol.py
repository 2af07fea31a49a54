"""What a store does, whichever database is behind it: one verb for each thing that can happen.

Every verb is one short transaction, durable when it returns. A verb that moves a task looks the
next state up in ``lifecycle`` and changes only tasks that are still in the state and at the attempt
the caller believes (compare-and-set): what came too late raises ``AttemptOver``.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Protocol

from runner.errors import RunnerError
from runner.lifecycle import Reason, State
from runner.money import Evidence
from runner.store.amounts import Money as Money
from runner.store.control import Control, Pause
from runner.store.listing import Listing, Selection
from runner.store.reconciling import Reconciling
from runner.task import (
    Answer,
    Attempt,
    Batch,
    Endpoint,
    InputRow,
    Outcome,
    Provider,
    RemoteId,
    Tag,
    Target,
    TaskId,
)


class AttemptOver(RunnerError):
    """A verb came for an attempt that is no longer the task's current one, or no longer open."""


class StoreUnwritable(RunnerError):
    """The transaction could not be saved (disk full, locked, I/O error); it can be tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a job."""

    id: int
    job: str
    source: str = ""
    """The job file as last run, absolute; empty for a job that has none."""
    key: str
    """Empty for a job with one continuing run, else the day or name it belongs to."""
    fresh: int
    """How often ``--fresh`` started the same job and key anew."""
    api: str
    key_columns: tuple[str, ...]
    """The columns that name a row of this run for ever."""
    created_at: datetime
    pruned_at: datetime | None = None
    """When answers of it were last deleted, so that its exports are not whole; None if never."""

    @property
    def name(self) -> str:
        """``JOB``, ``JOB@KEY``; with ``~N`` after the N-th ``--fresh``."""
        name = f"{self.job}@{self.key}" if self.key else self.job
        return f"{name}~{self.fresh}" if self.fresh else name

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
    held: int
    """Pending tasks for which nothing is sent: changed ones, or all while the run is paused or
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
    HOLD = "hold reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """Limits on a run's money, nano-dollars; None = no limit."""

    budget: int | None = None
    """charged + reserved + at risk never passes it at an intent."""
    hold: int | None = None
    """reserved + at risk never passes it: posting waits until answers free some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A task that waits at the API, leased to be asked for."""

    task: TaskId
    attempt: int
    tag: str
    remote_id: RemoteId
    endpoint: Endpoint
    posted_at: datetime
    polls: int
    tries: int
    """Failures that the API has reported for it so far."""
    allowed_tries: int
    """How many its run allows."""
    ready: bool
    """The API's ready list has shown it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A task's answer, to be stored."""

    task: TaskId
    attempt: int
    answer: Answer | None
    """None if the reply could not be read; its bytes are kept all the same."""
    parse_error: str | None
    reply: bytes
    """The raw reply, zlib-compressed."""
    charge: int
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotelyFailed:
    """The API took a task and reports that it failed."""

    task: TaskId
    attempt: int
    code: int
    message: str
    reason: Reason
    reply: bytes
    again_at: datetime | None
    """When to post it anew; None if the policy has no try left for it."""
    cost: int | None
    """What the reply says it cost, nano-dollars; 0 shows the refund, None shows nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultGone:
    """A result that the API no longer keeps."""

    task: TaskId
    attempt: int
    code: int | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StillRunning:
    """A task that was asked for and is not finished."""

    task: TaskId
    attempt: int
    ask_again_at: datetime


Ending = Answered | RemotelyFailed | ResultGone | StillRunning
"""What asking for a posted task came to."""


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
    pay_again: bool = False
    """Also what may already have been paid: expired, answer lost, written off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """Money and counts of one group."""

    key: str
    money: Money
    tasks: int
    completed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportLine:
    """One input row × target × sample × turn, as stored."""

    position: int
    cells: str
    """JSON object."""
    duplicate_of: int | None
    values: Mapping[str, object] = field(default_factory=dict)
    """Our columns, named as in the view ``results_v1``."""


class TaskStore(Listing, Control, Reconciling, Protocol):
    """The queue: the only memory that survives the process."""

    # -- whose store it is -------------------------------------------------------------------

    async def bind_account(self, *, gateway: str, base_url: str, login: str) -> int:
        """The account's id; the first start binds the store to it.

        Raises:
            WrongInput: the store belongs to another base URL or login.
        """

    async def begin_worker(self, *, now: datetime) -> int:
        """Register this engine process, which must hold the engine's lock; returns its worker id.

        Tasks that a dead worker left in ``posting`` become ``unknown``; its leases end.
        """

    async def end_worker(self, worker: int, *, now: datetime) -> None:
        """Note a clean end."""

    # -- runs and loading --------------------------------------------------------------------

    async def newest_run(self, job: str, key: str) -> Run | None:
        """The newest run of *job* under *key*."""

    async def begin_run(
        self,
        *,
        job: str,
        key: str,
        fresh: int,
        api: str,
        key_columns: Sequence[str],
        targets: Sequence[tuple[Target, int]],
        tries: int = 3,
        source: str = "",
        now: datetime,
    ) -> Run:
        """Create the run, or return it with its targets and tries brought up to date.

        *targets* come with the reserve of one attempt, nano-dollars, above 0.

        Raises:
            WrongInput: a target of that name has another endpoint.
        """

    async def begin_load(
        self, run: int, *, digest: str, source: str, columns: Sequence[str], now: datetime
    ) -> int | None:
        """Start loading an input; None if it is the run's latest load and that was finished."""

    async def add_rows(self, load: int, rows: Sequence[InputRow], *, now: datetime) -> Added:
        """Queue what is new in *rows*; note what is changed; nothing known is touched."""

    async def end_load(self, load: int, *, rejected: int, now: datetime) -> None:
        """All rows of the load are in."""

    async def decide_changes(self, run: int, decision: Decision, *, now: datetime) -> int:
        """Ask or keep the run's changed tasks; returns how many.

        Ask leaves those undecided that may be at the API: it would pay for them twice.
        """

    # -- posting -----------------------------------------------------------------------------

    async def targets_to_post(self, run: int, *, now: datetime) -> list[tuple[int, Endpoint]]:
        """Targets of the run with a pending task due at *now*."""

    async def begin_batch(
        self,
        *,
        run: int,
        target: int,
        account: int,
        worker: int,
        limit: int,
        now: datetime,
        patience: timedelta,
        ceiling: Ceiling,
        api_time: datetime | None = None,
        seal: Callable[[tuple[Attempt, ...]], str],
    ) -> Batch | Idle:
        """Write the intent to post up to *limit* due tasks of one target.

        Durable when it returns: a batch row, an attempt with its tag for each task, the tasks in
        ``posting``, the money reserved. Only then may the request leave. *seal* makes the body and
        returns its SHA-256 in hex; the deadline is *now* + *patience*; *api_time*: newest Date.
        """

    async def settle_batch(
        self,
        batch: Batch,
        outcomes: Sequence[Outcome],
        *,
        outcome: str,
        code: int | None,
        message: str | None,
        now: datetime,
    ) -> None:
        """Book what became of every attempt of *batch*, in one transaction.

        An attempt that *outcomes* leave out is in doubt. *outcome* of the whole call: ``answered``,
        ``refused``, ``not_sent`` or ``unknown``.

        Raises:
            AttemptOver: an attempt is no longer open; nothing is changed.
        """

    # -- collecting --------------------------------------------------------------------------

    async def waiting_providers(self) -> list[Provider]:
        """Whose tasks wait at the API."""

    async def mark_ready(self, tags: Sequence[Tag], *, now: datetime) -> int:
        """The ready list shows these: ask for them now. Returns how many it newly made due."""

    async def take_posted(
        self, limit: int, *, worker: int, now: datetime, lease: timedelta
    ) -> list[Posted]:
        """Lease up to *limit* posted tasks that are due to be asked for, ready ones first."""

    async def book(self, endings: Sequence[Ending], *, now: datetime) -> None:
        """Store what asking came to, for many tasks in one transaction.

        An ending for an attempt that is over is dropped: asking is free and repeatable. Of several
        for one task the first counts, and any goes before "still running".
        """

    async def trust_ready_list(self, trusted: bool, *, now: datetime) -> None:
        """Move due times of posted tasks: to the checkpoints while it is trusted, else nearer.

        Tasks posted later follow it; a new worker starts without trust.
        """

    # -- the person --------------------------------------------------------------------------

    async def retry(self, run: int, which: RetryFilter, *, now: datetime, dry: bool) -> int:
        """Put unsuccessful tasks back to pending; returns how many. *dry* only counts."""

    # -- pacing ------------------------------------------------------------------------------

    async def recent_calls(self, account: int, kind: str, *, since: datetime) -> list[datetime]:
        """When calls of *kind* were made, oldest first."""

    async def note_call(self, account: int, kind: str, *, at: datetime) -> None:
        """Remember a call of *kind*; calls older than two minutes before it are forgotten."""

    # -- looking -----------------------------------------------------------------------------

    async def runs(self, *, job: str | None = None) -> list[Run]:
        """All runs, or those of one job, oldest first."""

    async def counts(self) -> Mapping[State, int]:
        """Tasks of the whole store, by state; as cheap as ``status``."""

    async def unfinished_runs(self) -> list[Run]:
        """Runs with tasks that have not ended, oldest first; as cheap as ``status``."""

    async def status(self, run: int) -> RunStatus:
        """Where the run stands; costs the same however many tasks it has."""

    async def failures(self, run: int, which: Selection | None = None) -> list[FailureGroup]:
        """Unsuccessful tasks that *which* means, grouped by cause, most frequent first."""

    async def cost(
        self, *, by: str | None, run: int | None = None
    ) -> tuple[CostLine, list[CostLine]]:
        """Totals, and lines by ``run``, ``job``, ``provider``, ``model`` or ``day``.

        The lines' money sums to the totals'; a task asked on two days counts in both.
        """

    async def oldest_uncollected(self) -> datetime | None:
        """When the longest-waiting posted task of the whole store was posted."""

    def export(self, run: int, which: Selection | None = None) -> AsyncIterator[list[ExportLine]]:
        """Every line of the run in the order of its latest load, some thousand at a time.

        *which* leaves out lines of other tasks; its limit does not count.
        """

    async def input_columns(self, run: int) -> list[str]:
        """The input's column names, in order."""

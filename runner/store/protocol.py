"""What a store does, whichever database is behind it: one verb for each thing that can happen.

Every verb is one short transaction, durable when it returns. A verb that moves a task looks the
next state up in ``lifecycle`` and changes only tasks that are still in the state and at the attempt
the caller believes (compare-and-set): what came too late raises ``AttemptOver``.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from runner.lifecycle import State
from runner.rows import Attempt, Batch, InputRow
from runner.store.accounts import Accounts
from runner.store.auditing import Auditing
from runner.store.care import Care
from runner.store.control import Control
from runner.store.endings import Ending, LiveEnding, Posted
from runner.store.exports import Exports
from runner.store.history import History
from runner.store.inbox import Inbox
from runner.store.listing import Listing, Selection
from runner.store.pacing import Pacing
from runner.store.planning import Planning
from runner.store.reconciling import Reconciling
from runner.store.recovering import Recovering
from runner.store.resolving import Resolving
from runner.store.values import (
    Added,
    Ceiling,
    CostLine,
    Decision,
    ExportLine,
    FailureGroup,
    Idle,
    RetryFilter,
    Run,
    RunStatus,
)
from runner.store.workers import Workers
from runner.task import Endpoint, Method, Outcome, Provider, RemoteId, Tag, Target


class TaskStore(
    Accounts,
    Listing,
    Control,
    Reconciling,
    Resolving,
    Auditing,
    Care,
    Exports,
    Recovering,
    History,
    Inbox,
    Planning,
    Pacing,
    Workers,
    Protocol,
):
    """The queue: the only memory that survives the process."""

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
        live_resend: bool = False,
        source: str = "",
        now: datetime,
    ) -> Run:
        """Create the run, or return it with its targets and tries brought up to date.

        *targets* come with the reserve of one attempt, nano-dollars, above 0. *live_resend*: a lost
        Live answer is asked, and paid, again while it has tries left.

        Raises:
            WrongInput: a target of that name has another endpoint.
        """

    async def new_targets(self, run: int, targets: Sequence[Target]) -> list[Target]:
        """Those of *targets* that the run does not have yet, or has otherwise: another model,
        other parameters."""

    async def renamed_targets(
        self, run: int, targets: Sequence[Target]
    ) -> list[tuple[str, Target]]:
        """Those of *targets* that the run does not have, though they ask what one of its own asks
        that is not among them; each with that one's name."""

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

    async def reconsider(self, run: int) -> int:
        """Forget which edits of the run were kept, so that its next load notes them again; returns
        how many. None while others are undecided, or of tasks that a person dropped."""

    # -- posting -----------------------------------------------------------------------------

    async def targets_to_post(
        self,
        run: int,
        *,
        now: datetime,
        method: Method = Method.STANDARD,
        account: int | None = None,
        retries: bool = False,
    ) -> list[tuple[int, Endpoint]]:
        """Targets of the run asked by *method*, with a pending task due at *now*.

        *account*: only those that may be asked with it. *retries*: only tasks that the API has
        reported a failure of before.
        """

    async def waiting_to_post(
        self, run: int, *, now: datetime, account: int | None = None, retries: bool = False
    ) -> Mapping[Endpoint, datetime]:
        """The endpoints that pending tasks of the run wait for, and when the next of each is due.

        None while the run is paused or being loaded; tasks that wait for a person or for another
        task are left out, and with *account* those that are not to be posted with it. *retries* as
        ``targets_to_post``.
        """

    async def to_retry(self, run: int) -> int:
        """How many pending tasks of the run the API has reported a failure of before."""

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
        postback: bool = False,
        retries: bool = False,
        seal: Callable[[tuple[Attempt, ...]], str],
    ) -> Batch | Idle:
        """Write the intent to post up to *limit* due tasks of one target with *account*; none of
        a target that is another one's.

        Durable when it returns: a batch row, an attempt with its tag for each task, the tasks in
        ``posting``, the money reserved. Only then may the request leave. *seal* makes the body and
        returns its SHA-256 in hex; the deadline is *now* + *patience*; *api_time*: newest Date.
        *postback*: the API is asked to deliver the answers by itself. *retries* as
        ``targets_to_post``.
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
            AttemptOver: an attempt is no longer open; nothing is changed. On a server, where a
                worker's death is only assumed, a first reply that comes after it is booked.
        """

    async def settle_live(
        self,
        batch: Batch,
        ending: LiveEnding,
        *,
        remote_id: RemoteId | None,
        outcome: str,
        code: int | None,
        message: str | None,
        now: datetime,
    ) -> None:
        """Book what the Live call *batch*, of one attempt, came to: its answer too.

        It is asked again, where *ending* names a moment for that, only while its run has a try left
        for it; a lost answer only if the run says ``live_resend``.

        Raises:
            AttemptOver: as ``settle_batch``.
        """

    # -- collecting --------------------------------------------------------------------------

    async def waiting_providers(self, *, account: int | None = None) -> list[Provider]:
        """Whose tasks wait at the API, or only at *account* there."""

    async def installs(self) -> frozenset[str]:
        """Whose tags are this store's: its own, and those that it had before it was claimed."""

    async def mark_ready(self, tags: Sequence[Tag], *, now: datetime) -> int:
        """The ready list shows these: ask for them now. Returns how many it newly made due."""

    async def take_posted(
        self,
        limit: int,
        *,
        worker: int,
        now: datetime,
        lease: timedelta,
        account: int | None = None,
    ) -> list[Posted]:
        """Lease up to *limit* posted tasks that are due to be asked for, ready ones first; only
        those that were posted with *account*, if one is named.
        """

    async def redate(self, *, now: datetime, step: timedelta = timedelta(0)) -> int:
        """Our clock was set back by *step*, or, for 0, may have been before this start: bring due
        times that a wrong clock put too far ahead to at most 6 h from *now*. Returns how many.

        Tasks that were posted in the future are asked for now, and dated not after *now*.
        """

    async def book(
        self, endings: Sequence[Ending], *, letters: Sequence[int] = (), now: datetime
    ) -> None:
        """Store what asking came to, for many tasks in one transaction; *letters* are the
        deliveries of the inbox that are dealt with by it.

        An ending for an attempt that is over is dropped: asking is free and repeatable. Of several
        for one task the first counts, and any goes before "still running".
        """

    async def trust_ready_list(
        self, trusted: bool, *, now: datetime, account: int | None = None
    ) -> None:
        """Move due times of posted tasks: to the checkpoints while it is trusted, else nearer.

        Tasks posted later follow it; a new worker starts without trust. *account*: whose list it
        is; None: all of them.
        """

    # -- the person --------------------------------------------------------------------------

    async def retry(self, run: int, which: RetryFilter, *, now: datetime) -> int:
        """Put unsuccessful tasks back to pending; returns how many."""

    async def retriable(self, run: int, which: RetryFilter) -> dict[str, int]:
        """How many tasks ``retry`` would put back, by the names of their targets."""

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
        """Totals, and lines by ``run``, ``job``, ``provider``, ``model``, ``account`` or ``day``.

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

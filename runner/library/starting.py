"""Starts of a job, as programs make them.

run_job ─▶ app.run_job, in a task of its own ─▶ Summary
   └─ cancelled once: nothing new is posted, what is under way is saved; twice: at once
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypedDict, TypeVar, Unpack

import anyio

from runner import app
from runner.errors import Exit, Problem, RunnerError, WrongInput, gravest
from runner.jobfile import Job
from runner.library.loading import load_job
from runner.library.store import Store, open_store
from runner.library.summary import Summary, summary_of
from runner.pipeline.loader import LoadReport
from runner.store.values import Decision, Run, RunStatus

T = TypeVar("T")

MOST_PROBLEMS: Final = 1_000
"""Bad rows that an error names; a file of another kind would have as many as lines."""


class StartOptions(TypedDict, total=False):
    """What ``run_job`` takes beside store and job."""

    wait: timedelta
    wait_lock: timedelta
    limit: int | None
    fresh: bool
    pay_again: bool
    key: str | None
    changed: Literal["ask", "keep"] | None
    skip_bad: str | Path | None
    max_failures: int
    export: bool
    trust_docs: bool


async def run_job(
    store: Store,
    job: Job | str | Path,
    *,
    wait: timedelta = timedelta(hours=6),
    wait_lock: timedelta = timedelta(0),
    limit: int | None = None,
    fresh: bool = False,
    pay_again: bool = False,
    key: str | None = None,
    changed: Literal["ask", "keep"] | None = None,
    skip_bad: str | Path | None = None,
    max_failures: int = 0,
    export: bool = True,
    trust_docs: bool = False,
) -> Summary:
    """Load what is new in *job*, send it, collect the answers, export them.

    The same as ``runner run``, with its options under their names: starting a job again goes on
    where the last start ended, and pays for nothing twice. *wait* is how long to wait for answers
    (``timedelta.max``: for ever), *wait_lock* how long for another start in the same store, *key*
    what ``--run`` takes. How it ended stands in the summary; ``raise_for_exit`` makes an error of
    what is not 0.

    Cancelled, it saves what is under way before it ends; cancelled twice, it ends at once.

    Raises:
        WrongInput: an argument, the job or a row is wrong; nothing was sent.
        TryLater: another process holds the store, or the disk is full.
        CredentialsRefused: login or password is missing.
        StoreBroken: the store cannot be used.
    """
    with _one_error():
        if not isinstance(job, Job):
            job = load_job(job, workspace=store.settings.workspace)
        options = _options(
            wait=wait,
            wait_lock=wait_lock,
            limit=limit,
            fresh=fresh,
            pay_again=pay_again,
            key=key,
            changed=changed,
            skip_bad=skip_bad,
            max_failures=max_failures,
            export=export,
            trust_docs=trust_docs,
        )
        told = _Told(list(job.notes))
        stop = app.StopSwitch()
        start = app.run_job(
            job, options, settings=store.settings, clock=store.clock, reporter=told, stop=stop
        )
        try:
            ended = await _stoppable(start, stop)
        except WrongInput as error:
            raise told.completed(error) from error
    return summary_of(ended, tuple(told.notes))


def run(
    job: Job | str | Path,
    *,
    api: str | None = None,
    store: str | Path | None = None,
    workspace: str | Path | None = None,
    **options: Unpack[StartOptions],
) -> Summary:
    """``open_store`` and ``run_job``, for scripts that have no event loop.

    Raises:
        WrongInput: as both do, and if there is an event loop: await ``run_job`` there.
        RunnerError: as both do.
        KeyboardInterrupt: after a Ctrl-C, when what was under way is saved.
    """

    async def start() -> Summary:
        async with open_store(store, api=api, workspace=workspace) as opened:
            where = opened.settings.workspace
            loaded = job if isinstance(job, Job) else load_job(job, workspace=where)
            return await run_job(opened, loaded, **options)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(start())
    raise WrongInput(
        "runner.run cannot wait inside an event loop",
        how="async with runner.open_store() as store: await runner.run_job(store, job)",
    )


def _options(
    *,
    wait: timedelta,
    wait_lock: timedelta,
    limit: int | None,
    fresh: bool,
    pay_again: bool,
    key: str | None,
    changed: Literal["ask", "keep"] | None,
    skip_bad: str | Path | None,
    max_failures: int,
    export: bool,
    trust_docs: bool,
) -> app.RunOptions:
    """What the command line would make of them.

    Raises:
        WrongInput: one of them is out of range, or two do not go together.
    """
    if wait < timedelta(0) or wait_lock < timedelta(0):
        raise WrongInput("wait and wait_lock must not be less than 0")
    if limit is not None and limit < 1:
        raise WrongInput(f"limit must be 1 or more, got {limit}")
    if max_failures < 0:
        raise WrongInput(f"max_failures must be 0 or more, got {max_failures}")
    if changed not in (None, "ask", "keep"):
        raise WrongInput(f"changed must be 'ask' or 'keep', got {changed!r}")
    return app.RunOptions(
        wait_s=wait.total_seconds(),
        wait_lock_s=wait_lock.total_seconds(),
        limit=limit,
        fresh=fresh,
        pay_again=pay_again,
        key=key,
        changed=None if changed is None else Decision(changed),
        skip_bad=None if skip_bad is None else Path(skip_bad),
        failures=app.Failures(count=max_failures),
        export=export,
        trust_docs=trust_docs,
    )


async def _stoppable(start: Coroutine[Any, Any, T], stop: app.StopSwitch) -> T:
    work = asyncio.ensure_future(start)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        # Cut off between an intent and its receipt, tasks would be in doubt that need not be.
        stop.request(Exit.INTERRUPTED)
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait({work})
        finally:
            work.cancel()
        if not work.cancelled():
            # Looked at, so that nobody is told of an error that was never retrieved.
            work.exception()
        raise


@contextmanager
def _one_error() -> Iterator[None]:
    """Of several errors at once only the gravest is raised, unless one of them is a bug.

    Raises:
        RunnerError: that one.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        known, others = group.split(RunnerError)
        if known is None or others is not None:
            raise
        errors = [error for error in _leaves(known) if isinstance(error, RunnerError)]
        code = gravest(error.exit_code for error in errors)
        raise next(error for error in errors if error.exit_code is code) from group


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


class _Told:
    """A ``runner.app.Reporter`` that keeps what a program should know."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self._problems: list[Problem] = []

    def problem(self, problem: Problem) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(problem)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begun(self, run: Run, load: LoadReport | None, status: RunStatus) -> None:
        """The summary will tell."""

    def progress(self, progress: app.Progress) -> None:
        """The log tells."""

    def completed(self, error: WrongInput) -> WrongInput:
        """*error* with the bad rows that it speaks of."""
        return WrongInput(
            error.what,
            problems=error.problems or self._problems,
            where=error.where,
            why=error.why,
            how=error.how,
        )

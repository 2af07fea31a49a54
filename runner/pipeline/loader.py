"""Reads a prompt set into the queue: the whole file is checked before any of it can be posted.

    file ── first pass: every row checked, every mistake told ──▶ any? nothing is loaded
         └─ second pass, the same bytes: good rows, some thousand a transaction ──▶ queue

The file is read a thousand rows for each hop into a worker thread, so the other stages go on. A
load that was broken off is simply begun anew: rows that are in the queue already are known.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import anyio.to_thread
import structlog

from runner import jobfile
from runner.clock import Clock
from runner.errors import Problem, TryLater, WrongInput
from runner.failpoints import Point, hit
from runner.inputs.rows import Reject
from runner.inputs.table import Table
from runner.jobfile.formula import formula
from runner.jobfile.job import Job
from runner.jobfile.rows import Expander, FirstTurn
from runner.pipeline.conflicts import ConflictFinder
from runner.pipeline.rejects import RejectsFile, refuse_rejects_file
from runner.rows import InputRow
from runner.store.protocol import TaskStore
from runner.store.values import Added, Run

log = structlog.get_logger()

CHUNK: Final = 1_000
"""Rows read and checked for each hop into a worker thread."""

ROWS_PER_TRANSACTION: Final = 2_000

_MOST_TOLD: Final = 10_000
"""Mistakes remembered of a second table, which may have as many rows."""

MOST_COLUMNS: Final = 1_000
"""Different names noted from a JSON Lines file for CSV exports; the rest is in JSONL exports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the first pass found."""

    rows: int
    """All rows, bad ones included."""
    conflicts: dict[int, Problem]
    """By position: rows that ask something else under a key already used."""
    rejected: int
    tasks: int
    """Requests that the good rows stand for, duplicate rows included."""
    columns: tuple[str, ...]
    digest: str
    """Of the file's bytes."""
    formula: str
    """How the number of tasks comes about: ``50 rows × 3 targets = 150 tasks``; empty where only
    some rows were meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What loading came to."""

    added: Added
    rejected: int
    unchanged: bool
    """The very same input was loaded before: nothing was read into the queue."""
    formula: str = ""
    """How the number of tasks comes about: ``50 rows × 3 targets = 150 tasks``; empty where only
    some rows were meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A prompt file that was checked whole and may be queued."""

    table: Table
    checked: Checked


def open_input(job: Job) -> Table:
    """The job's prompt file.

    Raises:
        WrongInput: it cannot be read as a table.
    """
    return jobfile.open_input(job.input)


async def check_input(
    job: Job,
    tell: Callable[[Problem], None],
    *,
    key_columns: tuple[str, ...] = (),
    skip_bad: Path | None = None,
    again: str = "",
) -> Input:
    """Check the job's prompt file whole, without a store.

    With *skip_bad* bad rows are written to that file and the rest may be queued; *again* is the
    command to which it may be added.

    Raises:
        WrongInput: a row is bad and *skip_bad* is not given, the file cannot be read, or the
            rejects cannot be written.
        TryLater: the disk is full.
    """
    # Standard input may keep us waiting; a stop must be able to break in.
    table = await anyio.to_thread.run_sync(open_input, job, abandon_on_cancel=True)
    if skip_bad is not None:
        for path in table.paths:
            refuse_rejects_file(skip_bad, path)
    checked = await check(job, table, tell, key_columns=key_columns)
    if checked.rejected and skip_bad is None:
        raise bad_rows(table, checked, again, why="nothing was queued and nothing was sent")
    if skip_bad is not None:
        await _write_rejects(job, key_columns, table, checked, skip_bad)
    return Input(table=table, checked=checked)


def bad_rows(table: Table, checked: Checked, again: str, *, why: str) -> WrongInput:
    """Rows of *table* cannot be asked; *again* is the command that might leave them out."""
    skipping = f"{again} --skip-bad rejects{table.rejects_suffix}".lstrip()
    rows = "1 row" if checked.rows == 1 else f"{checked.rows:,} rows"
    return WrongInput(
        f"{table.display}: {checked.rejected:,} of {rows} cannot be asked",
        why=why,
        how=f"correct them, or ask only the others: {skipping}",
    )


async def check(
    job: Job, table: Table, tell: Callable[[Problem], None], *, key_columns: tuple[str, ...] = ()
) -> Checked:
    """Check every row of *table*; *tell* hears of each mistake as it is found.

    *key_columns* are those recorded with an existing run; by default the job's own.

    Raises:
        WrongInput: the file as a whole cannot be read.
        TryLater: the disk of temporary files is full.
    """
    columns: dict[str, None] = dict.fromkeys(table.columns or ())
    rows = rejected = tasks = 0
    once = _Once(table)
    expander = Expander(job, table, key_columns=key_columns)
    with _disk_may_be_full("the folder for temporary files"), ConflictFinder() as finder:
        chunks = _expanded(table, expander, {}, columns)
        while (part := await anyio.to_thread.run_sync(next, chunks, None)) is not None:
            good, rejects = part
            for row in good:
                finder.add(row)
            for reject in rejects:
                for problem in filter(once.is_new, reject.problems):
                    tell(problem)
            # A row of which only the follow-up is bad is in both.
            rows += len({row.position for row in good}.union(each.number for each in rejects))
            rejected += len(rejects)
            tasks += sum(len(row.asks) for row in good)
        conflicts = {}
        for found in finder.conflicts():
            file, first_file = (
                table.display_of(found.position),
                table.display_of(found.first_position),
            )
            first = f"{'line ' if file == first_file else f'{first_file}:'}{found.first_line}"
            message = (
                f"asks something else under the same key as {first}; "
                "name the columns that tell them apart in [input] key"
            )
            conflicts[found.position] = Problem(file, found.line, 1, message)
            tasks -= found.asks
    for _, problem in sorted(conflicts.items()):
        tell(problem)
    return Checked(
        rows=rows,
        conflicts=conflicts,
        rejected=rejected + len(conflicts),
        tasks=tasks,
        columns=tuple(columns),
        digest=table.digest(),
        formula=formula(job, table.sizes, tasks),
    )


class _Once:
    """Tells each mistake in a row of a second table once, though it comes with every first row."""

    def __init__(self, table: Table) -> None:
        self._repeating = table.repeating
        self._told: set[Problem] = set()

    def is_new(self, problem: Problem) -> bool:
        if problem.path != self._repeating or problem in self._told:
            return problem.path != self._repeating
        if len(self._told) < _MOST_TOLD:
            self._told.add(problem)
        return True


def _expanded(
    table: Table,
    expander: Expander,
    conflicts: dict[int, Problem],
    columns: dict[str, None] | None = None,
) -> Iterator[tuple[list[InputRow], list[Reject]]]:
    for part in table.chunks(CHUNK):
        good: list[InputRow] = []
        rejects = list(part.rejects)
        for row in part.rows:
            if columns is not None and len(columns) < MOST_COLUMNS:
                columns.update(dict.fromkeys(row.cells))
            expanded = expander.expand(row)
            if row.number in conflicts:
                rejects.append(row.reject([conflicts[row.number]]))
            elif isinstance(expanded, InputRow):
                good.append(expanded)
            elif isinstance(expanded, FirstTurn):
                good.append(expanded.row)
                rejects.append(row.reject(expanded.problems))
            else:
                rejects.append(row.reject(expanded))
        rejects.sort(key=lambda reject: reject.number)
        yield good, rejects


async def load(
    store: TaskStore,
    job: Job,
    run: Run,
    source: Input,
    *,
    clock: Clock,
    limit: int | None = None,
) -> LoadReport:
    """Queue what is new in *source*, checked for *run*'s key columns; *limit*: of its first rows.

    Raises:
        WrongInput: the file changed since it was checked. What was queued of it meanwhile is
            taken up by the next load; this start must not post it.
    """
    table, checked = source.table, source.checked
    report = LoadReport(added=Added(), rejected=checked.rejected, unchanged=True)
    load_id = await store.begin_load(
        run.id,
        digest=_digest(job, run, checked, limit),
        source=table.display,
        columns=checked.columns,
        now=clock.now(),
    )
    if load_id is not None:
        hit(Point.LOAD_BEGUN)
        added = await _queue(store, load_id, job, run, source, clock, limit)
        hit(Point.ROWS_ADDED)
        await store.end_load(load_id, rejected=checked.rejected, now=clock.now())
        hit(Point.LOAD_ENDED)
        report = LoadReport(added=added, rejected=checked.rejected, unchanged=False)
    # It counts the whole file, of which only the beginning is queued with a limit.
    report = replace(report, formula=checked.formula if limit is None else "")
    log.info(
        "loader.input_loaded",
        source=table.display,
        rows=checked.rows,
        new=report.added.new,
        known=report.added.known,
        duplicates=report.added.duplicates,
        rejected=report.rejected,
        unchanged=report.unchanged,
    )
    return report


def _digest(job: Job, run: Run, checked: Checked, limit: int | None) -> str:
    parts = (checked.digest, job.settings_digest(), *run.key_columns, str(limit), str(checked.rows))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


async def _queue(
    store: TaskStore,
    load: int,
    job: Job,
    run: Run,
    source: Input,
    clock: Clock,
    limit: int | None,
) -> Added:
    table, checked = source.table, source.checked
    expander = Expander(job, table, key_columns=run.key_columns)
    chunks = _expanded(table, expander, checked.conflicts)
    added = Added()
    waiting: list[InputRow] = []
    while (part := await anyio.to_thread.run_sync(next, chunks, None)) is not None:
        waiting += [row for row in part[0] if limit is None or row.position <= limit]
        if len(waiting) >= ROWS_PER_TRANSACTION:
            added += await store.add_rows(load, waiting, now=clock.now())
            waiting = []
    # Whether this was the same file is known at its end: the rest waits for it, and what went
    # before is posted by nobody until the load is finished.
    table.check_unchanged(checked.digest)
    return added + await store.add_rows(load, waiting, now=clock.now())


async def _write_rejects(
    job: Job, key_columns: tuple[str, ...], table: Table, checked: Checked, path: Path
) -> None:
    expander = Expander(job, table, key_columns=key_columns)
    with _disk_may_be_full(f"--skip-bad {path}"), RejectsFile(path, table.header) as file:
        if checked.rejected:
            chunks = _expanded(table, expander, checked.conflicts)
            last = 0
            while (part := await anyio.to_thread.run_sync(next, chunks, None)) is not None:
                for reject in part[1]:
                    # Of two tables combined, a row of the first comes again and again.
                    if (row := table.row_of(reject.number)) != last:
                        file.write(reject)
                    last = row
            table.check_unchanged(checked.digest)


@contextmanager
def _disk_may_be_full(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TryLater(
            f"{what} cannot be written: {error.strerror or error}",
            why="nothing was queued and nothing was sent",
            how="make room on that disk, then start the same command again",
        ) from error

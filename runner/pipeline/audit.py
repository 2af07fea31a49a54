"""Once a day the account's listing is compared with our books, even if nothing is in doubt.

    listing, 48 h ─┬─ a tag of ours under another id ──▶ double charge, orphan (incidents)
                   ├─ a final cost more than 1 % off ──▶ cost_differs
                   ├─ what a failed task cost ─────────▶ booked (runner/pipeline/failures.py)
    our books ─────┴─ taken by the API, not listed ────▶ not_listed

What arrived after it had been taken for absent shows here, instead of only on the bill. The day is
a UTC day of the API's time, and the store remembers it. An audit that a start has no time to finish
is dropped and begun by the next one; it never waits for anybody, and nobody waits for it.

Whether the listing ever corrects a cost after the advance is unknown (API.md §7), so a row that
says no more than the advance, or 0, tells nothing and is not compared. RECONCILING.md C8, U1, U4.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from runner.api.client import MOST_LISTED
from runner.api.errors import ApiError
from runner.money import exact
from runner.pacing import Priority
from runner.pipeline.account import heard
from runner.pipeline.engine import Engine
from runner.pipeline.extras import book_sightings
from runner.pipeline.failures import (
    OLDEST,
    TOLD_ONE_BY_ONE,
    Proof,
    Row,
    differs,
    failed_before,
    settle,
    told,
)
from runner.pipeline.listings import Listing, take_note
from runner.store.auditing import Audit, Expected, FailureCost
from runner.store.reconciling import IncidentKind, NewIncident
from runner.store.values import StoreUnwritable

log = structlog.get_logger()

REACH: Final = timedelta(hours=48)
"""How far back an audit looks at least: two days, so that no hour is seen by one audit alone."""

LAG: Final = timedelta(hours=1)
"""How long a task may stay out of the listing before that counts as a difference."""

KEPT: Final = timedelta(days=30)
"""So far back the listing tells what was posted: a month (API.md §7)."""

MOST_PAGES: Final = 200
"""Pages of one audit, 1,000 tasks each; where there are more, it says that it was cut."""

_AT_ONCE: Final = 4
_PAGE_EVERY_S: Final = 15.0
"""Between later pages: of the nine listing calls a minute half are left to the reconciler."""

_LOOK_S: Final = 0.5
_AGAIN_S: Final = 3600.0
"""When to try again after a listing that could not be had."""


async def audit_daily(engine: Engine) -> None:
    """Compare once in each UTC day of the API's time, until the engine is stopped."""
    while not engine.signals.stopping.is_set():
        now = engine.signals.api_time
        if now is None:
            await engine.rest(_LOOK_S)
            continue
        try:
            await audit_if_due(engine)
        except StoreUnwritable as error:
            log.warning("audit.not_written", error=error.what)
        await engine.rest(min(_AGAIN_S, _until_midnight_s(now)))


async def audit_if_due(engine: Engine) -> bool:
    """Compare if no audit was made in this UTC day of the API's time; whether one was made now.

    Raises:
        StoreUnwritable: as ``audit``.
    """
    now = engine.signals.api_time
    last = await engine.store.last_audit(engine.account)
    if now is None or (last is not None and last.end.date() >= now.date()):
        return False
    return await audit(engine, patient=True) is not None


def _until_midnight_s(now: datetime) -> float:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - now).total_seconds() + 1.0


async def audit(engine: Engine, *, patient: bool) -> Audit | None:
    """Compare now; None, with a warning, if the listing cannot be had or the API's time is unknown.

    *patient*: leave the listing's calls to the reconciler whenever it needs them.

    Raises:
        StoreUnwritable: an outcome could not be saved; the audit counts as not made.
    """
    end = engine.signals.api_time
    if end is None:
        return None
    start = await _start(engine, end)
    reader = _Reader(engine, start, end, patient)
    found = await _compare(reader)
    if found is None:
        return None
    made = replace(found, incidents=found.incidents + reader.incidents)
    await engine.store.note_audit(engine.account, made, now=engine.clock.now())
    tell = log.info if made.agrees and made.whole else log.warning
    tell(
        "audit.compared",
        listed=made.listed,
        compared=made.compared,
        listed_usd=exact(made.listed_cost),
        booked_usd=exact(made.booked_cost),
        unrefunded=made.unrefunded,
        settled=made.settled,
        differing=made.differing,
        missing=made.missing,
        foreign=made.foreign,
        incidents=made.incidents,
        whole=made.whole,
    )
    return made


async def _start(engine: Engine, end: datetime) -> datetime:
    """Two days back, or to the last audit where that is longer ago."""
    start = end - REACH
    last = await engine.store.last_audit(engine.account)
    if last is not None and last.whole:
        start = min(start, last.end - LAG)
    return max(start, end - KEPT)


@dataclass(slots=True)
class _Pass:
    """One reading of the listing."""

    rows: dict[str, Row] = field(default_factory=dict)
    """By their ids."""
    foreign: int = 0
    foreign_cost: int = 0
    pages: int = 0
    whole: bool = False


class _Reader:
    """Reads the listing page by page, and books at once what is strange in it."""

    def __init__(self, engine: Engine, start: datetime, end: datetime, patient: bool) -> None:
        self.engine = engine
        self.start = start
        self.end = end
        self.incidents = 0
        self.patient = patient
        self._pages_left = MOST_PAGES

    async def read(self) -> _Pass | None:
        """Go through the listing once; None if it cannot be had."""
        return await self.read_between(self.start, self.end)

    async def read_between(self, start: datetime, end: datetime) -> _Pass | None:
        """Go once through the listing of another window."""
        done, offset = _Pass(), 0
        while self._pages_left > 0:
            await self._wait_for_turn(done.pages)
            try:
                rows = await self.engine.api.id_list(
                    start,
                    end,
                    offset=offset,
                    limit=MOST_LISTED,
                    priority=Priority.RECONCILE,
                )
            except ApiError as error:
                take_note(self.engine, error)
                return None
            heard(self.engine)
            self._pages_left -= 1
            done.pages += 1
            page = Listing(start, end)
            page.add(rows)
            await self._book(page, done)
            done.rows.update(
                (row.id, Row(row.cost_nanousd, row.done_at, row.failed)) for row in rows
            )
            offset += len(rows)
            if len(rows) < MOST_LISTED:
                done.whole = True
                return done
        return done

    async def _wait_for_turn(self, pages: int) -> None:
        if not self.patient:
            return
        if pages >= _AT_ONCE:
            await self.engine.rest(_PAGE_EVERY_S)
        while self.engine.signals.doubtful and not self.engine.signals.stopping.is_set():
            await self.engine.rest(_LOOK_S)

    async def _book(self, page: Listing, done: _Pass) -> None:
        # Almost every row is as booked, and reading that keeps nobody from writing.
        strange, foreign = await self.engine.store.strange(page.ours)
        done.foreign += len(foreign)
        done.foreign_cost += sum(each.cost or 0 for each in foreign)
        if strange:
            self.incidents += (await book_sightings(self.engine, strange)).incidents


async def _compare(reader: _Reader) -> Audit | None:
    first = await reader.read()
    if first is None:
        return None
    books = _Books()
    await _go_through(reader, first.rows, books)
    if books.missing and first.pages > 1:
        # Pages move while tasks end, and a row may slip between two of them: look twice.
        second = await reader.read()
        whole = second is not None and second.whole
        first.whole = first.whole and whole
        seen = second.rows if second is not None else {}
        books.missing = [each for each in books.missing if each.remote_id not in seen]
    missing = books.missing if first.whole else []
    await _look_further_back(reader, first.rows, books)
    books.judge_failures()
    opened = await settle(reader.engine, books.failures)
    opened += await _tell(reader.engine, IncidentKind.COST_DIFFERS, books.differing)
    opened += await _tell(reader.engine, IncidentKind.NOT_LISTED, [(e, None) for e in missing])
    return Audit(
        start=reader.start,
        end=reader.end,
        whole=first.whole,
        listed=len(first.rows),
        compared=books.compared,
        untold=books.untold,
        unrefunded=books.unrefunded,
        unrefunded_cost=books.unrefunded_cost,
        settled=sum(each.booked is None for each in books.failures),
        listed_cost=books.listed,
        booked_cost=books.booked,
        differing=len(books.differing) + sum(e.booked is not None for e in books.failures),
        missing=len(missing),
        foreign=first.foreign,
        foreign_cost=first.foreign_cost,
        incidents=opened,
    )


Difference = tuple[Expected, int | None]
"""A task of ours, and the cost that the listing says; None if it lacks the task."""


@dataclass(slots=True)
class _Books:
    """Our side, gone through with the listing at hand."""

    compared: int = 0
    untold: int = 0
    unrefunded: int = 0
    unrefunded_cost: int = 0
    listed: int = 0
    booked: int = 0
    differing: list[Difference] = field(default_factory=list)
    missing: list[Expected] = field(default_factory=list)
    proof: Proof = field(default_factory=Proof)
    failures: list[FailureCost] = field(default_factory=list)
    """What failed tasks have cost, where that is not what is booked."""
    _undecided: list[tuple[Expected, Row]] = field(default_factory=list)
    """Failures of which only the listing as a whole shows what their rows mean."""

    def take(self, tasks: Iterable[Expected], rows: Mapping[str, Row]) -> None:
        for task in tasks:
            row = rows.get(task.remote_id)
            if row is None:
                self.missing.append(task)
            elif task.failed:
                self._take_failure(task, row)
            elif task.charged is not None:
                self.proof.learn(task, row)
                if row.cost is None or not told(task, row.cost):
                    self.untold += 1
                    continue
                self._compare(row.cost, task.charged)
                if differs(row.cost, task.charged):
                    self.differing.append((task, row.cost))

    def _take_failure(self, task: Expected, row: Row) -> None:
        # Mostly it cost nothing, as was booked, and need not be kept until the end.
        if row.cost == task.charged == 0:
            self._compare(0, 0)
        else:
            self._undecided.append((task, row))

    def _compare(self, listed: int, booked: int) -> None:
        self.compared += 1
        self.listed += listed
        self.booked += booked

    def judge_failures(self) -> None:
        """Say what failed tasks have cost, now that the whole listing was seen."""
        for task, row in self._undecided:
            if row.cost is None or not self.proof.tells(task, row):
                self.untold += 1
                if row.cost and task.charged == 0:
                    self.unrefunded += 1
                    self.unrefunded_cost += row.cost
                continue
            self._compare(row.cost, row.cost if task.charged is None else task.charged)
            if task.charged is None or differs(row.cost, task.charged):
                self.failures.append(
                    FailureCost(
                        task=task.task,
                        attempt=task.attempt,
                        remote_id=task.remote_id,
                        tag=task.tag,
                        booked=task.charged,
                        cost=row.cost,
                    )
                )


async def _go_through(reader: _Reader, rows: Mapping[str, Row], books: _Books) -> None:
    engine = reader.engine
    # What was taken shortly before the listing was begun may not show yet.
    end = reader.end - LAG
    after: int | None = 0
    while after is not None:
        tasks, after = await engine.store.expected(
            engine.account, reader.start, reader.end, after=after
        )
        books.take((t for t in tasks if t.remote_id in rows), rows)
        books.missing += [
            each for each in tasks if each.remote_id not in rows and each.accepted_api <= end
        ]
    extra = await engine.store.extra_expected(reader.start, reader.end, account=engine.account)
    books.take((task for task in extra if task.remote_id in rows), rows)


async def _look_further_back(reader: _Reader, rows: Mapping[str, Row], books: _Books) -> None:
    """Take in failures of older tasks, too: after 72 hours they had been posted long before."""
    reach = OLDEST if reader.patient else KEPT
    older = await failed_before(reader.engine, reader.end - reach, reader.start)
    unseen = [each.accepted_api for each in older if each.remote_id not in rows]
    if unseen:
        listed = await reader.read_between(min(unseen), reader.start)
        rows = rows if listed is None else {**listed.rows, **rows}
    books.take((task for task in older if task.remote_id in rows), rows)


async def _tell(engine: Engine, kind: IncidentKind, found: Sequence[Difference]) -> int:
    """Open incidents about *found*; returns how many are new."""
    now = engine.clock.now()
    if len(found) > TOLD_ONE_BY_ONE:
        amount = sum(_apart(*each) for each in found)
        task, cost = max(found, key=lambda each: _apart(*each))
        message = f"{len(found):,} tasks; the greatest is task {task.task}: {_words(task, cost)}"
        new = await engine.store.sum_up(
            kind, message, amount=amount, now=now, account=engine.account
        )
        return int(new)
    opened = 0
    for task, cost in found:
        incident = NewIncident(
            kind=kind,
            message=_words(task, cost),
            amount=_apart(task, cost),
            task=task.task,
            attempt=task.attempt,
            remote_id=task.remote_id,
            tag=task.tag,
            account=engine.account,
        )
        opened += await engine.store.open_incident(incident, now=now)
    return opened


def _apart(task: Expected, cost: int | None) -> int:
    if cost is None:
        return task.advanced if task.charged is None else task.charged
    return abs(cost - (task.charged or 0))


def _words(task: Expected, cost: int | None) -> str:
    if cost is None:
        return "the API took it, and the account's listing does not show it"
    return f"the account's listing says ${exact(cost)}, and ${exact(task.charged or 0)} is booked"

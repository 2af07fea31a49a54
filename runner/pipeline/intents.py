"""What posts and Live calls have in common: whose turn it is, how old an intent may be, the saving.

due ─▶ turns ─▶ intent (durable) ─▶ sent within 2 s ─▶ outcome saved, however long that takes
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Final, Generic, TypeVar

import structlog

from runner.api.status import DUPLICATE, lookup
from runner.pipeline.account import look_again
from runner.pipeline.engine import Engine, Lane, Posting, Shortage
from runner.rows import Batch
from runner.store.values import AttemptOver, Idle, StoreUnwritable
from runner.task import Endpoint, Method, NotTaken

log = structlog.get_logger()

T = TypeVar("T")

STALE_S: Final = 2.0
"""An intent older than this is not sent: the process was paused, and may be presumed dead."""

SLACK: Final = timedelta(seconds=15)
"""From the intent to the deadline, beside the time the reply may take: a store that is busy for ten
seconds, and ``STALE_S``."""

_LEAST_SLACK: Final = timedelta(seconds=STALE_S + 1)
"""Where replies are waited for so short a time that somebody is trying things out."""

_SAVE_AGAIN_CAP_S: Final = 5.0

_FREED_FIRST: Final = (Idle.HOLD, Idle.BALANCE, Idle.DAY, Idle.BUDGET)
"""Of several limits that leave no room, the one that opens again first: answers free the hold."""


def patience(timeout: timedelta) -> timedelta:
    """From the intent to the deadline, where a reply is waited for at most *timeout*."""
    return timeout + min(SLACK, max(_LEAST_SLACK, timeout / 4))


def after_last(items: Iterable[T], last: int, number: Callable[[T], int]) -> list[T]:
    """*items* by *number*, beginning after *last*, so that each has its turn."""
    return sorted(items, key=lambda item: (number(item) <= last, number(item)))


Due = list[tuple[Posting, list[tuple[int, Endpoint]]]]
"""Runs that have something due, each with its targets, in turn."""

Intend = Callable[[Posting, int, Endpoint], Awaitable[T | Idle]]
"""Writes the intent for one target of a run, or says why there is none."""


class Turns(Generic[T]):
    """Whose tasks a lane sends next: runs take turns, and so do the targets of each, so that a
    long one does not keep the others waiting."""

    def __init__(self, engine: Engine, postings: Sequence[Posting], lane: Lane = None) -> None:
        """*postings* is looked at anew each time: it may grow and shrink meanwhile."""
        self._engine = engine
        self._postings = postings
        self._lane = lane
        self._last_run = 0
        self._last_target: dict[int, int] = {}
        """By run."""

    async def due(self) -> Due:
        """The runs that have something due and may have room for it, and their targets, in turn."""
        engine, found = self._engine, []
        for posting in tuple(self._postings):
            run = posting.run.id
            if engine.signals.room(run, self._lane):
                targets = await self._targets(posting)
                if targets:
                    last = self._last_target.get(run, 0)
                    found.append((posting, after_last(targets, last, lambda each: each[0])))
        return after_last(found, self._last_run, lambda each: each[0].run.id)

    async def _targets(self, posting: Posting) -> list[tuple[int, Endpoint]]:
        engine, lane = self._engine, self._lane
        found = await engine.store.targets_to_post(
            posting.run.id,
            now=engine.clock.now(),
            method=Method.STANDARD if lane is None else Method.LIVE,
            account=engine.account if lane is None else engine.live[lane].account,
            retries=posting.retries_only,
        )
        return [each for each in found if lane is None or each[1].gateway is lane]

    async def first_affordable(self, due: Due, intend: Intend[T]) -> T | None:
        """The intent for the first of *due* that its run's limits leave room for."""
        for posting, targets in due:
            if (intent := await self._first_of_run(posting, targets, intend)) is not None:
                self._last_run = posting.run.id
                return intent
        return None

    async def _first_of_run(
        self, posting: Posting, targets: list[tuple[int, Endpoint]], intend: Intend[T]
    ) -> T | None:
        signals, run = self._engine.signals, posting.run.id
        shortages = signals.shortages_of(self._lane)
        bookings = signals.bookings
        idle: set[Idle] = set()
        for target, endpoint in targets:
            intent = await intend(posting, target, endpoint)
            if not isinstance(intent, Idle):
                self._last_target[run] = target
                shortages.pop(run, None)
                return intent
            idle.add(intent)
        short_of = next((each for each in _FREED_FIRST if each in idle), None)
        if short_of is Idle.BALANCE and await look_again(self._engine):
            return None
        if short_of is not None:
            shortages[run] = Shortage(short_of, bookings)
        return None


async def save(engine: Engine, batch: Batch, settle: Callable[[], Awaitable[None]]) -> None:
    """Save an outcome by *settle*, however long that takes: it is the only record of the money.

    Raises:
        AttemptOver: it was settled before, and not by an earlier try of this.
    """
    wait_s, owing, perhaps_saved = 0.5, False, False
    while True:
        try:
            await settle()
            break
        except AttemptOver:
            # Nobody else settles it: others only put it in doubt, which a late outcome ends.
            if not perhaps_saved:
                raise
            log.info("submitter.outcome_was_saved", batch=batch.id)
            break
        except StoreUnwritable as error:
            perhaps_saved |= error.perhaps_saved
            if not owing:
                engine.signals.debts += 1
                owing = True
            engine.signals.unwritable = error
            log.error("submitter.outcome_not_saved", batch=batch.id, error=error.what)
            await engine.clock.sleep(wait_s)
            wait_s = min(wait_s * 2, _SAVE_AGAIN_CAP_S)
    if owing:
        engine.signals.debts -= 1
    engine.signals.unwritable = None


def due_at_once(outcome: NotTaken) -> bool:
    """Whether *outcome*, of a call that the account was refused for, is no fault of the task: the
    account pauses, and once it may go on, in this start or the next, the task is due."""
    return lookup(outcome.code).kind not in DUPLICATE

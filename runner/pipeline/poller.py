"""Asks for posted tasks by their ids, those on the ready list first, and hands on what came back.

    store: due tasks ──▶ claimed (leased) ──▶ fetchers ──▶ endings ──▶ writer
             ▲                                               │
             └────────── not finished: due again later ◀─────┘

Asking is free and can be repeated, so nothing here is written before a call. DESIGN.md §4 Fetching.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
import structlog
from anyio.streams.memory import MemoryObjectSendStream

from runner.api.errors import ApiError, MoneyBlocked, ProtocolFault, RateLimited
from runner.api.fetching import (
    Expired,
    Fetched,
    Finished,
    Gone,
    Running,
    TaskFailed,
    Unclear,
    Withheld,
)
from runner.api.status import lookup
from runner.backoff import FIRST_POLL, full_jitter, poll_interval
from runner.failpoints import Point, hit
from runner.lifecycle import Reason
from runner.money import ADVANCE, BASE_PRICE_STANDARD, Evidence, final_charge
from runner.pacing import Priority
from runner.pipeline.account import heard, heed, rest_until_heard, silence_wait_s
from runner.pipeline.claimed import Claimed
from runner.pipeline.doubting import believed, doubted
from runner.pipeline.engine import Engine
from runner.pipeline.packing import packed
from runner.pipeline.planner import next_ask
from runner.store.endings import Answered, Ending, Posted, RemotelyFailed, ResultGone, StillRunning
from runner.store.planning import Kind
from runner.store.values import StoreUnwritable
from runner.windows import (
    may_be_timeout,
    near_window_end,
    result_lost,
)

log = structlog.get_logger()

FETCHERS: Final = 48
"""Fetches under way at the same time: enough for 2,000 a minute at over a second each."""

LEASE: Final = timedelta(minutes=10)
"""How long a claimed task is left to its fetcher, beside its place in the line for a call."""

SPECULATIVE: Final = FETCHERS - 8
"""Most fetchers that asks by age may take up. Posts go before these, so on a slow account all of
them can be waiting for their call; results that are ready go before posts and need a fetcher."""

_FEWEST_CLAIMS: Final = 8
_MOST_CLAIMS: Final = 400
_LOOK_AGAIN_S: Final = 0.1
_LONGEST_LOOK_S: Final = 1.0
_LINE: Final = 8
"""Callers in line for a call below which calls are idle, or about to be."""
_WITHHELD_AGAIN: Final = timedelta(minutes=10)
_VAIN_BASE_S: Final = 5.0
_VAIN_CAP_S: Final = 120.0
_UNREADABLE_CAP: Final = timedelta(minutes=30)
_STEP: Final = timedelta(minutes=1)
_ORIGIN: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def poll(engine: Engine, endings: MemoryObjectSendStream[Ending]) -> None:
    """Ask for what is due until the engine is stopped."""
    claimed = Claimed()
    async with endings, anyio.create_task_group() as group:
        for _ in range(FETCHERS):
            group.start_soon(_fetch_in_turn, engine, claimed, endings)
        group.start_soon(_claim_in_turn, engine, claimed)
        await engine.signals.stopping.wait()
        # A fetch that is given up costs nothing: the task is asked for again at the next start.
        group.cancel_scope.cancel()


async def _claim_in_turn(engine: Engine, claimed: Claimed) -> None:
    """Keep the fetchers supplied, claiming no more than they can fetch in some seconds."""
    wait_s = _LOOK_AGAIN_S
    wall = WallClock(engine)
    while not engine.signals.stopping.is_set():
        await wall.look()
        wanted = claims_wanted(engine)
        taken = await claim(engine, wanted)
        # The next are claimed while the last of these still wait: fetchers never stand idle for it.
        await claimed.put(taken, left=wanted // 2)
        if len(taken) < wanted and await guess(engine, wanted):
            continue
        wait_s = _LOOK_AGAIN_S if taken else min(wait_s * 1.5, _LONGEST_LOOK_S)
        if engine.signals.unreachable is not None:
            # One at a time, until somebody is there again.
            await rest_until_heard(engine, max(wait_s, silence_wait_s(engine)))
        elif len(taken) < wanted:
            await engine.rest(wait_s)


class WallClock:
    """Notices when the wall clock is set back: due times were written by it, and would be as late
    as it was fast."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ahead = self._ahead_of_monotonic()

    async def look(self) -> None:
        """Bring due times back by as much as the clock was set back since the last look."""
        step = self._ahead - (ahead := self._ahead_of_monotonic())
        if abs(step) < _STEP:
            return
        if step > timedelta(0):
            log.warning("poller.clock_set_back", seconds=round(step.total_seconds()))
            try:
                # Once for all of them: the due times are of the whole store.
                if self._engine.leads:
                    await self._engine.store.redate(now=self._engine.clock.now(), step=step)
            except StoreUnwritable as error:
                self._engine.signals.unwritable = error
                return
        self._ahead = ahead

    def _ahead_of_monotonic(self) -> timedelta:
        clock = self._engine.clock
        return clock.now() - _ORIGIN - timedelta(seconds=clock.monotonic())


def claims_wanted(engine: Engine) -> int:
    """How many tasks to claim at once."""
    if engine.signals.unreachable is not None:
        return 1
    return max(_FEWEST_CLAIMS, min(_MOST_CLAIMS, engine.pacer.calls_per_minute // 10))


async def claim(engine: Engine, wanted: int) -> list[Posted]:
    """Lease up to *wanted* tasks that are due to be asked for; they count as under way."""
    signals = engine.signals
    # Of asks by age none while what waits is being moved to its checkpoints.
    trust, now_s = engine.planner.trust, engine.clock.monotonic()
    trusting = trust.holds(now_s) and not signals.list_trusted
    most = 0 if trusting else trust.asks_by_age(SPECULATIVE, now_s)
    by_age = max(0, most - signals.speculative)
    # The store gives ready ones first.
    listed = signals.listed
    limit = min(wanted, listed + by_age)
    if signals.debts or limit <= 0:
        return []
    # Whether the list was gone through before the look: what it finds meanwhile may be missed.
    list_asked = signals.list_asked
    before = FETCHERS + wanted // 2
    in_line = timedelta(minutes=2 * (before + limit) / engine.pacer.calls_per_minute)
    try:
        taken = await engine.store.take_posted(
            limit,
            worker=engine.worker,
            now=engine.clock.now(),
            lease=LEASE + in_line,
            account=engine.account,
        )
    except StoreUnwritable as error:
        signals.unwritable = error
        log.warning("poller.claim_not_written", error=error.what)
        return []
    if taken:
        hit(Point.CLAIM_DURABLE)
    ready = sum(task.ready for task in taken)
    # What a list has shown since the look stays.
    signals.listed += (max(0, listed - ready) if ready == limit else 0) - listed
    signals.speculative += len(taken) - ready
    signals.in_flight += len(taken)
    signals.collected = list_asked and not taken
    return taken


async def guess(engine: Engine, wanted: int) -> int:
    """While calls are idle and a list is too full to show all, make due what has probably finished
    too; returns how many tasks."""
    older = engine.planner.likely_done(engine.clock.now())
    most = engine.planner.guesses(wanted)
    idle = engine.pacer.waiting < _LINE and engine.signals.unreachable is None
    if not (older and most and idle) or engine.signals.debts:
        return 0
    try:
        return await engine.store.hasten(
            most, older=older, now=engine.clock.now(), account=engine.account
        )
    except StoreUnwritable as error:
        engine.signals.unwritable = error
        return 0


async def _fetch_in_turn(
    engine: Engine, claimed: Claimed, endings: MemoryObjectSendStream[Ending]
) -> None:
    while True:
        task = await claimed.take()
        ending = await fetch(engine, task)
        engine.signals.speculative -= not task.ready
        try:
            await _hand_on(endings, ending)
        except anyio.BrokenResourceError:
            # The writer has failed, and says so itself.
            return


async def _hand_on(endings: MemoryObjectSendStream[Ending], ending: Ending) -> None:
    try:
        # Mostly there is room, and to wait for it all the same would cost a turn of the loop.
        endings.send_nowait(ending)
    except anyio.WouldBlock:
        await endings.send(ending)


async def fetch(engine: Engine, task: Posted) -> Ending:
    """Ask for one task and say what its answer means for it. Never raises for the API's sake."""
    try:
        fetched = await engine.api.task_get(
            task.endpoint.provider,
            task.remote_id,
            tag=task.tag,
            priority=_priority(engine, task),
        )
    except ApiError as error:
        heed(engine, error)
        return _asked_in_vain(engine, task, error)
    hit(Point.ANSWER_CAME)
    heard(engine)
    _learn(engine, task, fetched)
    if isinstance(fetched, Unclear):
        _tell_once(engine, task, fetched)
    return ending_of(engine, task, fetched, engine.clock.now())


def _learn(engine: Engine, task: Posted, fetched: Fetched) -> None:
    """Tell the planner whether the call was worth it, and how long the answer took."""
    planner = engine.planner
    if isinstance(fetched, Running) and not task.ready:
        planner.note_vain(_kind(task), engine.clock.monotonic())
    elif isinstance(fetched, TaskFailed):
        if not fetched.may_pass:
            planner.note_answer(_kind(task), None)
    elif isinstance(fetched, Finished):
        answered_at = fetched.answer.answered_at if fetched.answer else None
        if answered_at is None:
            planner.note_answer(_kind(task), None)
            return
        planner.note_answer(_kind(task), answered_at - (task.posted_api or task.posted_at))
        now = engine.clock.now()
        # A task that was asked for before may have been handed over then, and is listed no more.
        if not (task.ready or task.postback or task.polls) and planner.lists.should_have_shown(
            task.endpoint.provider,
            finished_at=now - ((engine.api_now() or now) - answered_at),
            claimed_at=task.claimed_at,
        ):
            planner.trust.note_missed()


def _tell_once(engine: Engine, task: Posted, unclear: Unclear) -> None:
    """Log a code that says nothing, with the first task that it was said of."""
    code = unclear.code
    if code not in engine.signals.unclear_codes:
        engine.signals.unclear_codes.add(code)
        log.warning(
            "poller.code_unknown",
            code=code,
            message=unclear.message,
            task=task.task,
            how=lookup(code).advice,
        )


def _kind(task: Posted) -> Kind:
    return Kind(str(task.endpoint), task.model)


def _age(engine: Engine, task: Posted) -> timedelta | None:
    """How long the API has had *task*, by its own time; None while no reply has told that.

    Counted from the intent, which was at most the time of one call before; where no reply had
    told the time by then, from the receipt by our clock.
    """
    api_now = engine.api_now()
    return None if api_now is None else api_now - (task.posted_api or task.posted_at)


def _posted_at(engine: Engine, task: Posted, now: datetime) -> datetime:
    """When *task* was posted, as our clock would have it that says *now*: its age is the API's,
    if that is known, so that a clock that was or is wrong makes it neither older nor younger."""
    age = _age(engine, task)
    return task.posted_at if age is None else now - age


def _priority(engine: Engine, task: Posted) -> Priority:
    now = engine.clock.now()
    if near_window_end(_posted_at(engine, task, now), now):
        return Priority.WINDOW
    return Priority.READY if task.ready else Priority.SPECULATIVE


def _asked_in_vain(engine: Engine, task: Posted, error: ApiError) -> StillRunning:
    """The call failed, which says nothing about the task."""
    now = engine.clock.now()
    jitter_s = full_jitter(
        task.polls + 1, base_s=_VAIN_BASE_S, cap_s=_VAIN_CAP_S, random=engine.random
    )
    wait = timedelta(seconds=jitter_s)
    if isinstance(error, RateLimited):
        wait += timedelta(seconds=error.wait_s)
    if isinstance(error, ProtocolFault):
        # It may be this one task whose reply is never readable: not asked every minute for days.
        wait += min(_interval(_posted_at(engine, task, now), now), _UNREADABLE_CAP)
    unread = error.raw if isinstance(error, ProtocolFault) else b""
    return StillRunning(
        task=task.task,
        attempt=task.attempt,
        ask_again_at=now + wait,
        reply=packed(unread) if unread else None,
    )


def ending_of(engine: Engine, task: Posted, fetched: Fetched, now: datetime) -> Ending:
    """What *fetched* means for *task* at *now*, by our clock; the API's windows are measured by
    its own, and without that none of them ends anything that the API has not ended."""
    if isinstance(fetched, Finished):
        return _answered(task, fetched)
    posted_at = _posted_at(engine, task, now)
    known = engine.api_now() is not None
    over = known and result_lost(posted_at, now)
    if isinstance(fetched, TaskFailed):
        if not fetched.may_pass or believed(engine, task):
            return _failed(engine, task, fetched, posted_at, now)
        if not over:
            return doubted(engine, task, fetched, now)
    match fetched:
        case Expired(code=code, message=message):
            return ResultGone(task=task.task, attempt=task.attempt, code=code, message=message)
        case Withheld():
            return _withheld(engine, task, fetched, now)
        case Gone(code=code) | Unclear(code=code) | TaskFailed(code=code) if over:
            message = f"not answered within 30 days; the last ask by id brought {code}"
            return ResultGone(
                task=task.task,
                attempt=task.attempt,
                code=code,
                message=message,
                reply=_kept(fetched),
            )
        case Running() | Gone() | Unclear() | TaskFailed():
            # What the API says is running has not expired, however old it is. A code that nobody
            # knows may be a word of one moment: the answer may be there all the while, and paid.
            return StillRunning(
                task=task.task,
                attempt=task.attempt,
                ask_again_at=next_ask(
                    posted_at=posted_at,
                    now=now,
                    interval=_interval(posted_at, now),
                    list_trusted=engine.signals.list_trusted or task.postback,
                    curve=engine.planner.curve(_kind(task)),
                ),
                reply=_kept(fetched),
                recovered=task.failing_since is not None and isinstance(fetched, Running),
            )


def _kept(fetched: Fetched) -> bytes | None:
    """What is kept of a reply that brings no end of its own: a later version may know its code."""
    return packed(fetched.raw) if isinstance(fetched, Unclear | TaskFailed) else None


def _failed(
    engine: Engine, task: Posted, failed: TaskFailed, posted_at: datetime, now: datetime
) -> RemotelyFailed:
    # The API tells neither when it failed nor which code its 72 hours end with (API.md §5): it may
    # have failed, and been billed, days ago. Age alone is no reason to pay again.
    timed_out = failed.retryable and may_be_timeout(posted_at, now)
    # A last try is one after which the policy allows no other.
    again = failed.retryable and task.tries + 1 < task.allowed_tries
    return RemotelyFailed(
        task=task.task,
        attempt=task.attempt,
        code=failed.code,
        message=failed.message,
        reason=Reason.TIMED_OUT if timed_out else Reason.REMOTE,
        reply=packed(failed.raw),
        again_at=now + _retry_wait(engine, task) if again else None,
        cost=failed.cost_nanousd,
    )


def _answered(task: Posted, fetched: Finished) -> Answered:
    money_spent = fetched.answer.money_spent_nanousd if fetched.answer else 0
    charge, evidence = final_charge(
        cost=fetched.cost_nanousd, money_spent=money_spent, base_price=BASE_PRICE_STANDARD
    )
    if evidence is Evidence.COMPUTED and not fetched.price_stated:
        # It was paid for, whether it can be read or not: the advance is the best that is known.
        charge = max(charge, ADVANCE + BASE_PRICE_STANDARD)
    return Answered(
        task=task.task,
        attempt=task.attempt,
        answer=fetched.answer,
        parse_error=fetched.parse_error,
        reply=packed(fetched.raw),
        charge=charge,
        evidence=evidence,
    )


def _retry_wait(engine: Engine, task: Posted) -> timedelta:
    return timedelta(
        seconds=full_jitter(task.tries + 1, base_s=10.0, cap_s=600.0, random=engine.random)
    )


def _withheld(engine: Engine, task: Posted, fetched: Withheld, now: datetime) -> StillRunning:
    """Done, but the account's money is used up: it comes after a top-up, and has not failed."""
    trouble = MoneyBlocked(
        "the API withholds finished answers until the balance is topped up",
        block=fetched.block,
        code=fetched.code,
        why=f"its words: {fetched.message}" if fetched.message else None,
        how="top up the balance, then start the same command again",
    )
    engine.signals.withheld = trouble
    heed(engine, trouble)
    return StillRunning(task=task.task, attempt=task.attempt, ask_again_at=now + _WITHHELD_AGAIN)


def _interval(posted_at: datetime, now: datetime) -> timedelta:
    """How long to leave the task alone now: 1 min doubling to 6 h, by its age.

    By age and not by count, so that the many asks in vain of an outage do not make it wait for
    hours after it.
    """
    age = max(timedelta(0), now - posted_at)
    return poll_interval(int(math.log2(age / FIRST_POLL + 1)))

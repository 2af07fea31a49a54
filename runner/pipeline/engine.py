"""What the stages of one engine process share: its parts, and what they tell each other."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from random import Random
from typing import Final

import anyio

from runner.api.client import LlmResponses
from runner.api.live_client import LiveResponses
from runner.clock import Clock
from runner.errors import RunnerError, gravest
from runner.pacing import Pacer, Priority
from runner.pipeline.api_time import ApiTime, Heard
from runner.pipeline.planner import Planner
from runner.postbacks import PostbackAddress
from runner.store.protocol import TaskStore
from runner.store.values import Balance, Ceiling, Idle, Run
from runner.task import Endpoint, Gateway, Method

MOST_IN_DOUBT: Final = 3
"""Batches of living workers in doubt at which posting pauses (DESIGN.md §4 Posting, 1)."""

SETTLE: Final = timedelta(minutes=15)
"""How long a request whose sender is gone may still arrive: measured are milliseconds."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """A run's limits left no room for another attempt."""

    of: Idle
    """Budget or hold."""
    bookings: int
    """``Signals.bookings`` at that time."""


Lane = Gateway | None
"""Who sends a task: the Live lane of a gateway; None: the poster of Standard tasks."""


def lane_of(endpoint: Endpoint) -> Lane:
    """Which lane sends the tasks of *endpoint*."""
    return endpoint.gateway if endpoint.method is Method.LIVE else None


@dataclass(slots=True)
class Quota:
    """How many tasks may still be sent, by all lanes together."""

    left: int | None = None
    """None = no limit."""
    posts: int = 0
    """Calls that were made, or at least meant to be."""

    def claim(self, wanted: int) -> int:
        """Set up to *wanted* tasks aside; what is not used of them is to be given back."""
        if self.left is None:
            return wanted
        claimed = min(wanted, self.left)
        self.left -= claimed
        return claimed

    def give_back(self, unused: int) -> None:
        """*unused* tasks of a claim were not sent."""
        if self.left is not None:
            self.left += unused


@dataclass(slots=True)
class Signals:
    """What one stage has found out and the others must know. Everything else is in the store."""

    stopping: anyio.Event = field(default_factory=anyio.Event)
    """Somebody asked to stop: nothing new is posted or fetched, what is under way is saved."""
    blocked: RunnerError | None = None
    """Why nothing may be posted for now (balance, daily limit); fetching goes on."""
    blocked_on: date | None = None
    """The UTC day on which that was said: a daily limit ends with it."""
    unlisted: RunnerError | None = None
    """Why posting has not begun: the account is still being looked through (``recovery``)."""
    fatal: RunnerError | None = None
    """Why no call makes sense any more (login, wrong address, our bug)."""
    broken: Exception | None = None
    """What a stage failed with that nobody foresaw, or that makes the store unusable."""
    withheld: RunnerError | None = None
    """Answers that are done but withheld, because the balance is negative."""
    shortages: dict[int, Shortage] = field(default_factory=dict)
    """By run: what left no room for another post when one was last wanted."""
    live_shortages: dict[Gateway, dict[int, Shortage]] = field(default_factory=dict)
    """The same for Live calls, which reserve more."""
    halted: dict[Endpoint, RunnerError] = field(default_factory=dict)
    """Endpoints that nothing is sent to any more in this start, and why."""
    live_open: int = 0
    """Live calls under way: their answers come now, or never."""
    bookings: int = 0
    """How often answers were booked, each of which may have freed money."""
    balance: Balance | None = None
    """The account's balance as last asked for."""
    balance_of: int = 0
    """What ``bookings`` was when it was asked for."""
    balance_asked_s: float = float("-inf")
    """When somebody last asked for it, monotonic."""
    floor_watched: bool = False
    """Some run may post only while the balance stays above a floor: it is asked for anew."""
    debts: int = 0
    """Replies that could not be saved yet. While there are any, nothing new is sent."""
    unwritable: RunnerError | None = None
    """Why the store could not be written lately; None after it could."""
    reached: bool = False
    """Whether any call to the API has succeeded in this start."""
    unreachable: RunnerError | None = None
    """The last call that brought no reply; None after one that did."""
    silent_since: float | None = None
    """Since when (monotonic seconds) no call has brought one."""
    unclear_codes: set[int] = field(default_factory=set)
    """Codes that mean nothing to us and were told of in this start."""
    calls: int = 0
    """Calls made in this start."""
    in_flight: int = 0
    """Posts and fetches under way, unsaved ones included. No use any more once it is stopping."""
    list_trusted: bool = False
    """The ready list answers, is not full of other people's ids, and has lately shown our tasks."""
    list_asked: bool = False
    """The ready list was gone through at least once in this start, or another worker reads it."""
    listed: int = 0
    """Tasks that the ready list has made due and nobody has claimed yet."""
    speculative: int = 0
    """Claimed tasks that no list has shown: they wait behind every post for their call."""
    collected: bool = False
    """After that, nothing was left that is due to be asked for."""

    in_doubt: set[int] = field(default_factory=set)
    """Batches of living workers that nobody knows about; from three on, nothing is posted."""
    doubtful: bool = False
    """Something is in doubt, whosever it is: the few listing calls are for that."""
    extras_told: int = 0
    """How often it was said that a task was found that was paid beside its attempt's own."""
    extras_heard: int = 0
    """How much of that was said before a look that left none to be asked for."""
    reconciled: bool = False
    """Doubtful batches, if there are any, were looked for at least once in this start, or another
    worker does that."""
    api_clock: ApiTime = field(default_factory=ApiTime)
    """What is believed of the API's time."""
    api_time: datetime | None = None
    """The newest ``Date`` of the API's replies that is believed."""
    api_time_asked_at: float = 0.0
    """When (monotonic seconds) the call began that brought it."""

    @property
    def extras_found(self) -> bool:
        """A task that was paid beside its attempt's own was found, and not asked for yet."""
        return self.extras_told > self.extras_heard

    def see_time(
        self,
        date: datetime | None,
        *,
        asked_at: float,
        took_s: float = 0.0,
        wall: datetime | None = None,
    ) -> None:
        """A reply bears *date*: to a call that began at *asked_at* (monotonic seconds) and took
        *took_s*. It came when our wall clock said *wall*."""
        if date is None:
            return
        heard = Heard(date, asked_at, asked_at + took_s)
        self.api_clock.see(heard, wall=wall)
        if self.api_clock.newest is heard:
            self.api_time = date
            self.api_time_asked_at = max(self.api_time_asked_at, asked_at)

    @property
    def too_doubtful(self) -> bool:
        """Whether so much is in doubt that posting waits until some of it is decided."""
        return len(self.in_doubt) >= MOST_IN_DOUBT

    def room(self, run: int, lane: Lane = None) -> bool:
        """Whether there may be money for another attempt of *run*: answers since the last look
        free some."""
        shortage = self.shortages_of(lane).get(run)
        return shortage is None or shortage.bookings != self.bookings

    def no_room(self, run: int, lane: Lane = None) -> Idle | None:
        """What left no room when an attempt of *run* was last wanted: budget or hold."""
        shortage = self.shortages_of(lane).get(run)
        return None if shortage is None else shortage.of

    def short_of(self, run: int) -> Idle | None:
        """What leaves no room for *run* now, in any lane."""
        for lane in (None, *self.live_shortages):
            if not self.room(run, lane):
                return self.no_room(run, lane)
        return None

    def shortages_of(self, lane: Lane) -> dict[int, Shortage]:
        """By run: what left a lane no room."""
        return self.shortages if lane is None else self.live_shortages.setdefault(lane, {})

    def forget_shortages(self, run: int) -> None:
        """The limits of *run* have changed: there may be room again."""
        for lane in (None, *self.live_shortages):
            self.shortages_of(lane).pop(run, None)

    def stop(self, error: RunnerError | None = None) -> None:
        """End the stages; *error* says why, if it is not that a person asked."""
        self.fatal = self.fatal or error
        self.stopping.set()

    def crash(self, error: Exception) -> None:
        """End the stages in good order: one of them cannot go on. The first error counts."""
        self.broken = self.broken or plain(error)
        self.stopping.set()


def plain(error: Exception) -> Exception:
    """The one error that matters of a task group's many: our own bug first, then the gravest."""
    if not isinstance(error, ExceptionGroup):
        return error
    leaves = [plain(each) for each in error.exceptions]
    known = [each for each in leaves if isinstance(each, RunnerError)]
    if len(known) < len(leaves):
        return next(each for each in leaves if not isinstance(each, RunnerError))
    code = gravest(each.exit_code for each in known)
    return next(each for each in known if each.exit_code is code)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveGateway:
    """What it takes to make Live calls through one gateway."""

    api: LiveResponses
    pacer: Pacer
    """At DataForSEO the account's own, which posts and fetches share."""
    account: int
    timeout: timedelta
    """How long an answer is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine process at work."""

    store: TaskStore
    api: LlmResponses
    """Called only where the engine is ``standard``."""
    pacer: Pacer
    clock: Clock
    random: Random
    account: int
    worker: int
    post_timeout: timedelta
    settle: timedelta = SETTLE
    postbacks: PostbackAddress | None = None
    """Where the API is asked to deliver answers; None: they are only asked for."""
    signals: Signals = field(default_factory=Signals)
    planner: Planner = field(default_factory=Planner)
    """What this process has learned about when answers come; Standard ones only."""
    standard: bool = True
    """Whether DataForSEO is called at all in this start: for posts, fetches and its account."""
    live: Mapping[Gateway, LiveGateway] = field(default_factory=dict)
    """The gateways that Live calls are made through in this start."""
    name: str | None = None
    """What the account is called where there are several; each has an engine then."""
    accounts: frozenset[int] = frozenset()
    """All accounts of this start at DataForSEO; empty where there is one."""
    leads: bool = True
    """Of the engines of this process the one that does what is for the whole store."""

    def may_send(self, run: int, endpoint: Endpoint) -> bool:
        """Whether tasks of *run* at *endpoint* can be sent for now, as far as anybody knows."""
        signals = self.signals
        if endpoint in signals.halted or not signals.room(run, lane_of(endpoint)):
            return False
        if endpoint.gateway is Gateway.DATAFORSEO and signals.blocked is not None:
            return False
        if endpoint.method is Method.LIVE:
            return endpoint.gateway in self.live
        return self.standard and not signals.too_doubtful

    def api_now(self) -> datetime | None:
        """The API's time, rather too early than too late; None if no reply has told it yet."""
        return self.signals.api_clock.at(self.clock.monotonic())

    async def call_token(self, priority: Priority) -> bool:
        """Wait for a call of the account's rate, holding nothing; False if stopped meanwhile."""
        taken = await self.unless_stopped(lambda: self.pacer.take(priority))
        self.signals.calls += taken
        return taken

    def ceiling(self, posting: "Posting") -> Ceiling:
        """The limits of *posting*, with the balance that its floor is measured from."""
        if posting.ceiling.floor is None:
            return posting.ceiling
        self.signals.floor_watched = True
        return replace(posting.ceiling, balance=self.signals.balance)

    async def rest(self, seconds: float) -> None:
        """Sleep, but wake when the engine is asked to stop."""
        await self.unless_stopped(lambda: self.clock.sleep(seconds))

    async def unless_stopped(self, work: Callable[[], Awaitable[object]]) -> bool:
        """Do *work*, which may be broken off anywhere: no longer than until the engine is stopped.

        True if it ended by itself. Errors of *work* come out as they are.
        """
        if self.signals.stopping.is_set():
            return False
        ended, failure = False, None
        async with anyio.create_task_group() as group:
            group.start_soon(self._cancel_when_stopped, group.cancel_scope)
            try:
                await work()
                ended = True
            except Exception as error:
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return ended

    async def _cancel_when_stopped(self, scope: anyio.CancelScope) -> None:
        await self.signals.stopping.wait()
        scope.cancel()

    async def guarded(self, stage: Callable[[], Awaitable[object]]) -> None:
        """Run *stage*. If it fails, the others end in good order instead of being cut off:
        a post that is under way still has its outcome saved."""
        try:
            await stage()
        except Exception as error:
            self.signals.crash(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """Which run's tasks are to be posted, and within which limits."""

    run: Run
    ceiling: Ceiling
    retries_only: bool = False
    """Only tasks that the API has reported a failure of; none that was never asked."""

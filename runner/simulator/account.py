"""The account as a state machine: tasks are posted, run, end by the clock and are collected.

    accepted ──▶ running ──▶ done | failed        the moment is drawn at posting, 72 h at the latest
                                └─▶ on the ready list for 3 days, until collected
                                └─▶ readable for 30 days after posting

Nothing happens in the background: what the clock has made true is booked when somebody asks.
Every change is a record, handed to *record* before it takes effect, so a journal can replay it.
Source: API.md §3-§5, §7.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from heapq import heappop, heappush
from random import Random
from typing import Final, Self

from runner.clock import Clock, from_ms, to_ms
from runner.money import BASE_PRICE_LIVE
from runner.simulator.answers import bill_for, result_for
from runner.simulator.calls import STANDARD_PROVIDERS, CallKind, Json
from runner.simulator.charges import LIVE_TIMEOUT, charge_of
from runner.simulator.faults import Fault, Faults, Strike
from runner.simulator.ledger import (
    COMPLETION_WINDOW_MS,
    KEEP_WINDOW_MS,
    LIVE_WINDOW_MS,
    OK,
    READY_WINDOW_MS,
    TAKEN,
    Ledger,
    RemoteTask,
)
from runner.simulator.limits import CallLog, OpenCalls
from runner.simulator.records import Collected, Delivered, Deposited, Posted, Record
from runner.simulator.scenario import Place, Scenario
from runner.simulator.validation import Refusal, refusal_of
from runner.task import Gateway, Method, Provider

MAX_TASKS: Final = 100
"""Tasks that one post may carry (API.md §3)."""

READY_LIMIT: Final = 1000
"""Ids that ``tasks_ready`` shows at most (API.md §3)."""

_MS: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a post came to, object by object, in the order sent."""

    sent: object
    outcome: RemoteTask | Refusal


class PaymentRequired(Exception):
    """The balance does not allow what was asked."""


def _forget(record: Record) -> None:
    """Keep no journal."""


def _nothing() -> None:
    """Hold nothing open."""


class Account:
    """One customer's account at the API; close it, or use it in a ``with``, if it keeps a journal.

    All money is integer nano-dollars. *rng* decides run times and outcomes; the same seed and
    posts give the same account.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        clock: Clock,
        rng: Random | None = None,
        record: Callable[[Record], None] = _forget,
        close: Callable[[], None] = _nothing,
    ) -> None:
        self.scenario = scenario
        self.clock = clock
        self.ledger = Ledger()
        self.calls = CallLog()
        self.aisa_calls = CallLog()
        """Calls through AIsa: its key has limits of its own."""
        self.open_calls = OpenCalls()
        self.seed = scenario.seed
        self.faults = Faults(scenario.faults, Random(f"{scenario.seed}/faults"))
        self._rng = rng or Random(scenario.seed)
        # Listings have ids, too: how often somebody polls must not change what tasks come to.
        self._ids = Random(f"{scenario.seed}/ids")
        self._record = record
        self.close = close
        self._tasks: dict[str, RemoteTask] = {}
        self._running: list[tuple[int, int]] = []
        self._ready: dict[Provider, dict[str, RemoteTask]] = {p: {} for p in STANDARD_PROVIDERS}
        self._outbox: dict[str, RemoteTask] = {}
        self._now_ms = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Time and records

    @property
    def last_ms(self) -> int:
        """The latest moment that the account knows of, without looking at the clock."""
        return self._now_ms

    def now_ms(self) -> int:
        """The account's time in milliseconds since 1970; books what has ended by then.

        It never runs backwards, even if the clock does.
        """
        self._now_ms = max(self._now_ms, to_ms(self.clock.now()))
        self._settle(self._now_ms)
        return self._now_ms

    def apply(self, record: Record) -> None:
        """Let *record* take effect; used by replays, and by every change after it was recorded."""
        match record:
            case Posted(tasks):
                for task in tasks:
                    self._accept(task)
            case Collected(task_id, at_ms):
                self._settle(at_ms)
                task = self._tasks[task_id]
                self._ready[task.provider].pop(task_id, None)
                self.ledger.collect(task)
                self._now_ms = max(self._now_ms, at_ms)
            case Delivered(task_id, at_ms, taken):
                self._settle(at_ms)
                self._deliver(self._tasks[task_id], taken)
                self._now_ms = max(self._now_ms, at_ms)
            case Deposited(amount, at_ms):
                self.ledger.deposit(amount)
                self._now_ms = max(self._now_ms, at_ms)

    def change(self, scenario: Scenario) -> None:
        """Go on under *scenario*; tasks already accepted keep the end that was drawn for them."""
        self.scenario = scenario
        self.faults.rates = scenario.faults

    def reseed(self, seed: int) -> None:
        """Go on as the account that *seed* made: answers stay the same after reopening."""
        self.seed = seed
        self._rng.seed(f"{seed}/{len(self._tasks)}")
        self._ids.seed(f"{seed}/ids/{len(self._tasks)}")

    def deposit(self, amount: int) -> None:
        """Pay in *amount* nano-dollars."""
        self._commit(Deposited(amount, self.now_ms()))

    def _commit(self, record: Record) -> None:
        self._record(record)
        self.apply(record)

    def _accept(self, task: RemoteTask) -> None:
        serial = len(self.ledger.tasks)
        self._tasks[task.id] = task
        self.ledger.accept(task)
        heappush(self._running, (task.finish_ms, serial))
        self._now_ms = max(self._now_ms, task.posted_ms)

    def _settle(self, now_ms: int) -> None:
        while self._running and self._running[0][0] <= now_ms:
            task = self.ledger.tasks[heappop(self._running)[1]]
            self.ledger.settle(task)
            if task.method is Method.LIVE:
                continue
            if task.postback_url is not None:
                # What is delivered never shows on the ready list (API.md §6).
                self._outbox[task.id] = task
            elif task.code == OK or self.scenario.ready_lists_failures:
                self._ready[task.provider][task.id] = task

    # Postbacks

    def to_deliver(self, limit: int) -> list[RemoteTask]:
        """Ended tasks whose postback is due, at most *limit*; each is given out once."""
        self.now_ms()
        chosen = [task for task, _ in zip(self._outbox.values(), range(limit), strict=False)]
        for task in chosen:
            del self._outbox[task.id]
        return chosen

    def delivered(self, task: RemoteTask, *, taken: bool) -> None:
        """Note how the one delivery of *task* went: what was not taken goes to the ready list."""
        self._commit(Delivered(task.id, self.now_ms(), taken))

    def resend(self, task_id: str) -> bool:
        """Send the postback of an ended task once more; False if there is none."""
        task = self.find(task_id)
        if task is None or task.postback_url is None or not task.ended(self._now_ms):
            return False
        self._outbox[task.id] = task
        return True

    def _deliver(self, task: RemoteTask, taken: bool) -> None:
        self._outbox.pop(task.id, None)
        if taken:
            self._ready[task.provider].pop(task.id, None)
            self.ledger.totals.delivered += 1
            self.ledger.collect(task)
        else:
            self.ledger.totals.undelivered += 1
            if not task.collected:
                self._ready[task.provider][task.id] = task

    # Posting

    def post(self, provider: Provider, sent: list[object]) -> list[Judged]:
        """Take what can be taken of *sent*; the accepted tasks are recorded and paid.

        Posting the same twice makes two tasks: nothing here is idempotent (API.md §0.4).

        Raises:
            PaymentRequired: the balance does not cover the call and the scenario refuses it whole.
        """
        now_ms = self.now_ms()
        taken: dict[str, RemoteTask] = {}
        judged = [self._judge(provider, item, i, now_ms, taken) for i, item in enumerate(sent)]
        if taken:
            self._commit(Posted(tuple(taken.values())))
        return judged

    def ask(self, provider: Provider, sent: object, gateway: Gateway) -> Judged:
        """Take the task of a Live call; it is charged when it ends, whether or not anybody hears.

        Raises:
            PaymentRequired: nothing is left on the balance, and the scenario refuses the call.
        """
        now_ms = self.now_ms()
        refusal = refusal_of(
            provider, sent, listed_only=self.scenario.listed_models_only, live=True
        )
        if refusal is not None or not isinstance(sent, dict):
            return Judged(sent, refusal or (40501, "Invalid Field: 'data'."))
        strike = self.faults.for_task(sent["user_prompt"], CallKind.LIVE)
        if (code := self._refused_anyway(strike)) is not None:
            return Judged(sent, (code, ""))
        if self.ledger.balance < BASE_PRICE_LIVE:
            if self.scenario.payment_place is Place.TOP:
                raise PaymentRequired
            return Judged(sent, (40210, ""))
        task = self._new_task(provider, sent, now_ms, strike, Method.LIVE, gateway)
        self._commit(Posted((task,)))
        return Judged(sent, task)

    def _refused_anyway(self, strike: Strike | None) -> int | None:
        """The code that a valid task is refused with all the same, by order or by chance."""
        refused = strike is not None and strike.fault is Fault.TASK_REFUSED
        if refused or self._happens(self.scenario.refuse_rate):
            return (strike.code if strike and refused else None) or self.scenario.refuse_code
        return None

    def _judge(
        self,
        provider: Provider,
        sent: object,
        place: int,
        now_ms: int,
        taken: dict[str, RemoteTask],
    ) -> Judged:
        refusal = self._refusal(provider, sent, place)
        if refusal is not None or not isinstance(sent, dict):
            return Judged(sent, refusal or (40501, "Invalid Field: 'data'."))
        request: Json = sent
        strike = self.faults.for_task(request["user_prompt"])
        if (code := self._refused_anyway(strike)) is not None:
            return Judged(sent, (code, ""))
        if self.ledger.balance < (len(taken) + 1) * TAKEN:
            if self.scenario.payment_place is Place.TOP:
                raise PaymentRequired
            return Judged(sent, (40210, ""))
        task = self._new_task(provider, request, now_ms, strike)
        taken[task.id] = task
        return Judged(sent, task)

    def _refusal(self, provider: Provider, sent: object, place: int) -> Refusal | None:
        if place >= MAX_TASKS:
            return 40006, ""
        return refusal_of(
            provider,
            sent,
            listed_only=self.scenario.listed_models_only,
            not_postable=self.scenario.not_postable,
        )

    def _new_task(
        self,
        provider: Provider,
        request: Json,
        now_ms: int,
        strike: Strike | None,
        method: Method = Method.STANDARD,
        gateway: Gateway = Gateway.DATAFORSEO,
    ) -> RemoteTask:
        task_id = self.new_id()
        finish_ms, code = self._end(now_ms, strike, method)
        spent = bill_for(self.seed, task_id, provider, request).money_spent
        timed_out = finish_ms >= now_ms + COMPLETION_WINDOW_MS
        return RemoteTask(
            id=task_id,
            provider=provider,
            tag=request.get("tag"),
            request=json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode(
                errors="surrogatepass"
            ),
            posted_ms=now_ms,
            finish_ms=finish_ms,
            code=code,
            charge=charge_of(self.scenario, code, method, spent=spent, timed_out=timed_out),
            method=method,
            gateway=gateway,
            postback_url=request.get("postback_url") if method is Method.STANDARD else None,
        )

    def _end(self, now_ms: int, strike: Strike | None, method: Method) -> tuple[int, int]:
        """When and with which code a task accepted now will end."""
        scenario = self.scenario
        live = method is Method.LIVE
        latency = (scenario.live_latency if live else None) or scenario.latency
        last_ms = now_ms + (LIVE_WINDOW_MS if live else COMPLETION_WINDOW_MS)
        timeout_code = LIVE_TIMEOUT if live else scenario.timeout_code
        finish_ms = now_ms + latency.draw(self._rng) // _MS
        stuck = self._happens(scenario.stuck_rate)
        failed = self._happens(scenario.error_rate)
        if strike is not None:
            stuck, failed = strike.fault is Fault.TASK_STUCK, strike.fault is Fault.TASK_FAILS
            if strike.fault is Fault.TIMED_OUT:
                return now_ms, LIVE_TIMEOUT
        if stuck or finish_ms >= last_ms:
            return last_ms, timeout_code
        if failed:
            ordered = strike.code if strike else None
            return finish_ms, ordered or self._rng.choice(scenario.error_codes)
        return finish_ms, OK

    def _happens(self, rate: float) -> bool:
        return rate > 0 and self._rng.random() < rate

    def new_id(self) -> str:
        """An id as the API writes them; its first part is the minute of posting."""
        minute = from_ms(self.now_ms()).strftime("%m%d%H%M")
        while True:
            made = f"{minute}-1535-0613-0000-{self._ids.getrandbits(48):012x}"
            if made not in self._tasks:
                return made

    def shuffle(self, outcomes: list[Json]) -> None:
        """Bring *outcomes* into another order, if there is one."""
        before = list(outcomes)
        while len(before) > 1 and outcomes == before:
            self._rng.shuffle(outcomes)

    # Reading

    def ready(self, provider: Provider) -> list[RemoteTask]:
        """Tasks that ended within 3 days and were not collected: the 1,000 oldest at most."""
        oldest = self.now_ms() - READY_WINDOW_MS
        waiting = self._ready[provider]
        # Ended in order, so what is too old stands in front.
        for task_id in [t.id for t in waiting.values() if t.finish_ms < oldest]:
            del waiting[task_id]
        return [task for task, _ in zip(waiting.values(), range(READY_LIMIT), strict=False)]

    def find(self, task_id: str) -> RemoteTask | None:
        """The task of that id; None if the account has none. Live results are not stored."""
        self.now_ms()
        task = self._tasks.get(task_id)
        return None if task is None or task.method is Method.LIVE else task

    def expired(self, task: RemoteTask) -> bool:
        """Whether the result is past the 30 days that it is kept."""
        return self._now_ms > task.posted_ms + KEEP_WINDOW_MS

    def collect(self, task: RemoteTask) -> Json | None:
        """The result of an ended *task*, None if it failed; takes it off the ready list.

        Raises:
            PaymentRequired: the balance is below zero, so results are withheld (API.md §3).
        """
        if task.code == OK and self.ledger.balance < 0:
            raise PaymentRequired
        if not task.collected:
            self._commit(Collected(task.id, self._now_ms))
        return self.result_of(task)

    def result_of(self, task: RemoteTask) -> Json | None:
        """What *task* was answered with; None if it failed."""
        if task.code != OK:
            return None
        return result_for(
            self.seed,
            task.id,
            task.provider,
            json.loads(task.request),
            answered_at=from_ms(task.finish_ms),
            money_spent=task.money_spent,
        )

    def listed(self, start_ms: int, end_ms: int) -> list[RemoteTask]:
        """Tasks posted within the window that the listing already shows, oldest first."""
        shown = self.now_ms() - int(self.scenario.listing_lag_s * 1000)
        tasks = self.ledger.tasks
        first = bisect_left(tasks, start_ms, key=_posted)
        last = bisect_right(tasks, min(end_ms, shown), key=_posted)
        return [task for task in tasks[first:last] if self._is_listed(task)]

    def _is_listed(self, task: RemoteTask) -> bool:
        # AIsa asks under an account of its own, whose listing we never see.
        if task.gateway is Gateway.AISA:
            return False
        return task.method is Method.STANDARD or self.scenario.listing_live


def _posted(task: RemoteTask) -> int:
    return task.posted_ms

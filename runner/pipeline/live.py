"""Asks Live tasks: one in a call, answered in the same call, some thirty open at once.

    room ─▶ call token ─▶ intent (durable) ─▶ sent, once, up to 150 s ─▶ answer saved (durable)
                               │                    │
                               └ a crash here ──────┴ failed(answer_lost): its money is at risk

The starts are as far apart as the pacer says. A stop begins no call and waits for the open ones:
their answers are paid, and come now or never. DESIGN.md §4 Live.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup

from runner.api import live as reply_of
from runner.api.calls import PreparedPost
from runner.api.errors import (
    AccountBlocked,
    ApiError,
    CallRejected,
    RateLimited,
    Unreachable,
    WrongAddress,
)
from runner.api.live import Completed, LiveReply, RemoteFailed
from runner.backoff import full_jitter
from runner.errors import Exit, RunnerError
from runner.failpoints import Point, hit
from runner.lifecycle import Reason
from runner.money import Evidence, exact
from runner.pacing import Priority
from runner.pipeline.account import heard, heed
from runner.pipeline.crowd import Crowd
from runner.pipeline.engine import Engine, LiveGateway, Posting, Quota
from runner.pipeline.intents import STALE_S, Due, Turns, due_at_once, patience, save
from runner.pipeline.packing import packed
from runner.rows import Attempt, Batch
from runner.store.endings import Answered, AnswerLost, LiveEnding, RemotelyFailed
from runner.store.values import Ceiling, Idle, StoreUnwritable
from runner.task import Endpoint, Gateway, Method, NotTaken, Provider, Refused

log = structlog.get_logger()

MOST_OPEN: Final = {Gateway.DATAFORSEO: 30, Gateway.AISA: 20}
"""Open calls: at DataForSEO for each provider (API.md §3), at AIsa for the key, whose plan may
allow 5, 20 or 50 (API.md §12); where it allows fewer, its refusals lower it."""

_LOOK_AGAIN_S: Final = 0.25
_ROOM_AGAIN_S: Final = 0.05
_HOLD_AGAIN_S: Final = 2.0
_WRITE_AGAIN_S: Final = 1.0
_RETRY_BASE_S: Final = 10.0
_RETRY_CAP_S: Final = 600.0
_PACE_CAP_S: Final = 60.0


class LiveHalted(RunnerError):
    """Live calls were given up for this start; what waits is safe."""

    exit_code = Exit.NOT_FINISHED


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A Live call that is durably about to be made."""

    batch: Batch
    post: PreparedPost
    sealed_at: float
    """Monotonic seconds; a little before it was durable."""
    crowd: Crowd
    turn: int
    """Of the crowd, when it began."""


class LiveLane:
    """Asks the Live tasks of some runs through one gateway; runs and targets take turns."""

    def __init__(
        self,
        engine: Engine,
        gateway: LiveGateway,
        postings: Sequence[Posting],
        quota: Quota | None = None,
    ) -> None:
        """*postings* is looked at anew for each call; *quota* is shared with the poster."""
        self._engine = engine
        self._gateway = gateway
        self._postings = postings
        self._quota = quota or Quota()
        self._name = gateway.api.gateway
        self._turns: Turns[OpenCall] = Turns(engine, postings, self._name)
        self._crowds: dict[Provider | None, Crowd] = {}
        self._waits_for_room = False

    def crowd(self, provider: Provider) -> Crowd:
        """The open calls that one to *provider* counts among."""
        key = provider if self._name is Gateway.DATAFORSEO else None
        return self._crowds.setdefault(key, Crowd(MOST_OPEN[self._name]))

    async def work(self) -> None:
        """Ask what is due until the engine is stopped; return when no call is open any more."""
        async with anyio.create_task_group() as group:
            # A failure in here must not cut off the calls that are open.
            await self._engine.guarded(partial(self._begin_calls, group))

    async def _begin_calls(self, group: TaskGroup) -> None:
        while not self._engine.signals.stopping.is_set():
            call = await self.intend() if self._may_ask() else None
            if call is None:
                await self._engine.rest(self._idle_s())
            else:
                group.start_soon(self._engine.guarded, partial(self.deliver, call))
                # An intent is sent before anything else is begun.
                await anyio.lowlevel.checkpoint()

    def _may_ask(self) -> bool:
        signals = self._engine.signals
        blocked = self._name is Gateway.DATAFORSEO and signals.blocked is not None
        return not blocked and not signals.debts and self._quota.left != 0

    def _idle_s(self) -> float:
        signals = self._engine.signals
        if signals.unwritable is not None:
            return _WRITE_AGAIN_S
        if self._waits_for_room:
            return _ROOM_AGAIN_S
        short = any(signals.no_room(posting.run.id, self._name) for posting in self._postings)
        return _HOLD_AGAIN_S if short and not signals.live_open else _LOOK_AGAIN_S

    async def ask_next(self) -> LiveReply | None:
        """Ask one task; None if none is due, or no money for one."""
        call = await self.intend()
        return None if call is None else await self.deliver(call)

    async def intend(self) -> OpenCall | None:
        """Write the intent to ask one task that is due; None if none is, or no room or money."""
        engine = self._engine
        try:
            due = self._with_room(await self._turns.due())
            if not due or not await self._call_token():
                return None
            # Counted as under way from before the intent, so that nobody takes the engine for idle.
            engine.signals.in_flight += 1
            call = None
            try:
                call = await self._turns.first_affordable(due, self._intend_for)
            finally:
                engine.signals.in_flight -= call is None
        except StoreUnwritable as error:
            engine.signals.unwritable = error
            log.warning("live.intent_not_written", error=error.what)
            return None
        if call is not None:
            call.crowd.open += 1
            engine.signals.live_open += 1
        return call

    def _with_room(self, due: Due) -> Due:
        """Those of *due* whose provider may be asked one more thing now."""
        now_s = self._engine.clock.monotonic()
        left = []
        for posting, targets in due:
            free = [each for each in targets if self.crowd(each[1].provider).room(now_s)]
            if free:
                left.append((posting, free))
        self._waits_for_room = bool(due) and not left
        return left

    async def _call_token(self) -> bool:
        engine, pacer = self._engine, self._gateway.pacer
        taken = await engine.unless_stopped(lambda: pacer.take(Priority.POST))
        engine.signals.calls += taken
        return taken

    async def _intend_for(
        self, posting: Posting, target: int, endpoint: Endpoint
    ) -> OpenCall | Idle:
        engine, gateway = self._engine, self._gateway
        prepared: list[tuple[PreparedPost, float]] = []

        def seal(attempts: tuple[Attempt, ...]) -> str:
            post = gateway.api.prepare(endpoint.provider, attempts[0])
            prepared.append((post, engine.clock.monotonic()))
            return post.sha256

        if not self._quota.claim(1):
            return Idle.NOTHING_DUE
        hit(Point.LIVE_INTENT_BEFORE)
        begun = 0
        try:
            batch = await engine.store.begin_batch(
                run=posting.run.id,
                target=target,
                account=gateway.account,
                worker=engine.worker,
                limit=1,
                now=engine.clock.now(),
                patience=patience(gateway.timeout),
                ceiling=self._ceiling(posting),
                api_time=engine.api_now(),
                retries=posting.retries_only,
                seal=seal,
            )
            begun = not isinstance(batch, Idle)
        finally:
            self._quota.give_back(1 - begun)
        engine.signals.unwritable = None
        if isinstance(batch, Idle):
            return batch
        hit(Point.LIVE_INTENT_DURABLE)
        self._quota.posts += 1
        crowd = self.crowd(endpoint.provider)
        return OpenCall(batch, *prepared[-1], crowd, crowd.turn)

    def _ceiling(self, posting: Posting) -> Ceiling:
        if self._name is Gateway.DATAFORSEO:
            return self._engine.ceiling(posting)
        # The floor is one of the balance at DataForSEO.
        return replace(posting.ceiling, floor=None)

    async def deliver(self, call: OpenCall) -> LiveReply:
        """Make the call at once, once, and save what came of it."""
        engine = self._engine

        def may_leave() -> bool:
            hit(Point.LIVE_FIRST_BYTE)
            fresh = engine.clock.monotonic() - call.sealed_at <= STALE_S
            return fresh and not engine.signals.stopping.is_set()

        try:
            reply = await self._gateway.api.send(call.post, may_leave=may_leave)
            hit(Point.LIVE_REPLY_CAME)
            await self._save(call.batch, reply)
            self._learn(call, reply)
        finally:
            call.crowd.open -= 1
            engine.signals.live_open -= 1
            engine.signals.in_flight -= 1
        return reply

    async def _save(self, batch: Batch, reply: LiveReply) -> None:
        engine = self._engine
        ending = ending_of(engine, batch, reply)
        outcome = reply.outcome
        remote_id = outcome.remote_id if isinstance(outcome, Completed | RemoteFailed) else None

        async def settle() -> None:
            await engine.store.settle_live(
                batch,
                ending,
                remote_id=remote_id,
                outcome=_word_for(reply),
                code=reply.code,
                message=reply.trouble.what if reply.trouble else None,
                now=engine.clock.now(),
            )
            hit(Point.LIVE_OUTCOME_DURABLE)

        await save(engine, batch, settle)
        engine.signals.bookings += 1
        log.info(
            "live.task_asked",
            batch=batch.id,
            endpoint=str(batch.endpoint),
            outcome=type(outcome).__name__,
            code=reply.code,
            cost_usd=exact(ending.charge) if isinstance(ending, Answered) else None,
        )

    def _learn(self, call: OpenCall, reply: LiveReply) -> None:
        """Act on what the reply says about the gateway, the account and the connection."""
        engine, crowd = self._engine, call.crowd
        now_s = engine.clock.monotonic()
        if isinstance(reply.outcome, Completed):
            crowd.answered(now_s)
        elif isinstance(reply.outcome, reply_of.AnswerLost) or _is_ill(reply.outcome):
            crowd.lost(call.turn, now_s, engine.random)
        elif not reply.sent:
            crowd.unsent(now_s, engine.random)
        if reply.crowded:
            crowd.refused(now_s)
        if crowd.halted:
            self._halt(call.batch.endpoint, _ill(call.batch.endpoint, reply))
        if reply.trouble is not None and not reply.crowded:
            self._heed(crowd, reply, reply.trouble)
        elif self._speaks_for_all:
            heard(engine)

    @property
    def _speaks_for_all(self) -> bool:
        """Whether what this gateway does, or does not, is said of all calls of this start."""
        return self._name is Gateway.DATAFORSEO or not self._engine.standard

    def _heed(self, crowd: Crowd, reply: LiveReply, trouble: ApiError) -> None:
        engine = self._engine
        if self._name is Gateway.DATAFORSEO:
            # That one long call brought nothing does not mean that the API is silent.
            if not (reply.sent and isinstance(trouble, Unreachable)):
                heed(engine, trouble)
            return
        match trouble:
            case RateLimited():
                self._gateway.pacer.slow_down()
                crowd.rest(engine.clock.monotonic() + min(trouble.wait_s, _PACE_CAP_S))
            case AccountBlocked() | WrongAddress() | CallRejected():
                for provider in Provider:
                    self._halt(_live_at(self._name, provider), trouble)
            case _ if self._speaks_for_all:
                heed(engine, trouble)

    def _halt(self, endpoint: Endpoint, why: RunnerError) -> None:
        halted = self._engine.signals.halted
        crowd = self.crowd(endpoint.provider)
        crowd.halted = True
        for provider in Provider:
            each = _live_at(self._name, provider)
            if self.crowd(provider) is crowd and each not in halted:
                halted[each] = why
                log.error("live.halted", endpoint=str(each), what=why.what)


def ending_of(engine: Engine, batch: Batch, reply: LiveReply) -> LiveEnding:
    """What *reply* means for the task of *batch*."""
    (attempt,) = batch.attempts
    task, number = attempt.task, attempt.number
    match reply.outcome:
        case Completed() as done:
            charge, evidence = done.charge()
            if evidence is Evidence.COMPUTED and not done.price_stated:
                # It was paid for, whether it can be read or not: the reserve is the best guess.
                charge = max(charge, batch.reserve)
            return Answered(
                task=task,
                attempt=number,
                answer=done.answer,
                parse_error=done.parse_error,
                reply=packed(done.raw),
                charge=charge,
                evidence=evidence,
            )
        case RemoteFailed() as failed:
            return RemotelyFailed(
                task=task,
                attempt=number,
                code=failed.code,
                message=failed.message,
                reason=Reason.REMOTE,
                reply=packed(failed.raw),
                again_at=_again_at(engine, number) if failed.retryable else None,
                cost=failed.cost_nanousd,
            )
        case reply_of.AnswerLost() as lost:
            return AnswerLost(
                task=task,
                attempt=number,
                code=lost.code,
                message=lost.why,
                reply=packed(lost.raw) if lost.raw else b"",
                again_at=_again_at(engine, number),
                cost=lost.cost_nanousd,
            )
        case NotTaken() as not_taken:
            blocked = isinstance(reply.trouble, AccountBlocked) and due_at_once(not_taken)
            return replace(not_taken, wait_s=0.0) if blocked else not_taken
        case Refused() as refused:
            return refused


def _again_at(engine: Engine, attempts: int) -> datetime:
    wait_s = full_jitter(attempts, base_s=_RETRY_BASE_S, cap_s=_RETRY_CAP_S, random=engine.random)
    return engine.clock.now() + timedelta(seconds=wait_s)


def _word_for(reply: LiveReply) -> str:
    """The outcome of the call in one word, as for a post."""
    if not reply.sent:
        return "not_sent"
    if isinstance(reply.outcome, reply_of.AnswerLost):
        return "unknown"
    return "refused" if isinstance(reply.outcome, NotTaken) else "answered"


def _is_ill(outcome: reply_of.LiveOutcome) -> bool:
    """Whether a task failed because the API did."""
    return isinstance(outcome, RemoteFailed) and outcome.retryable


def _live_at(gateway: Gateway, provider: Provider) -> Endpoint:
    return Endpoint(gateway=gateway, provider=provider, method=Method.LIVE)


def _ill(endpoint: Endpoint, reply: LiveReply) -> LiveHalted:
    outcome = reply.outcome
    why = outcome.why if isinstance(outcome, reply_of.AnswerLost) else f"the API says {reply.code}"
    return LiveHalted(
        f"Live calls to {endpoint.provider} through {endpoint.gateway} were stopped: several in a "
        "row brought no answer",
        why=f"the last one: {why}",
        how="start the same command again later; see what was lost with: runner errors",
    )

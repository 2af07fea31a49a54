"""Posts pending tasks, up to 100 in a call, so that a crash at any instruction can be told.

    call token ─▶ intent (durable) ─▶ send, once ─▶ sort what came back ─▶ outcome (durable)
                        │                  │
                        └ a crash here ────┴ leaves `posting`, found at the next start: unknown

Nothing here ever sends a batch twice. DESIGN.md §4, steps 1 to 6.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup

from runner.api.calls import PreparedPost
from runner.api.errors import AccountBlocked, Unreachable
from runner.api.posting import PostReply
from runner.backoff import not_taken_wait_s
from runner.failpoints import Point, hit
from runner.money import exact
from runner.pacing import Priority
from runner.pipeline.account import heard, heed, rest_until_heard
from runner.pipeline.engine import Engine, Posting, Quota
from runner.pipeline.intents import STALE_S, Turns, due_at_once, patience, save
from runner.pipeline.strangers import look_into
from runner.rows import Attempt, Batch
from runner.store.values import Idle, StoreUnwritable
from runner.task import Accepted, Endpoint, Lost, Method, NotTaken, Outcome, Refused

log = structlog.get_logger()

POSTERS: Final = 4
"""Posts under way at the same time."""

_LOOK_AGAIN_S: Final = 0.25
_HOLD_AGAIN_S: Final = 2.0
"""How long answers are let free money before posting goes on, so that posts are not of one task."""
_WRITE_AGAIN_S: Final = 1.0
_LEAST_BACKOFF_S: Final = 0.5
_SIZES: Final = (5, 25, 100)
_ALONE: Final = 1


class BatchSize:
    """How many tasks go into a call: few while replies get lost, so that little is in doubt.

    Fewer for good where calls are refused for one of their tasks: each puts all the others in
    doubt, and alone a task that is at fault is simply refused.
    """

    def __init__(self) -> None:
        self._size = self._most = _SIZES[-1]

    @property
    def size(self) -> int:
        return self._size

    def lost(self) -> None:
        """A batch ended unknown."""
        self._size = max((size for size in _SIZES if size < self._size), default=_SIZES[0])

    def clean(self) -> None:
        """A batch brought an outcome for each of its tasks."""
        self._size = min(self._size * 2, self._most)

    def refused(self) -> None:
        """A batch was refused for one of its tasks, and nobody knows which."""
        self._most = max((size for size in _SIZES if size < self._most), default=_ALONE)
        self._size = min(self._size, self._most)


@dataclass(frozen=True, slots=True)
class Intent:
    """A batch that is durably about to be sent."""

    batch: Batch
    post: PreparedPost
    sealed_at: float
    """Monotonic seconds; a little before it was durable."""


class Poster:
    """Posts the tasks of some runs, which take turns."""

    def __init__(
        self,
        engine: Engine,
        postings: Sequence[Posting],
        *,
        most: int | None = None,
        quota: Quota | None = None,
    ) -> None:
        """*postings* is looked at anew for each batch: it may grow and shrink meanwhile.

        *most*: tasks to post at all; None = no limit. *quota*: the same, of several engines.
        """
        self.size = BatchSize()
        self.quota = quota or Quota(most)
        """Shared with the Live lanes."""
        self.postings = postings
        self._engine = engine
        self._turns: Turns[Intent] = Turns(engine, postings)
        self._failures = 0
        """Posts in a row that brought no reply."""
        self._doubtful = False
        """Whether the last of them may have left."""
        self._resume_at = 0.0
        """Monotonic seconds."""

    async def work(self) -> None:
        """Post what is due, a few batches at a time, until the engine is stopped."""
        async with anyio.create_task_group() as group:
            # A failure in here must not cut off the posts that are under way.
            await self._engine.guarded(partial(self._begin_posts, group))

    async def _begin_posts(self, group: TaskGroup) -> None:
        free = anyio.Semaphore(POSTERS)
        while not self._engine.signals.stopping.is_set():
            await free.acquire()
            await self._back_off()
            intent = await self.intend() if self._may_post() else None
            if intent is None:
                free.release()
                await self._engine.rest(self._idle_s())
            else:
                group.start_soon(self._deliver_and_free, intent, free)
                # An intent is sent before anything else is begun.
                await anyio.lowlevel.checkpoint()

    async def _deliver_and_free(self, intent: Intent, free: anyio.Semaphore) -> None:
        await self._engine.guarded(partial(self.deliver, intent))
        free.release()

    def _may_post(self) -> bool:
        signals = self._engine.signals
        held_back = signals.blocked is not None or signals.too_doubtful
        return not held_back and not signals.debts and self.quota.left != 0

    def _idle_s(self) -> float:
        signals = self._engine.signals
        if signals.unwritable is not None:
            return _WRITE_AGAIN_S
        short = any(signals.no_room(posting.run.id) for posting in self.postings)
        return _HOLD_AGAIN_S if short else _LOOK_AGAIN_S

    async def _back_off(self) -> None:
        """Wait longer with each post that brought no reply.

        Where nothing left, the first reply to any call ends the wait. Where tasks are in doubt it
        does not: other calls may well succeed while every post is lost.
        """
        wait_s = self._resume_at - self._engine.clock.monotonic()
        if self._failures == 0 or wait_s <= 0:
            return
        if self._doubtful:
            await self._engine.rest(wait_s)
        else:
            await rest_until_heard(self._engine, wait_s)

    async def post_next(self) -> PostReply | None:
        """Post one batch; None if there is none, or no money for one."""
        intent = await self.intend()
        return None if intent is None else await self.deliver(intent)

    async def intend(self) -> Intent | None:
        """Write the intent to post one batch of what is due; None if nothing is, or no money."""
        engine = self._engine
        try:
            due = await self._turns.due()
            if not due or not await engine.call_token(Priority.POST):
                return None
            # Counted as under way from before the intent, so that nobody takes the engine for idle.
            engine.signals.in_flight += 1
            intent = None
            try:
                intent = await self._turns.first_affordable(due, self._intend_for)
            finally:
                engine.signals.in_flight -= intent is None
        except StoreUnwritable as error:
            engine.signals.unwritable = error
            log.warning("submitter.intent_not_written", error=error.what)
            return None
        return intent

    async def _intend_for(self, posting: Posting, target: int, endpoint: Endpoint) -> Intent | Idle:
        engine = self._engine
        prepared: list[tuple[PreparedPost, float]] = []
        standard = endpoint.method is Method.STANDARD
        deliver_to = engine.postbacks.url_for if engine.postbacks and standard else None

        def seal(attempts: tuple[Attempt, ...]) -> str:
            post = engine.api.prepare(endpoint.provider, attempts, postback_url=deliver_to)
            prepared.append((post, engine.clock.monotonic()))
            return post.sha256

        claimed = self.quota.claim(self.size.size)
        if not claimed:
            return Idle.NOTHING_DUE
        hit(Point.INTENT_BEFORE)
        begun = 0
        try:
            batch = await engine.store.begin_batch(
                run=posting.run.id,
                target=target,
                account=engine.account,
                worker=engine.worker,
                limit=claimed,
                now=engine.clock.now(),
                patience=patience(engine.post_timeout),
                ceiling=engine.ceiling(posting),
                api_time=engine.api_now(),
                postback=deliver_to is not None,
                retries=posting.retries_only,
                seal=seal,
            )
            begun = 0 if isinstance(batch, Idle) else len(batch.attempts)
        finally:
            self.quota.give_back(claimed - begun)
        engine.signals.unwritable = None
        if isinstance(batch, Idle):
            return batch
        hit(Point.INTENT_DURABLE)
        self.quota.posts += 1
        return Intent(batch, *prepared[-1])

    async def deliver(self, intent: Intent) -> PostReply:
        """Send the batch at once, once, and save what came of it."""
        engine = self._engine

        def may_leave() -> bool:
            hit(Point.SEND_FIRST_BYTE)
            fresh = engine.clock.monotonic() - intent.sealed_at <= STALE_S
            return fresh and not engine.signals.stopping.is_set()

        try:
            reply = await engine.api.send(intent.post, may_leave=may_leave)
            hit(Point.REPLY_CAME)
            await _save(engine, intent.batch, reply)
        finally:
            engine.signals.in_flight -= 1
        self._learn(intent.batch.id, reply)
        return reply

    def _learn(self, batch: int, reply: PostReply) -> None:
        """Act on what the reply says about the account and the connection."""
        lost = [outcome for outcome in reply.outcomes if isinstance(outcome, Lost)]
        if lost:
            if any(outcome.suspect for outcome in lost):
                self.size.refused()
            else:
                self.size.lost()
            self._engine.signals.in_doubt.add(batch)
        elif reply.sent:
            self.size.clean()
        if reply.trouble is None:
            heard(self._engine)
        else:
            heed(self._engine, reply.trouble)
        self._note_failure(reply)

    def _note_failure(self, reply: PostReply) -> None:
        if not isinstance(reply.trouble, Unreachable):
            self._failures = 0
            return
        self._failures += 1
        self._doubtful = reply.sent
        wait_s = not_taken_wait_s(self._failures, self._engine.random)
        self._resume_at = self._engine.clock.monotonic() + max(wait_s, _LEAST_BACKOFF_S)


async def _save(engine: Engine, batch: Batch, reply: PostReply) -> None:
    async def settle() -> None:
        await engine.store.settle_batch(
            batch,
            unblamed(reply),
            outcome=outcome_of(reply),
            code=reply.code,
            message=reply.trouble.what if reply.trouble else None,
            now=engine.clock.now(),
        )
        hit(Point.OUTCOME_DURABLE)

    await save(engine, batch, settle)
    # What was not taken gives its reserve back.
    engine.signals.bookings += any(isinstance(o, NotTaken | Refused) for o in reply.outcomes)
    _report(batch, reply)
    await look_into(engine, batch, reply)


def unblamed(reply: PostReply) -> Sequence[Outcome]:
    """The outcomes; where the account was refused it is the account that pauses, not the tasks:
    once it may go on, in this start or the next, they are due."""
    if not isinstance(reply.trouble, AccountBlocked):
        return reply.outcomes
    return tuple(
        replace(outcome, wait_s=0.0)
        if isinstance(outcome, NotTaken) and due_at_once(outcome)
        else outcome
        for outcome in reply.outcomes
    )


def outcome_of(reply: PostReply) -> str:
    """The batch's outcome in one word: ``not_sent``, ``unknown``, ``refused`` or ``answered``."""
    if not reply.sent:
        return "not_sent"
    kinds = {type(outcome) for outcome in reply.outcomes}
    if kinds == {Lost}:
        return "unknown"
    if kinds == {NotTaken} and reply.trouble is not None:
        return "refused"
    return "answered"


def _report(batch: Batch, reply: PostReply) -> None:
    kinds = Counter(type(outcome) for outcome in reply.outcomes)
    cost = sum(o.cost_nanousd or 0 for o in reply.outcomes if isinstance(o, Accepted))
    log.info(
        "submitter.batch_posted",
        batch=batch.id,
        endpoint=str(batch.endpoint),
        tasks=len(batch.attempts),
        accepted=kinds[Accepted],
        refused=kinds[Refused],
        not_taken=kinds[NotTaken],
        unknown=kinds[Lost],
        cost_usd=exact(cost),
    )
    if any(isinstance(outcome, Lost) and outcome.suspect for outcome in reply.outcomes):
        log.warning(
            "submitter.batch_refused_for_one_task",
            batch=batch.id,
            code=reply.code,
            how="nothing to do: its tasks are looked for in the account, then posted one by one",
        )

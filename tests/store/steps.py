"""What happens to a task, one short call for each step: tests of the store are written in these."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from runner.answer import Answer, Citation
from runner.lifecycle import Reason, State
from runner.money import ADVANCE, BASE_PRICE_STANDARD, Evidence
from runner.rows import Ask, Attempt, Batch, InputRow
from runner.store.endings import Answered, Posted, RemotelyFailed, ResultGone, StillRunning
from runner.store.protocol import TaskStore
from runner.store.values import Added, Ceiling, ExportLine, Idle, Run, RunStatus
from runner.task import (
    Accepted,
    Endpoint,
    Lost,
    NotTaken,
    Outcome,
    Provider,
    Refused,
    RemoteId,
    Target,
    TaskId,
)
from tests.support.clock import ManualClock

OpenStore = Callable[[], AbstractAsyncContextManager[TaskStore]]
"""Opens the same store each time it is called, as a new start of the program would."""

ADVANCED: Final = ADVANCE + BASE_PRICE_STANDARD
RESERVE: Final = ADVANCED
PRICE: Final = 1_234_567
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)

CLAUDE: Final = Target(
    name="claude", endpoint=Endpoint(provider=Provider.CLAUDE), model="claude-sonnet-4-0"
)
GEMINI: Final = Target(
    name="gemini", endpoint=Endpoint(provider=Provider.GEMINI), model="gemini-2.5-flash"
)

ANSWER: Final = Answer(
    text="Because of Rayleigh scattering.",
    reasoning="short waves scatter more",
    model_name="claude-sonnet-4-20250514",
    input_tokens=12,
    output_tokens=345,
    reasoning_tokens=6,
    web_search=True,
    money_spent_nanousd=PRICE - BASE_PRICE_STANDARD,
    answered_at=datetime.fromisoformat("2026-11-21T03:00:00+00:00"),
    citations=(
        Citation(url="https://example.org/b", title="second letter, first place"),
        Citation(url="https://example.org/a", title="A", extra={"direct_url": "https://x.test/ü"}),
    ),
    fan_out_queries=("why is the sky blue", "Rayleigh"),
)


def row(
    position: int,
    prompt: str | None = None,
    *,
    key: str | None = None,
    targets: Iterable[Target] = (CLAUDE,),
    samples: int = 1,
    **fields: object,
) -> InputRow:
    """Line *position* of an input; *key* names it, by default its prompt does."""
    prompt = f"question {position}" if prompt is None else prompt
    asks = tuple(
        Ask(
            target=target.name,
            sample=sample,
            turn=1,
            body=json.dumps(
                {"model_name": target.model, "user_prompt": prompt, **fields}, sort_keys=True
            ).encode(),
        )
        for target in targets
        for sample in range(1, samples + 1)
    )
    return InputRow(
        position=position,
        line=position + 1,
        key=hashlib.blake2b((key or prompt).encode(), digest_size=16).digest(),
        cells=json.dumps({"prompt": prompt}, ensure_ascii=False).encode(),
        asks=asks,
    )


def rows(*prompts: str) -> list[InputRow]:
    """The lines of an input with these prompts."""
    return [row(position, prompt) for position, prompt in enumerate(prompts, start=1)]


def numbered(count: int) -> list[InputRow]:
    """An input of *count* different questions."""
    return [row(position) for position in range(1, count + 1)]


def seal(attempts: tuple[Attempt, ...]) -> str:
    """Stands for the body that the client makes of a batch."""
    return hashlib.sha256(b"".join(attempt.body for attempt in attempts)).hexdigest()


def remote_id(tag: str) -> RemoteId:
    """The id that the API would give."""
    return RemoteId("11211234-1535-0066-0000-" + hashlib.sha256(tag.encode()).hexdigest()[:12])


def accepted(attempt: Attempt, cost: int | None = None) -> Accepted:
    return Accepted(tag=attempt.tag, remote_id=remote_id(attempt.tag), cost_nanousd=cost)


def refused(attempt: Attempt, code: int = 40501) -> Refused:
    return Refused(tag=attempt.tag, code=code, message="Invalid Field: 'user_prompt'.")


def not_taken(attempt: Attempt, wait_s: float = 30.0) -> NotTaken:
    return NotTaken(tag=attempt.tag, why="connection refused", wait_s=wait_s)


def lost(attempt: Attempt) -> Lost:
    return Lost(tag=attempt.tag, why="the connection broke")


def answered(
    task: Posted,
    charge: int = PRICE,
    *,
    answer: Answer | None = ANSWER,
    reply: bytes = b"the reply",
) -> Answered:
    return Answered(
        task=task.task,
        attempt=task.attempt,
        answer=answer,
        parse_error=None if answer else "not JSON",
        reply=reply,
        charge=charge,
        evidence=Evidence.COMPUTED,
    )


def failed(
    task: Posted,
    *,
    cost: int | None,
    again_at: datetime | None = None,
    code: int = 50000,
    reason: Reason = Reason.REMOTE,
) -> RemotelyFailed:
    return RemotelyFailed(
        task=task.task,
        attempt=task.attempt,
        code=code,
        message="Internal Error.",
        reason=reason,
        reply=b"the reply",
        again_at=again_at,
        cost=cost,
    )


def gone(task: Posted) -> ResultGone:
    return ResultGone(task=task.task, attempt=task.attempt, code=40403, message="Expired.")


def still_running(task: Posted, ask_again_at: datetime) -> StillRunning:
    return StillRunning(task=task.task, attempt=task.attempt, ask_again_at=ask_again_at)


@dataclass(slots=True)
class Scene:
    """A store with one run of one job, and an engine process that works on it."""

    store: TaskStore
    clock: ManualClock
    run: Run
    account: int
    worker: int
    loads: int = 0
    targets: Sequence[Target] = field(default_factory=lambda: (CLAUDE,))
    api_time: datetime | None = None
    """What replies have told of the API's time when the next batch is intended."""

    async def load(self, lines: Sequence[InputRow], *, digest: str | None = None) -> Added | None:
        """Load an input whole; None if it is known."""
        self.loads += 1
        load = await self.begin_load(digest or f"input {self.loads}")
        if load is None:
            return None
        added = await self.store.add_rows(load, lines, now=self.clock.now())
        await self.store.end_load(load, rejected=0, now=self.clock.now())
        return added

    async def begin_load(self, digest: str) -> int | None:
        return await self.store.begin_load(
            self.run.id, digest=digest, source="q.csv", columns=["prompt"], now=self.clock.now()
        )

    async def intend(
        self,
        limit: int = 100,
        *,
        target: int | None = None,
        ceiling: Ceiling | None = None,
        retries: bool = False,
    ) -> Batch | Idle:
        """Write an intent for the first target that has something due, or for *target*."""
        if target is None:
            now = self.clock.now()
            due = await self.store.targets_to_post(self.run.id, now=now, retries=retries)
            if not due:
                return Idle.NOTHING_DUE
            target = due[0][0]
        return await self.store.begin_batch(
            run=self.run.id,
            target=target,
            account=self.account,
            worker=self.worker,
            limit=limit,
            now=self.clock.now(),
            patience=MINUTE,
            ceiling=ceiling or Ceiling(),
            api_time=self.api_time,
            retries=retries,
            seal=seal,
        )

    async def batch(self, limit: int = 100) -> Batch:
        """An intent that must come about."""
        found = await self.intend(limit)
        assert isinstance(found, Batch)
        return found

    async def settle(
        self, batch: Batch, how: Callable[[Attempt], Outcome], *, outcome: str = "answered"
    ) -> None:
        await self.store.settle_batch(
            batch,
            [how(attempt) for attempt in batch.attempts],
            outcome=outcome,
            code=20000,
            message="Ok.",
            now=self.clock.now(),
        )

    async def post(
        self, limit: int = 100, *, how: Callable[[Attempt], Outcome] = accepted
    ) -> Batch:
        """Post up to *limit* due tasks; every one comes out as *how* says."""
        batch = await self.batch(limit)
        await self.settle(batch, how)
        return batch

    async def take(self, limit: int = 100) -> list[Posted]:
        """Claim what is due to be asked for, a minute and more after it was posted."""
        self.clock.advance(2 * MINUTE)
        return await self.store.take_posted(
            limit, worker=self.worker, now=self.clock.now(), lease=5 * MINUTE
        )

    async def book(self, *endings: Answered | RemotelyFailed | ResultGone | StillRunning) -> None:
        await self.store.book(endings, now=self.clock.now())

    async def complete(self, limit: int = 100) -> list[Posted]:
        """Post, take and answer up to *limit* due tasks."""
        await self.post(limit)
        taken = await self.take(limit)
        await self.book(*map(answered, taken))
        return taken

    async def status(self) -> RunStatus:
        return await self.store.status(self.run.id)

    async def states(self) -> dict[State, int]:
        """How many tasks are in each state that has any."""
        return {state: n for state, n in (await self.status()).states.items() if n}

    async def lines(self) -> list[ExportLine]:
        return [line async for page in self.store.export(self.run.id) for line in page]

    async def prompts(self) -> list[object]:
        """What the export asks, line by line."""
        return [line.values["prompt"] for line in await self.lines()]


async def begin(
    store: TaskStore,
    clock: ManualClock,
    *,
    targets: Sequence[Target] = (CLAUDE,),
    reserve: int = RESERVE,
    job: str = "sky",
    key: str = "",
    fresh: int = 0,
    tries: int = 3,
) -> Scene:
    """Start an engine on *store* and a run of *job*."""
    account = await store.bind_account(
        gateway="dataforseo", base_url="https://api.test", login="me@example.org"
    )
    worker = await store.begin_worker(now=clock.now())
    run = await store.begin_run(
        job=job,
        key=key,
        fresh=fresh,
        api="live",
        key_columns=["prompt"],
        targets=[(target, reserve) for target in targets],
        tries=tries,
        now=clock.now(),
    )
    return Scene(store, clock, run, account, worker, targets=targets)


def task_ids(batch: Batch) -> list[TaskId]:
    return [attempt.task for attempt in batch.attempts]

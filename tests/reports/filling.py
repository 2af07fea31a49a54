"""Stores with a run in them, filled through the store's own verbs as the stages would."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from runner.answer import Answer, Citation
from runner.lifecycle import Reason
from runner.money import Evidence
from runner.rows import Ask, Batch, InputRow
from runner.store.endings import Answered, Ending, Posted, RemotelyFailed, StillRunning
from runner.store.sqlite.store import SqliteStore, open_store
from runner.store.values import Ceiling, Run
from runner.task import Accepted, Endpoint, Outcome, Provider, Refused, RemoteId, Target
from tests.support.clock import ManualClock

RESERVE = 10_200_000
CHARGE = 5_200_001

Cells = Mapping[str, Any]
Post = Callable[[int, str], Outcome]
End = Callable[[int, Posted], Ending]


@dataclass(frozen=True)
class Filled:
    """A store, and the run in it."""

    store: SqliteStore
    run: Run


def accepted(number: int, tag: str) -> Outcome:
    """The API takes task *number* of the run, counted from 0."""
    return Accepted(tag=tag, remote_id=RemoteId(f"remote-{number}"), cost_nanousd=None)


def refused(number: int, tag: str) -> Outcome:
    """The API refuses it for good."""
    return Refused(tag=tag, code=40501, message="Invalid Field: 'user_prompt'.")


def answer(text: str, **fields: Any) -> Answer:
    """What a model says."""
    given: dict[str, Any] = {
        "reasoning": None,
        "model_name": "m-2026-01-01",
        "input_tokens": 11,
        "output_tokens": 22,
        "reasoning_tokens": None,
        "web_search": True,
        "money_spent_nanousd": 5_000_001,
        "answered_at": None,
        "citations": (Citation(url="https://a.example/1", title="A"),),
        "fan_out_queries": ("first query", "second, query"),
    }
    return Answer(text=text, **(given | fields))


def answered(text: str, **fields: Any) -> End:
    """Every task is answered alike."""

    def end(_: int, posted: Posted) -> Ending:
        return Answered(
            task=posted.task,
            attempt=posted.attempt,
            answer=answer(text, **fields),
            parse_error=None,
            reply=b"",
            charge=CHARGE,
            evidence=Evidence.COMPUTED,
        )

    return end


def failed(code: int, reason: Reason = Reason.REMOTE) -> End:
    """Every task fails alike."""

    def end(_: int, posted: Posted) -> Ending:
        return RemotelyFailed(
            task=posted.task,
            attempt=posted.attempt,
            code=code,
            message="Task failed.",
            reason=reason,
            reply=b"",
            again_at=None,
            cost=0,
        )

    return end


def running(_: int, posted: Posted) -> Ending:
    """Every task runs on."""
    later = posted.posted_at + timedelta(days=1)
    return StillRunning(task=posted.task, attempt=posted.attempt, ask_again_at=later)


@asynccontextmanager
async def filled(
    path: Path,
    cells: Sequence[Cells],
    *,
    key: Callable[[int, Cells], bytes] = lambda number, _: b"%016d" % number,
    targets: Sequence[str] = ("only",),
    job: str = "demo",
    run_key: str = "",
    api: str = "live",
    source: str = "",
    post: Post | None = accepted,
    end: End | None = None,
) -> AsyncIterator[Filled]:
    """A store with one run of a row for each of *cells*.

    *post* says what becomes of each task, None posts nothing; *end* how it ends, by default with
    an answer that names its number.
    """
    clock = ManualClock()
    async with open_store(path, clock=clock) as store:
        endpoint = Endpoint(provider=Provider.CLAUDE)
        run = await store.begin_run(
            job=job,
            key=run_key,
            fresh=0,
            api=api,
            key_columns=["q"],
            targets=[
                (Target(name=name, endpoint=endpoint, model="m"), RESERVE) for name in targets
            ],
            source=source,
            now=clock.now(),
        )
        columns = dict.fromkeys(name for row in cells for name in row) or {"q": None}
        load = await store.begin_load(
            run.id, digest="d", source="f.csv", columns=list(columns), now=clock.now()
        )
        assert load is not None
        rows = [_row(number, row, key(number, row), targets) for number, row in enumerate(cells)]
        await store.add_rows(load, rows, now=clock.now())
        await store.end_load(load, rejected=0, now=clock.now())
        if post:
            await _post_all(store, run, clock, post)
            await _collect_all(store, clock, end or _by_number)
        yield Filled(store, run)


def _by_number(number: int, posted: Posted) -> Ending:
    return answered(f"answer {number}")(number, posted)


def _row(number: int, cells: Cells, key: bytes, targets: Sequence[str]) -> InputRow:
    body = json.dumps({"user_prompt": str(next(iter(cells.values()), ""))}).encode()
    return InputRow(
        position=number + 1,
        line=number + 2,
        key=key,
        cells=json.dumps(cells, ensure_ascii=False).encode(),
        asks=tuple(Ask(target=name, sample=1, turn=1, body=body) for name in targets),
    )


async def _post_all(store: SqliteStore, run: Run, clock: ManualClock, post: Post) -> None:
    account = await store.bind_account(gateway="dataforseo", base_url="http://x", login="a")
    worker = await store.begin_worker(now=clock.now())
    while due := await store.targets_to_post(run.id, now=clock.now()):
        batch = await store.begin_batch(
            run=run.id,
            target=due[0][0],
            account=account,
            worker=worker,
            limit=100,
            now=clock.now(),
            patience=timedelta(seconds=60),
            ceiling=Ceiling(),
            seal=lambda _: "0" * 64,
        )
        assert isinstance(batch, Batch)
        outcomes = [post(attempt.task - 1, attempt.tag) for attempt in batch.attempts]
        await store.settle_batch(
            batch, outcomes, outcome="answered", code=20000, message=None, now=clock.now()
        )


async def _collect_all(store: SqliteStore, clock: ManualClock, end: End) -> None:
    clock.advance(timedelta(hours=7))
    worker = await store.begin_worker(now=clock.now())
    while posted := await store.take_posted(
        500, worker=worker, now=clock.now(), lease=timedelta(minutes=2)
    ):
        await store.book([end(each.task - 1, each) for each in posted], now=clock.now())

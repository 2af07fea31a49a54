"""The store: whether it can be trusted, and what in it waits for somebody."""

from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from runner import windows
from runner.app.doctor.finding import Finding, doubtful, fine, of_error, wrong
from runner.app.hosts import host_of
from runner.app.left_over import left_over_of_jobs
from runner.clock import Clock
from runner.errors import RunnerError, StoreBroken
from runner.lifecycle import State
from runner.pipeline.recovery import WHY
from runner.settings import Settings
from runner.store.mark import Mark
from runner.store.migrate import NoStoreYet, StoreOlder
from runner.store.opening import AnyStore, gone_elsewhere, open_store_to_look
from runner.store.sqlite.store import SqliteStore
from runner.store.workers import WorkerState

LONG: Final = timedelta(hours=60)
"""Answers mostly come within minutes, and after 72 h the API gives up: who waits so long has
perhaps nobody who fetches."""

_PUT_BACK: Final = (
    "put the file aside with its -wal, put a copy back and start: docs/operating.md, Backups"
)
_UNDER_WAY: Final = (State.POSTING, State.UNKNOWN, State.POSTED)


@dataclass(frozen=True, slots=True)
class StoreLook:
    """What was found in a store."""

    findings: Sequence[Finding]
    pending: int = 0
    """Tasks that are queued."""


async def look_at_store(settings: Settings, *, clock: Clock) -> StoreLook:
    """Read the whole file once; nothing in it is changed."""
    nothing = fine("store", f"no store yet: the first run makes {settings.store_name}")
    try:
        if not settings.has_store:
            return StoreLook([_of_one_that_is_gone(settings) or nothing])
        async with open_store_to_look(settings.place, clock=clock) as store:
            return await _look(store, settings, clock.now())
    except NoStoreYet:
        if settings.server is not None:
            return StoreLook([nothing])
        text = f"the file {settings.store_name} is empty: the first run makes a store in it"
        return StoreLook([doubtful("store", text, f"if there was one: {_PUT_BACK}")])
    except StoreOlder as error:
        return StoreLook([doubtful("store", error.what, error.how)])
    except StoreBroken as error:
        how = error.how or (None if settings.server else _PUT_BACK)
        text = error.what if error.why is None else f"{error.what}: {error.why}"
        return StoreLook([wrong("store", text, how)])
    except RunnerError as error:
        return StoreLook([of_error("store", error)])


async def _look(store: AnyStore, settings: Settings, now: datetime) -> StoreLook:
    if (trouble := await _not_ours(store, settings)) is not None:
        return StoreLook([of_error("store", trouble)])
    damage = await store.damage() if isinstance(store, SqliteStore) else []
    if damage:
        text = f"the store {settings.store_name} is damaged: {damage[0]}"
        return StoreLook([wrong("store", text, _PUT_BACK)])
    health, states = await store.health(), await store.counts()
    size = f"{health.bytes / 1e6:,.0f} MB"
    whole = ", undamaged" if isinstance(store, SqliteStore) else ""
    findings = [fine("store", f"store {settings.store_name}: {size}{whole}")]
    findings += [doubtful("store", warning) for warning in health.warnings()]
    findings += await _not_all_known(store, settings)
    findings.append(await _at_work(store, now))
    findings.append(await _waiting(store, sum(states[each] for each in _UNDER_WAY), now))
    for pause in await store.pauses(now=now):
        what = pause.scope or "everything"
        text = f"posting of {what} is held back: {pause}"
        findings.append(doubtful("paused", text, f"runner resume {pause.scope}".rstrip()))
    statuses = [await store.status(run.id) for run in await store.unfinished_runs()]
    for left in await left_over_of_jobs(store, statuses):
        text = f"{left.tasks:,} of {left.run.name} left over: no later start posts them"
        findings.append(doubtful("left_over", text, f"runner status {left.run.job}"))
    if held := states[State.QUARANTINED]:
        text = f"{held:,} quarantined: nobody can tell whether the API took them"
        how = "runner tasks --state quarantined, then: runner resolve TASK"
        findings.append(doubtful("quarantined", text, how))
    if opened := len(await store.incidents()):
        text = f"{opened:,} open: the API's records and ours differ"
        findings.append(doubtful("incidents", text, "runner incidents"))
    return StoreLook(findings, states[State.PENDING])


async def _not_ours(store: AnyStore, settings: Settings) -> RunnerError | None:
    """Why a run would refuse the store."""
    moved_to = await store.moved_to()
    if moved_to is not None:
        return gone_elsewhere(moved_to)
    if isinstance(store, SqliteStore):
        try:
            await store.look_at_host(host_of(settings))
        except RunnerError as error:
            return error
    return None


def _of_one_that_is_gone(settings: Settings) -> Finding | None:
    mark = Mark.to_look(settings.store) if settings.server is None else None
    if mark is None:
        return None
    with closing(mark):
        _, posted = mark.read() or (None, 0)
        posted = posted or len(mark.before())
    if not posted:
        return None
    text = f"no store, but {settings.store_name}.newest tells of one that stood here and has posted"
    how = "put it back: docs/operating.md, Backups; a new one posts nothing before the account was"
    return doubtful("store", text, f"{how} looked through")


async def _not_all_known(store: AnyStore, settings: Settings) -> list[Finding]:
    if isinstance(store, SqliteStore):
        mark = Mark.to_look(settings.store)
        with closing(mark) if mark else nullcontext():
            why = await store.doubted(mark)
    else:
        unlisted = await store.unlisted()
        why = unlisted.why if unlisted else None
    if why is None:
        return []
    text = f"nothing is posted before the account was looked through: {WHY[why]}"
    how = "nothing, the next run looks; where that cannot be waited for: runner db trust"
    return [doubtful("store", text, how)]


async def _at_work(store: AnyStore, now: datetime) -> Finding:
    lines = await store.workers(now=now)
    working = [line for line in lines if line.state is WorkerState.WORKING]
    if not working:
        return fine("engines", "no engine is at work")
    who = ", ".join(f"pid {line.pid} on {line.host}" for line in working)
    return fine("engines", f"at work: {who}")


async def _waiting(store: AnyStore, tasks: int, now: datetime) -> Finding:
    oldest = await store.oldest_uncollected()
    if oldest is None:
        return fine("waiting", "no answer is waited for")
    age = now - oldest
    hours, days = age // timedelta(hours=1), age // timedelta(days=1)
    length = f"{hours} h" if hours < 72 else f"{days} days"
    text = f"{tasks:,} with the API, the oldest for {length}"
    if windows.collection_age_level(oldest, now) >= windows.Level.ALARM:
        return wrong("waiting", f"{text}: after 30 days answers are gone", "runner poll")
    if age >= LONG:
        return doubtful("waiting", f"{text}: has anything fetched lately?", "runner poll")
    return fine("waiting", text)

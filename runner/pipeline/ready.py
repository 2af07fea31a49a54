"""The list of finished tasks: a hint that saves calls, never the reason why a task is asked for.

    list, per provider ─▶ our tags ─▶ these tasks are due now
                      └─▶ trusted? ─▶ while it is, age alone asks only at 6, 24, 48 and 72 h

The list holds at most 1,000 ids, forgets what was collected or is over 3 days old, and ids of other
programs may fill it (API.md §3). DESIGN.md §4 Fetching.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

import structlog

from runner.api.errors import ApiError
from runner.api.wire import Ready
from runner.failpoints import Point, hit
from runner.pipeline.account import heard, heed, silence_wait_s
from runner.pipeline.engine import Engine
from runner.pipeline.planner import FULL, Trust
from runner.store.values import StoreUnwritable
from runner.task import Provider, Tag

log = structlog.get_logger()

_IDLE_S: Final = 0.5
_LOOK_S: Final = 1.0
"""How soon a change of the trust, or new providers, are noticed between two calls."""


async def watch_ready_list(engine: Engine) -> None:
    """Ask for the lists of providers while tasks of theirs wait, as the planner has it."""
    planner, clock = engine.planner, engine.clock
    planner.begin_lists()
    try:
        await follow_ready_list(engine)
    except StoreUnwritable as error:
        log.warning("ready.curves_not_read", error=error.what)
    engine.signals.list_asked = False
    while not engine.signals.stopping.is_set():
        providers = await _providers(engine)
        planner.trust.begin_round(providers)
        await _apply(engine, planner.trust)
        engine.signals.list_asked |= planner.lists.asked(providers)
        backlog_s = 60.0 * engine.signals.listed / engine.pacer.calls_per_minute
        coming = planner.lists.next(providers, clock.monotonic(), backlog_s=backlog_s)
        if coming is None:
            await engine.rest(_IDLE_S)
            continue
        provider, wait_s = coming
        if wait_s > 0:
            await _probe(engine)
            await engine.rest(min(wait_s, _LOOK_S))
            continue
        await ask_list(engine, provider, planner.trust)
        if silence_s := silence_wait_s(engine):
            await engine.rest(silence_s)


async def follow_ready_list(engine: Engine) -> None:
    """Take up what the list's reader, which is another worker now, or was, has made of it.

    Raises:
        StoreUnwritable: the store cannot be read just now.
    """
    if not engine.planner.curves:
        engine.planner.learned(await engine.store.curves())
    engine.signals.list_trusted = await engine.store.list_trusted(engine.account)
    engine.signals.list_asked = True


async def _probe(engine: Engine) -> None:
    """Have one task asked for by its id when nothing has spoken for the list for a while."""
    planner, now = engine.planner, engine.clock.now()
    wanted = planner.trust.wants_probe(engine.clock.monotonic())
    if not (wanted and engine.signals.list_trusted) or engine.signals.speculative:
        return
    older = dict.fromkeys(planner.curves, now)
    try:
        # From 6 h of age on every task has been asked for; one that still runs says as much.
        hasten = partial(engine.store.hasten, 1, older=older, now=now, account=engine.account)
        if not await hasten():
            await hasten(again=True)
    except StoreUnwritable as error:
        log.warning("ready.not_written", error=error.what)


async def _providers(engine: Engine) -> list[Provider]:
    try:
        return await engine.store.waiting_providers(account=engine.account)
    except StoreUnwritable as error:
        log.warning("ready.not_read", error=error.what)
        return []


async def ask_list(engine: Engine, provider: Provider, trust: Trust) -> int:
    """One call of one provider's list; returns how many waiting tasks it made due."""
    try:
        rows = await engine.api.tasks_ready(provider)
    except ApiError as error:
        heed(engine, error)
        now_s = engine.clock.monotonic()
        trust.note(provider, good=False, ours=0, now_s=now_s)
        engine.planner.lists.note(provider, ids=0, found=0, at_s=now_s, now=None)
        return 0
    heard(engine)
    at_s, answered_at = engine.clock.monotonic(), engine.clock.now()
    lists = engine.planner.lists
    try:
        tags = our_tags(rows, await engine.store.installs()) if rows else []
        found = await engine.store.mark_ready(tags, now=engine.clock.now()) if tags else 0
    except StoreUnwritable as error:
        engine.signals.unwritable = error
        log.warning("ready.not_written", error=error.what)
        lists.note(provider, ids=0, found=0, at_s=at_s, now=None)
        return 0
    lists.note(provider, ids=len(rows), found=found, at_s=at_s, now=answered_at)
    if found:
        hit(Point.READY_MARKED)
    engine.signals.listed += found
    crowded = len(rows) >= FULL and len(tags) < len(rows) // 2
    trust.note(provider, good=not crowded, ours=found, now_s=engine.clock.monotonic())
    log.debug("ready.list_read", provider=provider, ids=len(rows), ours=len(tags), due=found)
    return found


def our_tags(rows: Sequence[Ready], installs: frozenset[str]) -> list[Tag]:
    """The tags in the list that one of *installs* made. Those of another store's runner are no more
    ours than any other program's: what it does not collect fills the list just as well."""
    tags = (Tag.parse(row.tag) for row in rows)
    return [tag for tag in tags if tag is not None and tag.install in installs]


async def _apply(engine: Engine, trust: Trust) -> None:
    trusted = trust.holds(engine.clock.monotonic())
    if trusted == engine.signals.list_trusted:
        return
    try:
        await engine.store.trust_ready_list(trusted, now=engine.clock.now(), account=engine.account)
    except StoreUnwritable as error:
        log.warning("ready.not_written", error=error.what)
        return
    engine.signals.list_trusted = trusted
    log.info("ready.trust_changed", trusted=trusted)

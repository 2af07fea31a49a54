"""The list of finished tasks: a hint that saves calls, never the reason why a task is asked for.

    list, per provider ─▶ our tags ─▶ these tasks are due now
                      └─▶ trusted? ─▶ while it is, age alone asks only at 6, 24, 48 and 72 h

The list holds at most 1,000 ids, forgets what was collected or is over 3 days old, and ids of other
programs may fill it (API.md §3). DESIGN.md §4 Fetching.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from runner.api.errors import ApiError
from runner.api.wire import Ready
from runner.failpoints import Point, hit
from runner.pipeline.account import heard, heed, silence_wait_s
from runner.pipeline.engine import Engine
from runner.store.values import StoreUnwritable
from runner.task import Provider, Tag

log = structlog.get_logger()

FULL: Final = 1_000
"""Ids in one reply; a list of that length may hide others (API.md §3)."""

LATELY_S: Final = 15 * 60.0
"""How long the list is trusted after it has shown a task of ours."""

_PER_CALL_S: Final = 3.3
"""So much time for each call of a round: 19 a minute would be one every 3.2 s."""
_LATEST_S: Final = 15.0
_FIRST_ROUNDS_S: Final = (2.0, 4.0)
"""The first rounds follow sooner, for runs that are over in a minute."""
_IDLE_S: Final = 0.5


class Trust:
    """Whether age-based asking may wait for its checkpoints."""

    def __init__(self) -> None:
        self._seen_ours_at: float | None = None
        self._good: dict[Provider, bool] = {}

    def begin_round(self, providers: Sequence[Provider]) -> None:
        """Forget what was said of providers that nothing waits for any more."""
        self._good = {p: good for p, good in self._good.items() if p in providers}

    def note(self, provider: Provider, *, good: bool, ours: int, now_s: float) -> None:
        """One call of the list: whether it answered with room to spare, how many were ours."""
        self._good[provider] = good
        if ours:
            self._seen_ours_at = now_s

    def holds(self, now_s: float) -> bool:
        """Whether the list can be relied on at *now_s* (monotonic seconds)."""
        seen = self._seen_ours_at
        return all(self._good.values()) and seen is not None and now_s - seen <= LATELY_S


async def watch_ready_list(engine: Engine) -> None:
    """Ask for the list of each provider in turn for as long as tasks of it wait."""
    trust = Trust()
    first_rounds = iter(_FIRST_ROUNDS_S)
    wait_s = 0.0
    while not engine.signals.stopping.is_set():
        providers = await _providers(engine)
        trust.begin_round(providers)
        found = 0
        for provider in providers:
            found += await ask_list(engine, provider, trust)
            await _apply(engine, trust)
        engine.signals.list_asked = True
        if not providers:
            await engine.rest(_IDLE_S)
            continue
        soonest_s = _PER_CALL_S * len(providers)
        latest_s = max(_LATEST_S, soonest_s)
        wait_s = soonest_s if found else min(max(soonest_s, wait_s * 1.3), latest_s)
        silence_s = silence_wait_s(engine)
        await engine.rest(max(next(first_rounds, wait_s), silence_s))


async def _providers(engine: Engine) -> list[Provider]:
    try:
        return await engine.store.waiting_providers()
    except StoreUnwritable as error:
        log.warning("ready.not_read", error=error.what)
        return []


async def ask_list(engine: Engine, provider: Provider, trust: Trust) -> int:
    """One call of one provider's list; returns how many waiting tasks it made due."""
    try:
        rows = await engine.api.tasks_ready(provider)
    except ApiError as error:
        heed(engine, error)
        trust.note(provider, good=False, ours=0, now_s=engine.clock.monotonic())
        return 0
    heard(engine)
    tags = our_tags(rows)
    try:
        found = await engine.store.mark_ready(tags, now=engine.clock.now()) if tags else 0
    except StoreUnwritable as error:
        engine.signals.unwritable = error
        log.warning("ready.not_written", error=error.what)
        return 0
    if found:
        hit(Point.READY_MARKED)
    engine.signals.listed += found
    crowded = len(rows) >= FULL and len(tags) < len(rows) // 2
    trust.note(provider, good=not crowded, ours=found, now_s=engine.clock.monotonic())
    log.debug("ready.list_read", provider=provider, ids=len(rows), ours=len(tags), due=found)
    return found


def our_tags(rows: Sequence[Ready]) -> list[Tag]:
    """The tags in the list that have our form; the store knows which of them are its own."""
    tags = (Tag.parse(row.tag) for row in rows)
    return [tag for tag in tags if tag is not None]


async def _apply(engine: Engine, trust: Trust) -> None:
    trusted = trust.holds(engine.clock.monotonic())
    if trusted == engine.signals.list_trusted:
        return
    try:
        await engine.store.trust_ready_list(trusted, now=engine.clock.now())
    except StoreUnwritable as error:
        log.warning("ready.not_written", error=error.what)
        return
    engine.signals.list_trusted = trusted
    log.info("ready.trust_changed", trusted=trusted)

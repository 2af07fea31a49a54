"""Decides about posts that nobody knows about: found at the API, proven absent, or undecidable.

    in doubt ── ready list, listing ─▶ tag seen ────────────────▶ posted (adopted)
                                   └─▶ judging: twice no trace ─▶ pending (a new attempt)
                                                72 h, no proof ─▶ quarantined

Waits are counted in the API's time, from the first ``Date`` of a call begun after the doubt to the
newest, and kept in the store; or in this process's monotonic time where that makes it longer. Both
only ever count too little, so no jump of a clock of ours shortens a wait. DESIGN.md §4.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from runner.api.errors import ApiError
from runner.failpoints import Point, hit
from runner.pacing import Priority
from runner.pipeline.account import heard, heed, silence_wait_s
from runner.pipeline.engine import Engine, Signals
from runner.pipeline.extras import book_sightings, fetch_extras
from runner.pipeline.judging import GIVE_UP_S, THIN, Sight, Verdict, Waits, judge, sight_of, sound
from runner.pipeline.listings import Listing, read_listing
from runner.pipeline.second_key import adopt_verified, unambiguous
from runner.store.reconciling import LATER, Doubt, Scan, Sighting, Times
from runner.store.values import StoreUnwritable

log = structlog.get_logger()

MARGIN: Final = timedelta(minutes=2)
"""Listed before the intent: the API's own machines may differ so much."""

_BLIND_MARGIN: Final = timedelta(days=2, hours=1)
"""The same where no ``Date`` was seen before the intent, so that our clock has to serve. It may be
a day off then, and a day off the other way now: a window that begins too late shows no trace of
what was taken."""

_RESOLUTION_S: Final = 1.0
"""``Date`` has whole seconds."""

_IDLE_S: Final = 0.5
_FIRST_LOOK_S: Final = 5.0
_LATEST_LOOK_S: Final = 60.0
_GROWTH: Final = 2.0


@dataclass(slots=True)
class Watch:
    """How long one batch has been in doubt."""

    patience_s: float
    since_s: float
    """When this process first saw the doubt, monotonic."""
    began_api: datetime | None
    seen_api: datetime | None
    clean_api: datetime | None
    clean_s: float | None = None
    """When this process read the first listing that counts, monotonic."""

    def see(self, signals: Signals) -> None:
        """Take up what the API's replies have said about the time."""
        now = signals.api_time
        if now is None or signals.api_time_asked_at < self.since_s:
            return
        self.began_api = self.began_api or now
        self.seen_api = max(self.seen_api or now, now)

    def waited_s(self, now_s: float) -> float:
        """Seconds that have certainly passed since the doubt began."""
        api_s = _between_s(self.began_api, self.seen_api)
        return max(now_s - self.since_s, api_s)

    def since_clean_s(self, now_s: float) -> float | None:
        """The same since the first listing that counts; None if there was none."""
        if self.clean_api is None and self.clean_s is None:
            return None
        mono_s = 0.0 if self.clean_s is None else now_s - self.clean_s
        return max(mono_s, _between_s(self.clean_api, self.seen_api))

    def clean(self, now_s: float) -> None:
        """A listing that counts shows no trace."""
        self.clean_api, self.clean_s = self.seen_api, now_s

    def unclean(self) -> None:
        """A listing shows that it cannot be relied on: begin anew."""
        self.clean_api = self.clean_s = None


def _between_s(start: datetime | None, end: datetime | None) -> float:
    if start is None or end is None:
        return 0.0
    return max(0.0, (end - start).total_seconds() - _RESOLUTION_S)


async def reconcile(engine: Engine) -> None:
    """Look for what is in doubt, at once and then at growing intervals, until all is decided."""
    reconciler = Reconciler(engine)
    look_s = _FIRST_LOOK_S
    while not engine.signals.stopping.is_set():
        found = await reconciler.look()
        if not found:
            look_s = _FIRST_LOOK_S
            await engine.rest(_IDLE_S)
            continue
        wait_s = min(look_s, reconciler.until_next_s())
        look_s = min(look_s * _GROWTH, _LATEST_LOOK_S)
        await reconciler.rest(max(wait_s, silence_wait_s(engine)))


async def heed_doubts(engine: Engine) -> list[Doubt]:
    """What is in doubt; how much of it is of living workers holds back every worker's posts."""
    doubts = await engine.store.doubts(account=engine.account)
    engine.signals.in_doubt = {doubt.batch for doubt in doubts if doubt.alive}
    engine.signals.doubtful = bool(doubts)
    return doubts


async def follow(engine: Engine) -> None:
    """Take up what the reconciler, which is another worker now, is about.

    Raises:
        StoreUnwritable: the store cannot be read just now.
    """
    await heed_doubts(engine)
    told = engine.signals.extras_told
    if await engine.store.extras_due(1, now=engine.clock.now(), account=engine.account):
        engine.signals.extras_told += 1
    else:
        engine.signals.extras_heard = told
    engine.signals.reconciled = True


class Reconciler:
    """One engine's looks at what is in doubt."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._watches: dict[int, Watch] = {}
        self._doubtful: list[Doubt] = []

    async def rest(self, seconds: float) -> None:
        """Wait for the next look; a new doubt ends the wait."""
        until = self._engine.clock.monotonic() + seconds
        while (left_s := until - self._engine.clock.monotonic()) > 0:
            if self._engine.signals.in_doubt - self._watches.keys():
                return
            if self._engine.signals.stopping.is_set():
                return
            await self._engine.rest(min(left_s, _IDLE_S))

    def until_next_s(self) -> float:
        """Seconds until the next moment at which another look may decide something."""
        now_s = self._engine.clock.monotonic()
        settle_s = self._engine.settle.total_seconds()
        ahead = []
        for watch in self._watches.values():
            over_s = watch.waited_s(now_s) - watch.patience_s
            marks = [settle_s - over_s, THIN * settle_s - over_s, GIVE_UP_S - over_s]
            if (since_s := watch.since_clean_s(now_s)) is not None:
                marks.append(settle_s / 3 - since_s)
            ahead += [mark + _RESOLUTION_S / 4 for mark in marks if mark > 0]
        return min(ahead, default=_LATEST_LOOK_S)

    async def look(self) -> bool:
        """Look once for everything in doubt; False if nothing is."""
        engine = self._engine
        try:
            doubts = await self._doubts()
            if doubts:
                await self._look_for(doubts)
                await self._doubts()
                engine.signals.unwritable = None
            await fetch_extras(engine)
        except StoreUnwritable as error:
            engine.signals.unwritable = error
            log.warning("reconciler.not_written", error=error.what)
            return True
        engine.signals.reconciled = True
        return bool(doubts)

    async def _doubts(self) -> list[Doubt]:
        engine = self._engine
        doubts = self._doubtful = await heed_doubts(engine)
        now_s = engine.clock.monotonic()
        self._watches = {d.batch: self._watches.get(d.batch) or _watch(d, now_s) for d in doubts}
        return doubts

    async def _look_for(self, doubts: Sequence[Doubt]) -> None:
        engine = self._engine
        adopted: frozenset[str] = frozenset()
        shown: set[str] = set()
        # Asked first, and for its Date, too: without one nothing can be listed.
        for provider in sorted({doubt.endpoint.provider for doubt in doubts}):
            try:
                rows = await engine.api.tasks_ready(provider, priority=Priority.RECONCILE)
            except ApiError as error:
                heed(engine, error)
            else:
                heard(engine)
                seen = [Sighting(tag=r.tag, remote_id=r.id) for r in rows if r.tag is not None]
                adopted |= (await book_sightings(engine, seen)).adopted
                shown.update(each.tag for each in seen)
        for watch in self._watches.values():
            watch.see(engine.signals)
        for start, end, group in windows(engine, doubts, self._watches):
            if engine.signals.stopping.is_set():
                return
            # Listed even if all was adopted by now: a post that was repeated on its way shows here.
            await self._list(start, end, group, adopted, shown)
        await engine.store.note_times(
            [
                Times(batch=b, began_api=w.began_api, seen_api=w.seen_api, clean_api=w.clean_api)
                for b, w in self._watches.items()
            ]
        )
        hit(Point.TIMES_NOTED)

    async def _list(
        self,
        start: datetime,
        end: datetime,
        group: Sequence[Doubt],
        adopted: frozenset[str],
        shown: Set[str],
    ) -> None:
        engine = self._engine
        begun_s = engine.clock.monotonic()
        # What a listing proves, it proves for the moment it was begun.
        waits = {d.batch: self._waits(d, begun_s) for d in group}
        listing = await read_listing(engine, start, end) if end > start else None
        found = None
        if listing is not None:
            found = await book_sightings(engine, listing.ours)
            scan = Scan(
                start=start,
                end=end,
                listed=len(listing.ids),
                ours=len(listing.ours),
                adopted=len(found.adopted),
            )
            await engine.store.note_scan(engine.account, scan, now=engine.clock.now())
            hit(Point.SCAN_NOTED)
            adopted |= found.adopted
            shown = shown | {each.tag for each in listing.ours}
            adopted |= await self._adopt_nameless(listing, adopted)
        for doubt in group:
            self._watches[doubt.batch].see(engine.signals)
            left = [each.tag for each in doubt.attempts if each.tag not in adopted]
            if not left:
                continue
            there = not shown.isdisjoint(left)
            if there:
                # Whatever keeps it from being adopted does not make it absent.
                self._watches[doubt.batch].unclean()
            if listing is None or found is None or there:
                await self._judge(doubt, None, self._waits(doubt, engine.clock.monotonic()))
            else:
                sight = sight_of(doubt, listing.others, found.known, described=listing.described)
                await self._judge(doubt, sight, waits[doubt.batch])

    async def _adopt_nameless(self, listing: Listing, adopted: frozenset[str]) -> frozenset[str]:
        """The second key, where the listing shows no tags: prompt, model and endpoint."""
        now_s = self._engine.clock.monotonic()
        settle = self._engine.settle
        spans = {}
        for doubt in self._doubtful:
            watch = self._watches[doubt.batch]
            patience = timedelta(seconds=watch.patience_s)
            # What was posted meanwhile has been answered or is in doubt itself by then.
            over = watch.waited_s(now_s) >= (settle + 2 * patience).total_seconds()
            if doubt.intended_api and watch.began_api and over:
                spans[doubt.batch] = (
                    doubt.intended_api - MARGIN,
                    watch.began_api + patience + settle,
                )
        pairs = await unambiguous(self._engine, self._doubtful, listing.others, spans)
        pairs = [pair for pair in pairs if pair[0].tag not in adopted]
        return await adopt_verified(self._engine, pairs)

    def _waits(self, doubt: Doubt, now_s: float) -> Waits:
        watch = self._watches[doubt.batch]
        return Waits(
            waited_s=watch.waited_s(now_s),
            patience_s=watch.patience_s,
            settle_s=self._engine.settle.total_seconds(),
            since_clean_s=watch.since_clean_s(now_s),
        )

    async def _judge(self, doubt: Doubt, sight: Sight | None, waits: Waits) -> None:
        engine, watch = self._engine, self._watches[doubt.batch]
        verdict = judge(sight, waits)
        attempts = [(each.task, each.number) for each in doubt.attempts]
        now = engine.clock.now()
        match verdict:
            case Verdict.CLEAN:
                watch.clean(engine.clock.monotonic())
                hit(Point.CLEAN_SEEN)
            case Verdict.ABSENT:
                hit(Point.ABSENT_BEFORE)
                absent = await engine.store.prove_absent(attempts, now=now)
                hit(Point.ABSENT_PROVEN)
                engine.signals.bookings += 1
                log.info("reconciler.proven_absent", batch=doubt.batch, tasks=absent)
            case Verdict.QUARANTINE:
                message = "72 hours brought no listing that tells whether it was taken"
                held = await engine.store.quarantine(attempts, message=message, now=now)
                hit(Point.QUARANTINED)
                log.error("reconciler.quarantined", batch=doubt.batch, tasks=held)
            case Verdict.WAIT:
                if sight is not None and not sound(sight, waits):
                    watch.unclean()


def _watch(doubt: Doubt, now_s: float) -> Watch:
    return Watch(
        patience_s=max(0.0, (doubt.deadline - doubt.intended_at).total_seconds()),
        since_s=now_s,
        began_api=doubt.began_api,
        seen_api=doubt.seen_api,
        clean_api=doubt.clean_api,
    )


Window = tuple[datetime, datetime, list[Doubt]]
"""From, to (the API's time), and what is in doubt in between."""


def windows(engine: Engine, doubts: Iterable[Doubt], watches: dict[int, Watch]) -> list[Window]:
    """What to list for *doubts*: those whose windows touch share one."""
    api_now = engine.signals.api_time
    skew = api_now - engine.clock.now() if api_now else timedelta(0)
    found: list[Window] = []
    for doubt in doubts:
        start = (
            doubt.intended_api - MARGIN
            if doubt.intended_api
            else doubt.intended_at + skew - _BLIND_MARGIN
        )
        watch = watches[doubt.batch]
        # Where no Date ever comes, a moment back: the API refuses a window into its future.
        newest = api_now or engine.clock.now() - MARGIN
        last = (watch.began_api or newest) + LATER + THIN * engine.settle
        last += timedelta(seconds=watch.patience_s)
        found.append((start, min(newest, last), [doubt]))
    return _merged(found)


def _merged(found: list[Window]) -> list[Window]:
    merged: list[Window] = []
    for start, end, group in sorted(found, key=lambda window: window[0]):
        if merged and start <= merged[-1][1]:
            before = merged[-1]
            merged[-1] = (before[0], max(before[1], end), before[2] + group)
        else:
            merged.append((start, end, group))
    return merged

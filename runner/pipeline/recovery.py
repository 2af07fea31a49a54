"""Before the first post of a store that may not know all that was posted in its name.

    an older copy put back · claimed on another host · no side file, or another store's
        └▶ list the account from the newest intent on ─▶ every tag of ours: adopted, or an incident
           └▶ a listing that can be relied on (below) ─▶ again, until one after the waiting time
              brings nothing new (it may lag) ─▶ posting begins

A listing counts if it shows what the store knows to be there; where something was certainly sent
that the store does not know, something of that too; and if no row without a tag may be a prompt
that waits. Where it has nothing to be checked by, it counts after four times the waiting time. If
none counts for so long, a person is told. DESIGN.md §7 Stores; RECONCILING.md C7.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from runner.errors import Exit, RunnerError
from runner.pipeline.account import silence_wait_s
from runner.pipeline.engine import Engine
from runner.pipeline.judging import THIN, may_be
from runner.pipeline.listings import Listing, read_listing
from runner.store.reconciling import Found, Scan, Sighting
from runner.store.recovering import Doubted, Look, Unlisted
from runner.store.values import StoreUnwritable
from runner.task import Gateway, Tag

log = structlog.get_logger()

WHY: Final = {
    Doubted.BEHIND: "an older copy of it was put back",
    Doubted.CLAIMED: "it was copied from another host, and claimed",
    Doubted.NO_MARK: "its side file (.newest) is not there: it was moved or copied",
    Doubted.COPIED: "it is a copy made by runner db backup",
    Doubted.REPLACED: "its side file (.newest) is that of another store, which has posted",
}

_HOW: Final = (
    "the same command again, later: what is found in the account is not asked twice; "
    "where that cannot be waited for: runner db trust"
)

_ANEW: Final = "; to ask, and pay for, all of it again: delete the store and its .newest first"
"""For who has deleted the store on purpose."""

_MARGIN: Final = timedelta(minutes=2)
"""Listed before the newest intent: the API's own machines may differ so much."""

_BLIND_MARGIN: Final = timedelta(days=2, hours=1)
"""The same where only our clock says when that was: it may have been a day off, and may be now."""

_LISTED_WITH_TAGS: Final = timedelta(days=30)
"""The API shows what was posted with a task for a month (API.md §7)."""

_RESOLUTION_S: Final = 1.0
_BOOKED_AT_ONCE: Final = 1_000
_FIRST_WAIT_S: Final = 5.0
_LONGEST_WAIT_S: Final = 60.0
_LOOK_AGAIN_S: Final = 1.0


class NotListed(RunnerError):
    """Nothing is posted yet, because the account could not be looked through yet."""

    exit_code = Exit.NOT_FINISHED


class NotReliable(NotListed):
    """The same for so long, or for such a reason, that waiting may not help: cron keeps silent
    about 3, and a person has to know."""

    exit_code = Exit.WRONG_INPUT


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one look came to."""

    look: Look
    wait_s: float = 0.0
    """How long a listing like this one has to go without news."""
    trouble: str = ""
    """Why it does not count."""
    hopeless: bool = False
    """Another listing will show the same."""


async def recover(engine: Engine) -> bool:
    """Return when all that was posted in the store's name is known; True if it came to that.

    False if the engine was stopped first. Where the store may be taken at its word, at once.
    """
    wait_s, first_s, clean_s = _FIRST_WAIT_S, engine.clock.monotonic(), None
    while not engine.signals.stopping.is_set():
        began_s = engine.clock.monotonic()
        try:
            unlisted = await engine.store.unlisted(account=engine.account)
            if unlisted is None:
                if others := await engine.store.unlisted():
                    # What another account took may be what this one would be asked.
                    _say(engine, others, "another account is still being looked through")
                    await engine.rest(_LOOK_AGAIN_S)
                    continue
                if adopted := await engine.store.adopt_orphans(now=engine.clock.now()):
                    log.info("recovery.orphans_adopted", tasks=adopted)
                engine.signals.unlisted = None
                return True
            seen = await _look(engine, unlisted)
            await engine.store.note_look(seen.look, account=engine.account)
            if seen.look.counts:
                clean_s = began_s if clean_s is None or seen.look.news else clean_s
                since = None if seen.look.news else unlisted.clean_api
                left_s = seen.wait_s - _passed_s(engine, since, began_s - clean_s)
                if left_s <= 0:
                    await engine.store.listed(account=engine.account, among=engine.accounts)
                    log.info("recovery.done")
                    continue
                wait_s = min(left_s, _LONGEST_WAIT_S)
                _say(engine, unlisted, "the listing may lag; it is read again after a wait")
            else:
                clean_s = clean_s if seen.look.counts is None else None
                passed_s = _passed_s(engine, unlisted.since_api, began_s - first_s)
                late = passed_s >= THIN * engine.settle.total_seconds()
                _say(engine, unlisted, seen.trouble, person=late or seen.hopeless)
        except StoreUnwritable as error:
            engine.signals.unwritable = error
            log.warning("recovery.not_written", error=error.what)
        await engine.rest(max(wait_s, silence_wait_s(engine)))
        wait_s = min(max(wait_s, _LOOK_AGAIN_S) * 2, _LONGEST_WAIT_S)
    return False


def _passed_s(engine: Engine, since: datetime | None, waited_s: float) -> float:
    """Seconds since a moment of the API's time, or those that this process has seen pass."""
    now = engine.signals.api_time
    if now is None or since is None:
        return waited_s
    return max(waited_s, (now - since).total_seconds() - _RESOLUTION_S)


def _say(engine: Engine, unlisted: Unlisted, what: str, *, person: bool = False) -> None:
    error = (NotReliable if person else NotListed)(
        "nothing is posted yet: the store may not know all that was posted in its name",
        why=f"{WHY[unlisted.why]}; {what}",
        how=_HOW + (_ANEW if unlisted.why is Doubted.REPLACED else ""),
    )
    if engine.signals.unlisted is None:
        log.warning("recovery.begun", why=unlisted.why)
    engine.signals.unlisted = error


async def _look(engine: Engine, unlisted: Unlisted) -> _Seen:
    """Read one whole listing, book what it shows, and say whether it counts."""
    start, end = window(engine, unlisted)
    listing = await read_listing(engine, start, end)
    if listing is None:
        look = Look(at=engine.signals.api_time, counts=None)
        return _Seen(look, trouble="the account's listing cannot be read now")
    found = await _book(engine, listing)
    strangers = unlisted.strangers or bool(found.strangers)
    known = any(each.batch is not None for each in found.known.values())
    trouble, hopeless = "", False
    if await _nameless(engine, listing):
        trouble = "its listing has tasks without a tag that may be prompts that wait here"
        hopeless = True
    elif not known and _has_to_show(engine, unlisted, start):
        trouble = "its listing lags or has no tags: it does not show what the store knows of"
    elif unlisted.owes and not strangers:
        trouble = "its listing does not show what was posted that the store does not know"
    log.info(
        "recovery.listed",
        why=unlisted.why,
        listed=len(listing.ids),
        adopted=len(found.adopted),
        incidents=found.incidents,
        counts=not trouble,
    )
    look = Look(
        at=engine.signals.api_time,
        counts=not trouble,
        news=bool(found.adopted or found.incidents),
        strangers=strangers,
    )
    times = 1 if known or strangers else THIN
    return _Seen(look, times * engine.settle.total_seconds(), trouble, hopeless)


def _has_to_show(engine: Engine, unlisted: Unlisted, start: datetime) -> bool:
    """Whether the API took tasks of this account's that the store knows, within the listing."""
    if unlisted.accepted is None:
        return False
    return _from(engine, unlisted.accepted, by_api=unlisted.accepted_by_api) >= start


async def _nameless(engine: Engine, listing: Listing) -> bool:
    """Whether a row without a tag may be of a task that waits, as far as the store knows."""
    rows = listing.others
    if not rows:
        return False
    prompts = {row.prompt for row in rows if row.prompt is not None}
    waiting = await engine.store.pending_prompts(prompts)
    likely = [
        row
        for row in rows
        for endpoint, asked in waiting.items()
        if endpoint.gateway is Gateway.DATAFORSEO and may_be(endpoint, row, asked)
    ]
    booked = await engine.store.known_ids([row.id for row in likely]) if likely else ()
    return any(row.id not in booked for row in likely)


def window(engine: Engine, unlisted: Unlisted) -> tuple[datetime, datetime]:
    """From when to when to list, in the API's time."""
    end = engine.signals.api_time or engine.clock.now() - _MARGIN
    oldest = end - _LISTED_WITH_TAGS + _MARGIN
    if unlisted.newest is None:
        return oldest, end
    start = _from(engine, unlisted.newest, by_api=unlisted.by_api)
    if unlisted.accepted is not None:
        # So far back that the listing has something to be checked by.
        accepted = _from(engine, unlisted.accepted, by_api=unlisted.accepted_by_api)
        start = min(start, accepted) if accepted >= oldest else start
    return min(max(start, oldest), end - _MARGIN), end


def _from(engine: Engine, intent: datetime, *, by_api: bool) -> datetime:
    """From when on to list for what was posted at *intent* or later."""
    if by_api:
        return intent - _MARGIN
    api_now = engine.signals.api_time
    skew = api_now - engine.clock.now() if api_now else timedelta(0)
    return intent + skew - _BLIND_MARGIN


async def _book(engine: Engine, listing: Listing) -> Found:
    # A task's earlier attempts first: each later one takes the place of the one before.
    seen = sorted(listing.ours, key=_attempt)
    found = Found(known={}, adopted=frozenset(), incidents=0)
    for first in range(0, len(seen), _BOOKED_AT_ONCE):
        part = seen[first : first + _BOOKED_AT_ONCE]
        found += await engine.store.found(part, now=engine.clock.now(), account=engine.account)
    scan = Scan(
        start=listing.start,
        end=listing.end,
        listed=len(listing.ids),
        ours=len(listing.ours),
        adopted=len(found.adopted),
    )
    await engine.store.note_scan(engine.account, scan, now=engine.clock.now())
    return found


def _attempt(sighting: Sighting) -> int:
    tag = Tag.parse(sighting.tag)
    return 0 if tag is None else tag.attempt

"""Before the first post of a store that may not know all that was posted in its name.

    an older copy put back · claimed on another host · no side file, or another store's
        └▶ list the account from the newest intent on ─▶ every tag of ours: adopted, or an incident
           └▶ once more when the waiting time is over (the listing may lag) ─▶ posting begins

DESIGN.md §7 Stores; RECONCILING.md C7.
"""

from datetime import datetime, timedelta
from typing import Final

import structlog

from runner.errors import Exit, RunnerError
from runner.pipeline.account import silence_wait_s
from runner.pipeline.engine import Engine
from runner.pipeline.listings import Listing, read_listing
from runner.store.reconciling import Found, Scan, Sighting
from runner.store.recovering import Doubted, Unlisted
from runner.store.values import StoreUnwritable
from runner.task import Tag

log = structlog.get_logger()

WHY: Final = {
    Doubted.BEHIND: "an older copy of it was put back",
    Doubted.CLAIMED: "it was copied from another host, and claimed",
    Doubted.NO_MARK: "its side file (.newest) is not there: it was moved or copied",
    Doubted.COPIED: "it is a copy made by runner db backup",
    Doubted.REPLACED: "its side file (.newest) is that of another store, which has posted",
}

_HOW: Final = "the same command again, later: what is found in the account is not asked twice"

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


async def recover(engine: Engine) -> bool:
    """Return when all that was posted in the store's name is known; True if it came to that.

    False if the engine was stopped first. Where the store may be taken at its word, at once.
    """
    wait_s, first_s = _FIRST_WAIT_S, None
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
            if await _list(engine, unlisted):
                first_s = began_s if first_s is None else first_s
                left_s = _left_s(engine, unlisted, began_s - first_s)
                if left_s <= 0:
                    await engine.store.listed(account=engine.account, among=engine.accounts)
                    log.info("recovery.done")
                    continue
                wait_s = min(left_s, _LONGEST_WAIT_S)
                _say(engine, unlisted, "the listing may lag; it is read again after a wait")
            else:
                _say(engine, unlisted, "the account's listing cannot be read now")
        except StoreUnwritable as error:
            engine.signals.unwritable = error
            log.warning("recovery.not_written", error=error.what)
        await engine.rest(max(wait_s, silence_wait_s(engine)))
        wait_s = min(max(wait_s, _LOOK_AGAIN_S) * 2, _LONGEST_WAIT_S)
    return False


def _left_s(engine: Engine, unlisted: Unlisted, waited_s: float) -> float:
    """Seconds until a listing is late enough, from the first one on."""
    now, since = engine.signals.api_time, unlisted.clean_api
    if now is not None and since is not None:
        waited_s = max(waited_s, (now - since).total_seconds() - _RESOLUTION_S)
    return engine.settle.total_seconds() - waited_s


def _say(engine: Engine, unlisted: Unlisted, what: str) -> None:
    error = NotListed(
        "nothing is posted yet: the store may not know all that was posted in its name",
        why=f"{WHY[unlisted.why]}; {what}",
        how=_HOW + (_ANEW if unlisted.why is Doubted.REPLACED else ""),
    )
    if engine.signals.unlisted is None:
        log.warning("recovery.begun", why=unlisted.why)
    engine.signals.unlisted = error


async def _list(engine: Engine, unlisted: Unlisted) -> bool:
    """Read one whole listing and book what it shows; False if it cannot be had."""
    start, end = window(engine, unlisted)
    listing = await read_listing(engine, start, end)
    if listing is None:
        return False
    found = await _book(engine, listing)
    log.info(
        "recovery.listed",
        why=unlisted.why,
        listed=len(listing.ids),
        adopted=len(found.adopted),
        incidents=found.incidents,
    )
    if engine.signals.api_time is not None:
        await engine.store.note_listing(at=engine.signals.api_time, account=engine.account)
    return True


def window(engine: Engine, unlisted: Unlisted) -> tuple[datetime, datetime]:
    """From when to when to list, in the API's time."""
    api_now = engine.signals.api_time
    end = api_now or engine.clock.now() - _MARGIN
    oldest = end - _LISTED_WITH_TAGS + _MARGIN
    if unlisted.newest is None:
        return oldest, end
    if unlisted.by_api:
        start = unlisted.newest - _MARGIN
    else:
        skew = api_now - engine.clock.now() if api_now else timedelta(0)
        start = unlisted.newest + skew - _BLIND_MARGIN
    return min(max(start, oldest), end - _MARGIN), end


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

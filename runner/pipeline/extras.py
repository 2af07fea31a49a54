"""Books what is seen at the API under our tags, and fetches what was paid twice.

    seen ──▶ store.found ──▶ adopted: the poller asks for it
                        └──▶ an extra charge: asked for here, until its cost is known

A task paid twice has two answers. The second one is fetched like any other, for nothing, kept
beside the first, and its cost stands in the incident and in all sums. DESIGN.md §4 Reconciling.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from runner.failpoints import Point, hit
from runner.pipeline.engine import Engine
from runner.pipeline.poller import fetch
from runner.store.endings import StillRunning
from runner.store.reconciling import Found, Sighting

log = structlog.get_logger()

BOOKED_AT_ONCE: Final = 1_000
"""Sightings in one transaction: posting and storing go on in between."""

ASKED_AT_ONCE: Final = 20
"""Extra tasks asked for in one look: doubts are not to wait behind them."""


async def book_sightings(engine: Engine, seen: Sequence[Sighting]) -> Found:
    """Book *seen*, which adopts tasks in doubt and opens incidents.

    Raises:
        StoreUnwritable: some of it could not be saved; it can be repeated whole.
    """
    found = Found(known={}, adopted=frozenset(), incidents=0)
    for first in range(0, len(seen), BOOKED_AT_ONCE):
        part = seen[first : first + BOOKED_AT_ONCE]
        found += await engine.store.found(part, now=engine.clock.now(), account=engine.account)
    if found.adopted:
        hit(Point.ADOPTED)
        log.info("reconciler.tasks_adopted", tasks=len(found.adopted))
    if found.incidents:
        engine.signals.extras_told += 1
        log.error("reconciler.incidents_opened", incidents=found.incidents)
    return found


async def fetch_extras(engine: Engine) -> int:
    """Ask for the tasks paid twice that are due; returns how many of them have ended.

    Raises:
        StoreUnwritable: an ending could not be saved; asking again is free.
    """
    told = engine.signals.extras_told
    due = await engine.store.extras_due(
        ASKED_AT_ONCE, now=engine.clock.now(), account=engine.account
    )
    ended = 0
    for task in due:
        ending = await fetch(engine, task)
        await engine.store.book_extra(task.remote_id, ending, now=engine.clock.now())
        if not isinstance(ending, StillRunning):
            ended += 1
            log.info("reconciler.extra_fetched", task=task.task, remote_id=task.remote_id)
    if ended:
        engine.signals.bookings += 1
    if len(due) < ASKED_AT_ONCE:
        # Not what others have said during the look.
        engine.signals.extras_heard = told
    return ended

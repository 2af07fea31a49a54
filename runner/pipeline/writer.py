"""Stores what the fetchers bring, many tasks in one transaction.

A transaction is a sync of the disk: grouped, the disk sees some tens of them a second at most,
however many answers come.
"""

from collections.abc import Sequence
from typing import Final

import structlog
from anyio import EndOfStream, WouldBlock
from anyio.streams.memory import MemoryObjectReceiveStream

from runner.failpoints import Point, hit
from runner.money import exact
from runner.pipeline.engine import Engine
from runner.store.endings import Answered, Ending, RemotelyFailed, ResultGone
from runner.store.values import StoreUnwritable

log = structlog.get_logger()

MOST: Final = 300
"""Endings in one transaction."""

LINGER_S: Final = 0.5
"""How long the first ending of a transaction waits for others that are under way. Lost in a crash,
it is fetched again, for nothing."""

KEEP_CURVES_S: Final = 10.0
"""How often what was learned about when answers come is kept, and once more at the end."""

_STEP_S: Final = 0.01
_AGAIN_CAP_S: Final = 5.0


async def write(engine: Engine, endings: MemoryObjectReceiveStream[Ending]) -> None:
    """Store endings until their senders are gone."""
    kept_at = engine.clock.monotonic()
    async with endings:
        while True:
            try:
                first = await endings.receive()
            except EndOfStream:
                break
            await store_group(engine, await _gather(engine, first, endings))
            if engine.clock.monotonic() >= kept_at + KEEP_CURVES_S:
                await keep_curves(engine)
                kept_at = engine.clock.monotonic()
    await keep_curves(engine)


async def keep_curves(engine: Engine) -> None:
    """Keep what the planner has learned; lost, it would only be learned again."""
    changed = engine.planner.to_keep()
    if not changed:
        return
    try:
        await engine.store.keep_curves(changed, now=engine.clock.now())
    except StoreUnwritable as error:
        log.warning("writer.curves_not_kept", error=error.what)
    else:
        engine.planner.kept(changed)


async def _gather(
    engine: Engine, first: Ending, endings: MemoryObjectReceiveStream[Ending]
) -> list[Ending]:
    """*first* and those that come soon after it."""
    signals = engine.signals
    group = [first]
    give_up = engine.clock.monotonic() + LINGER_S
    while len(group) < MOST:
        try:
            group.append(endings.receive_nowait())
        except WouldBlock:
            alone = signals.in_flight <= len(group)
            if alone or engine.clock.monotonic() >= give_up or signals.stopping.is_set():
                break
            await engine.clock.sleep(_STEP_S)
        except EndOfStream:
            break
    return group


async def store_group(engine: Engine, group: list[Ending], letters: Sequence[int] = ()) -> None:
    """Store *group*, however long that takes: nothing new is posted or claimed meanwhile. The
    *letters* of the inbox that it came with go in the same transaction.

    When the engine is asked to stop it is given up instead: asking again is free.
    """
    signals = engine.signals
    wait_s, owing = 0.5, False
    try:
        while not await _booked(engine, group, letters):
            if signals.stopping.is_set():
                log.warning("writer.answers_given_up", answers=len(group))
                return
            signals.debts += not owing
            owing = True
            await engine.rest(wait_s)
            wait_s = min(wait_s * 2, _AGAIN_CAP_S)
    finally:
        signals.debts -= owing
        signals.in_flight -= len(group)
    signals.bookings += 1
    _report(group)


async def _booked(engine: Engine, group: list[Ending], letters: Sequence[int]) -> bool:
    try:
        hit(Point.BOOK_BEFORE)
        await engine.store.book(group, letters=letters, now=engine.clock.now())
        hit(Point.BOOK_DURABLE)
    except StoreUnwritable as error:
        engine.signals.unwritable = error
        log.error("writer.answers_not_saved", answers=len(group), error=error.what)
        return False
    engine.signals.unwritable = None
    return True


def _report(group: list[Ending]) -> None:
    answered = [ending for ending in group if isinstance(ending, Answered)]
    failed = sum(isinstance(ending, RemotelyFailed) for ending in group)
    expired = sum(isinstance(ending, ResultGone) for ending in group)
    if answered or failed or expired:
        log.info(
            "writer.answers_stored",
            completed=len(answered),
            failed=failed,
            expired=expired,
            cost_usd=exact(sum(ending.charge for ending in answered)),
        )

"""What one worker of an account does for all: its turn at it, under a lease in the store.

    lease free ─▶ ours ─▶ the work ── renewed every 20 s ──▶ until stopped, or lost
         └─ another's ─▶ what we must know of it all the same, every few seconds

The lease ends by itself, so a worker that dies or is cut off keeps nobody from going on. Who could
not renew it in time stops: by then it may be another's.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import anyio
import structlog

from runner.pipeline.engine import Engine
from runner.store.values import StoreUnwritable
from runner.store.workers import LEASE, RENEW, Duty

log = structlog.get_logger()

Work = Callable[[], Awaitable[object]]

LOOK_S: Final = 2.0
"""How often a worker whose turn it is not looks what has come of it, and whether it is now."""

_GIVE_UP_S: Final = (LEASE - RENEW / 4).total_seconds()
"""So long after it was last renewed a lease is no longer relied on."""


@dataclass(slots=True)
class _Lease:
    held_s: float
    """Monotonic seconds, when it was last asked for with success."""


async def in_turn(engine: Engine, duty: Duty, work: Work, *, meanwhile: Work) -> None:
    """Do *work* while *duty* is this worker's, and *meanwhile* every few seconds while it is not.

    *work* may be broken off anywhere, and is begun anew if the duty is ours again.
    """
    while not engine.signals.stopping.is_set():
        asked_s = engine.clock.monotonic()
        if await _hold(engine, duty):
            log.info("duties.taken", duty=duty, account=engine.account)
            await _while_held(engine, duty, work, asked_s)
            continue
        try:
            await meanwhile()
        except StoreUnwritable as error:
            log.warning("duties.not_read", duty=duty, error=error.what)
        await engine.rest(LOOK_S)


async def _while_held(engine: Engine, duty: Duty, work: Work, held_s: float) -> None:
    failure = None
    lease = _Lease(held_s)
    async with anyio.create_task_group() as group:
        group.start_soon(_renew, engine, duty, lease, group.cancel_scope)
        group.start_soon(_end_in_time, engine, duty, lease, group.cancel_scope)
        try:
            await engine.unless_stopped(work)
        except Exception as error:
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _renew(engine: Engine, duty: Duty, lease: _Lease, scope: anyio.CancelScope) -> None:
    """Renew the lease until it is another's; then end *scope*."""
    while True:
        await engine.clock.sleep(RENEW.total_seconds())
        asked_s = engine.clock.monotonic()
        held = await _hold(engine, duty)
        if held is False:
            _lose(engine, duty, scope)
            return
        lease.held_s = asked_s if held else lease.held_s


async def _end_in_time(engine: Engine, duty: Duty, lease: _Lease, scope: anyio.CancelScope) -> None:
    """End *scope* before the lease runs out, however long a try to renew it takes to fail."""
    while (left_s := lease.held_s + _GIVE_UP_S - engine.clock.monotonic()) > 0:
        await engine.clock.sleep(left_s)
    _lose(engine, duty, scope)


def _lose(engine: Engine, duty: Duty, scope: anyio.CancelScope) -> None:
    log.warning("duties.lost", duty=duty, account=engine.account)
    scope.cancel()


async def _hold(engine: Engine, duty: Duty) -> bool | None:
    """Take or renew it; None if the store cannot be asked."""
    try:
        return await engine.store.hold_lease(
            engine.account, duty, engine.worker, now=engine.clock.now()
        )
    except StoreUnwritable as error:
        engine.signals.unwritable = error
        log.warning("duties.not_held", duty=duty, error=error.what)
        return None

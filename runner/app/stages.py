"""The stages of an engine, side by side until somebody says that it is over.

post ──── account checked ─▶ Poster · Live lane · probe of a paused account
          Live lane of AIsa, which has no account to check
collect ─ ready list* · poll ─▶ writer · inbox of what was delivered*
reconcile* ─ what is in doubt: found, proven absent, or held for a person · daily audit

What has a star one worker of the account does for all of them (`runner.pipeline.duties`). A worker
may have some roles only; what it does not do itself it hears of through the store.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import anyio
import structlog
from structlog.contextvars import bound_contextvars

from runner.app.engines import Engines
from runner.app.values import StopSwitch
from runner.pipeline.account import check_account, probe
from runner.pipeline.audit import audit_daily
from runner.pipeline.duties import LOOK_S, in_turn
from runner.pipeline.engine import Engine
from runner.pipeline.inbox import have_resent, take_in
from runner.pipeline.live import LiveLane
from runner.pipeline.poller import poll
from runner.pipeline.ready import follow_ready_list, watch_ready_list
from runner.pipeline.reconciler import follow, reconcile
from runner.pipeline.recovery import recover
from runner.pipeline.submitter import Poster
from runner.pipeline.writer import write
from runner.store.endings import Ending
from runner.store.values import StoreUnwritable
from runner.store.workers import ALL_ROLES, Duty, Role
from runner.task import Gateway

log = structlog.get_logger()

Stage = Callable[[], Awaitable[object]]

_ENDINGS_WAITING: Final = 300
"""As many as one transaction takes: fewer, and the fetchers stand still while it is saved."""


def to_post(engine: Engine, poster: Poster, roles: Collection[Role] = ALL_ROLES) -> list[Stage]:
    """What posts, and asks by Live calls. What only makes free calls is cut off at the end, what
    pays or saves is not."""
    lanes = {
        name: LiveLane(engine, gateway, poster.postings, poster.quota)
        for name, gateway in engine.live.items()
        if Role.LIVE in roles
    }
    senders: list[Stage] = [poster.work] if Role.SUBMIT in roles else []
    if (own := lanes.pop(Gateway.DATAFORSEO, None)) is not None:
        senders.append(own.work)
    stages: list[Stage] = [lane.work for lane in lanes.values()]
    if engine.standard and senders:
        stages += [
            partial(_post_when_checked, engine, senders),
            partial(engine.unless_stopped, partial(probe, engine)),
        ]
    return stages


def to_collect(engine: Engine, roles: Collection[Role] = ALL_ROLES) -> list[Stage]:
    """What asks for posted tasks, whosever run they are of, and stores what comes."""
    if not engine.standard or Role.POLL not in roles:
        engine.signals.collected = True
        return []
    to_writer, endings = anyio.create_memory_object_stream[Ending](_ENDINGS_WAITING)
    delivered: list[Stage] = [
        partial(in_turn, engine, Duty.INBOX, partial(take_in, engine), meanwhile=_nothing)
    ]
    if engine.postbacks is not None:
        delivered.append(partial(engine.unless_stopped, partial(have_resent, engine)))
    return [
        *delivered,
        partial(
            in_turn,
            engine,
            Duty.READY_LIST,
            partial(watch_ready_list, engine),
            meanwhile=partial(follow_ready_list, engine),
        ),
        partial(poll, engine, to_writer),
        partial(write, engine, endings),
    ]


def to_reconcile(engine: Engine, roles: Collection[Role] = ALL_ROLES) -> list[Stage]:
    """What decides about tasks in doubt, whosever run they are of, and the daily audit."""
    if not engine.standard:
        engine.signals.reconciled = True
        return []
    if Role.RECONCILE not in roles:
        return [partial(engine.unless_stopped, partial(_only_follow, engine))]
    return [
        partial(
            in_turn,
            engine,
            Duty.RECONCILE,
            partial(_decide_and_compare, engine),
            meanwhile=partial(follow, engine),
        )
    ]


async def _decide_and_compare(engine: Engine) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(reconcile, engine)
        group.start_soon(audit_daily, engine)


async def _only_follow(engine: Engine) -> None:
    # What is in doubt holds back this worker's posts, too.
    while not engine.signals.stopping.is_set():
        try:
            await follow(engine)
        except StoreUnwritable as error:
            log.warning("stages.doubts_not_read", error=error.what)
        await engine.rest(LOOK_S)


async def _nothing() -> None:
    """What is delivered is booked by another worker."""


async def run_stages(
    engines: Engines,
    stages: Callable[[Engine], Sequence[Stage]],
    *,
    until: Stage,
    stop: StopSwitch,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Run the *stages* of each engine until *until* returns, somebody asks to stop, or none of
    them can go on.

    *tell* hears what the end still waits for.

    Raises:
        StoreBroken: the store cannot be used any more; what was under way was saved as far as
            that went. Any other error of a stage is a bug, after which all is saved, too.
    """
    async with anyio.create_task_group() as group:
        for engine in engines.parts:
            # What they log says of which account, where there are several.
            whose = {"account": engine.name} if engine.name else {}
            with bound_contextvars(**whose):
                group.start_soon(engine.unless_stopped, partial(_heed_stop, engine, stop))
                for stage in stages(engine):
                    group.start_soon(engine.guarded, stage)
        await engines.lead.guarded(until)
        engines.stop()
        if calls := sum(engine.signals.live_open for engine in engines.parts):
            tell(_awaited(calls))
    # The group ends when the stages have saved what was under way.
    await _let_others(engines.lead)
    for engine in engines.parts:
        if engine.signals.broken is not None:
            raise engine.signals.broken


async def _let_others(engine: Engine) -> None:
    """What this worker did for all is another's at once, not only when its leases run out."""
    if engine.signals.unwritable is not None:
        return
    with suppress(StoreUnwritable):
        await engine.store.drop_leases(engine.worker)


def _awaited(calls: int) -> str:
    them = f"{calls} Live calls are open; their answers are"
    if calls == 1:
        them = "1 Live call is open; its answer is"
    return f"{them} paid for and awaited, two minutes at most; stopping again loses what is out"


async def _heed_stop(engine: Engine, stop: StopSwitch) -> None:
    await stop.wait()
    engine.signals.stop()


async def _post_when_checked(engine: Engine, senders: Sequence[Stage]) -> None:
    # The account is checked before anything is posted, and where the store may not know all that
    # was posted in its name, that is looked for; what was posted before may be fetched.
    checked = await engine.unless_stopped(partial(check_account, engine))
    if checked and await engine.unless_stopped(partial(recover, engine)):
        async with anyio.create_task_group() as group:
            for each in senders:
                group.start_soon(engine.guarded, each)

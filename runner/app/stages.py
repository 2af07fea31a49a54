"""The stages of an engine, side by side until somebody says that it is over.

post ──── account checked ─▶ Poster · Live lane · probe of a paused account
          Live lane of AIsa, which has no account to check
collect ─ ready list · poll ─▶ writer · inbox of what was delivered
reconcile ─ what is in doubt: found, proven absent, or held for a person · daily audit
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import anyio

from runner.app.values import StopSwitch
from runner.pipeline.account import check_account, probe
from runner.pipeline.audit import audit_daily
from runner.pipeline.engine import Engine
from runner.pipeline.inbox import have_resent, take_in
from runner.pipeline.live import LiveLane
from runner.pipeline.poller import poll
from runner.pipeline.ready import watch_ready_list
from runner.pipeline.reconciler import reconcile
from runner.pipeline.recovery import recover
from runner.pipeline.submitter import Poster
from runner.pipeline.writer import write
from runner.store.values import Ending
from runner.task import Gateway

Stage = Callable[[], Awaitable[object]]

_ENDINGS_WAITING: Final = 100


def to_post(engine: Engine, poster: Poster) -> list[Stage]:
    """What posts, and asks by Live calls. What only makes free calls is cut off at the end, what
    pays or saves is not."""
    lanes = {
        name: LiveLane(engine, gateway, poster.postings, poster.quota)
        for name, gateway in engine.live.items()
    }
    senders: list[Stage] = [poster.work]
    if (own := lanes.pop(Gateway.DATAFORSEO, None)) is not None:
        senders.append(own.work)
    stages: list[Stage] = [lane.work for lane in lanes.values()]
    if engine.standard:
        stages += [
            partial(_post_when_checked, engine, senders),
            partial(engine.unless_stopped, partial(probe, engine)),
        ]
    return stages


def to_collect(engine: Engine) -> list[Stage]:
    """What asks for posted tasks, whosever run they are of, and stores what comes."""
    if not engine.standard:
        engine.signals.collected = True
        return []
    to_writer, endings = anyio.create_memory_object_stream[Ending](_ENDINGS_WAITING)
    delivered: list[Stage] = [partial(engine.unless_stopped, partial(take_in, engine))]
    if engine.postbacks is not None:
        delivered.append(partial(engine.unless_stopped, partial(have_resent, engine)))
    return [
        *delivered,
        partial(engine.unless_stopped, partial(watch_ready_list, engine)),
        partial(poll, engine, to_writer),
        partial(write, engine, endings),
    ]


def to_reconcile(engine: Engine) -> list[Stage]:
    """What decides about tasks in doubt, whosever run they are of, and the daily audit."""
    if not engine.standard:
        engine.signals.reconciled = True
        return []
    return [
        partial(engine.unless_stopped, partial(reconcile, engine)),
        partial(engine.unless_stopped, partial(audit_daily, engine)),
    ]


async def run_stages(
    engine: Engine,
    stages: Sequence[Stage],
    *,
    until: Stage,
    stop: StopSwitch,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Run *stages* until *until* returns, somebody asks to stop, or the engine cannot go on.

    *tell* hears what the end still waits for.

    Raises:
        StoreBroken: the store cannot be used any more; what was under way was saved as far as
            that went. Any other error of a stage is a bug, after which all is saved, too.
    """
    async with anyio.create_task_group() as group:
        group.start_soon(engine.unless_stopped, partial(_heed_stop, engine, stop))
        for stage in stages:
            group.start_soon(engine.guarded, stage)
        await engine.guarded(until)
        engine.signals.stop()
        if engine.signals.live_open:
            tell(_awaited(engine.signals.live_open))
    # The group ends when the stages have saved what was under way.
    if engine.signals.broken is not None:
        raise engine.signals.broken


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

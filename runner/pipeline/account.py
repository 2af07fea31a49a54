"""The account behind all calls: checked before the first post, paused and resumed by what it says.

login, IP refused ......... stop: no call would fare better
balance ................... post nothing, go on fetching; probed every 10 minutes
daily limit ............... the same until 00:00 UTC
40202 ..................... slower, and no task is blamed
no reply .................. fewer calls, the longer it lasts
"""

from datetime import datetime, timedelta
from typing import Final

import structlog

from runner.api.errors import (
    ApiError,
    Block,
    CallRejected,
    CredentialsBlocked,
    MoneyBlocked,
    RateLimited,
    WrongAddress,
)
from runner.api.wire import AccountData
from runner.backoff import full_jitter
from runner.pipeline.engine import Engine
from runner.store.values import Balance, StoreUnwritable

log = structlog.get_logger()

PROBE_EVERY_S: Final = 600.0
"""How often a paused account is asked whether it may go on (DESIGN.md §4)."""

LOOK_AGAIN_S: Final = 15.0
"""Between two questions for a balance that leaves no room: ``user_data`` allows six a minute, for
all programs on the account together."""

_SILENCE_CAP_S: Final = 60.0
_STEP_S: Final = 1.0
_DAY: Final = timedelta(days=1)
_CLOCKS_DIFFER: Final = timedelta(minutes=10)
"""A daily limit that is named so soon after our midnight may still be yesterday's."""


def heard(engine: Engine) -> None:
    """A call brought a reply of the API's."""
    signals = engine.signals
    signals.reached = True
    signals.unreachable = signals.silent_since = None


def heed(engine: Engine, trouble: ApiError) -> None:
    """Act on what a call said beside its result: slow down, pause posting, or stop."""
    signals = engine.signals
    match trouble:
        case RateLimited():
            heard(engine)
            engine.pacer.slow_down()
            log.info("account.slowed_down", code=trouble.code, now=engine.pacer.calls_per_minute)
        case MoneyBlocked():
            heard(engine)
            if signals.blocked is None:
                log.warning("account.posting_paused", block=trouble.block, code=trouble.code)
            signals.blocked = trouble
            signals.blocked_on = (_now(engine) - _CLOCKS_DIFFER).date()
        case CredentialsBlocked() | WrongAddress() | CallRejected():
            log.error("account.stopped", what=trouble.what, code=trouble.code)
            signals.stop(trouble)
        case _:
            if signals.silent_since is None:
                signals.silent_since = engine.clock.monotonic()
                log.warning("account.no_reply", what=trouble.what, why=trouble.why)
            signals.unreachable = trouble


def silence_wait_s(engine: Engine) -> float:
    """How long to leave an API alone that does not reply: about as long as it has been silent."""
    since = engine.signals.silent_since
    if since is None:
        return 0.0
    silent_s = engine.clock.monotonic() - since
    return engine.random.uniform(0.5, 1.0) * min(max(silent_s, 1.0), _SILENCE_CAP_S)


async def rest_until_heard(engine: Engine, seconds: float) -> None:
    """Rest, but no longer than until some call brings a reply."""
    until = engine.clock.monotonic() + seconds
    while engine.signals.unreachable is not None and not engine.signals.stopping.is_set():
        left_s = until - engine.clock.monotonic()
        if left_s <= 0:
            return
        await engine.rest(min(left_s, _STEP_S))


async def check_account(engine: Engine) -> AccountData | None:
    """The one successful ``user_data`` call that must come before the first post.

    Tries for as long as the engine runs; None if it was stopped first, by a refusal or a person.
    """
    failures = 0
    while not engine.signals.stopping.is_set():
        data = await _ask_account(engine)
        if data is not None:
            return data
        failures += 1
        wait_s = full_jitter(failures, base_s=2.0, cap_s=_SILENCE_CAP_S, random=engine.random)
        await engine.rest(wait_s)
    return None


async def _ask_account(engine: Engine) -> AccountData | None:
    signals = engine.signals
    bookings, signals.balance_asked_s = signals.bookings, engine.clock.monotonic()
    try:
        # Before the call: what is booked meanwhile then counts as spent, and never as still there.
        books = await engine.store.spent(account=engine.account)
        data = await engine.api.user_data()
    except ApiError as error:
        heed(engine, error)
        return None
    except StoreUnwritable as error:
        log.warning("account.call_not_noted", error=error.what)
        return None
    heard(engine)
    engine.pacer.observe(data.calls_per_minute, None)
    signals.balance_of = bookings
    signals.balance = Balance(
        stated=data.balance_nanousd,
        charged=books.charged,
        newest_batch=books.newest_batch,
        beside=books.beside,
    )
    return data


async def look_again(engine: Engine) -> bool:
    """Whether a balance that leaves no room may leave some by now, for answers were booked since.

    What they freed is measured too small until the balance is asked for anew, which is done here.
    """
    signals = engine.signals
    if signals.balance is None or signals.balance_of == signals.bookings:
        return False
    if engine.clock.monotonic() >= signals.balance_asked_s + LOOK_AGAIN_S:
        await _ask_account(engine)
    return True


async def probe(engine: Engine) -> None:
    """While posting is paused, see every ten minutes, and at 00:00 UTC, whether it may go on.

    Where a floor is kept the balance is asked for as often: other programs use the account, too.
    """
    while not engine.signals.stopping.is_set():
        await engine.rest(min(PROBE_EVERY_S, _until_midnight_s(_now(engine))))
        if not engine.signals.stopping.is_set():
            await probe_once(engine)


async def probe_once(engine: Engine) -> None:
    """Resume posting if what paused it is over."""
    signals = engine.signals
    blocked = signals.blocked
    if not isinstance(blocked, MoneyBlocked):
        if signals.floor_watched and await _ask_account(engine) is not None:
            # Somebody may have topped it up: what was short is looked at again.
            signals.bookings += 1
            signals.balance_of = signals.bookings
        return
    capped = blocked.block is Block.DAILY_CAP
    if capped and signals.blocked_on == _now(engine).date():
        return
    data = await _ask_account(engine)
    if data is None:
        return
    if capped or data.balance_nanousd is None or data.balance_nanousd > 0:
        log.info("account.posting_resumed")
        signals.blocked = signals.blocked_on = signals.withheld = None


def _now(engine: Engine) -> datetime:
    """The API's time as far as it is known: its day is what a daily limit goes by."""
    return engine.api_now() or engine.clock.now()


def _until_midnight_s(now: datetime) -> float:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY
    return (midnight - now).total_seconds()

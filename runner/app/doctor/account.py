"""The account: whether the API lets us in, what it has left, how fast we may be; and its time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import anyio

from runner.api.calls import CallReport
from runner.api.errors import ApiError
from runner.api.wire import AccountData
from runner.app.doctor.finding import Finding, doubtful, fine, of_error, wrong
from runner.app.opening import free_calls
from runner.app.starting import least_price
from runner.clock import Clock
from runner.errors import CredentialsRefused, RunnerError, TryLater
from runner.money import short
from runner.settings import ApiKind, Settings
from runner.task import Method

PATIENCE_S: Final = 20.0

FAR_OFF: Final = timedelta(seconds=10)
"""More than a slow reply and whole seconds in ``Date`` can make."""

_TOP_UP: Final = "top it up at the API's dashboard"
_CLOCK: Final = "turn on time synchronisation, such as: timedatectl set-ntp true"


@dataclass(frozen=True, slots=True)
class _Told:
    """One reply about an account."""

    stated: AccountData
    ahead: timedelta | None
    """By so much the API's clock is ahead of ours; None if it did not say."""


async def look_at_accounts(settings: Settings, *, pending: int, clock: Clock) -> list[Finding]:
    """One free call for each account; *pending* tasks are queued."""
    if settings.api.kind is ApiKind.SIM and not settings.has_store:
        return [fine("account", "the simulated account is made by the first run")]
    findings, told = list[Finding](), list[_Told]()
    for one in settings.each_account():
        try:
            with anyio.fail_after(PATIENCE_S):
                told.append(await _ask(one, clock))
        except TimeoutError:
            silent = TryLater(f"the API did not answer within {PATIENCE_S:.0f} seconds")
            findings.append(_named(one, of_error("account", silent)))
        except (ApiError, CredentialsRefused, RunnerError) as error:
            findings.append(_named(one, of_error("account", error)))
        else:
            findings += [_named(one, each) for each in _about(told[-1].stated, one)]
    findings += _enough([each.stated for each in told], settings, pending)
    # A simulated account may live in a time of its own.
    if settings.api.kind is not ApiKind.SIM:
        findings += _clock([each.ahead for each in told if each.ahead is not None])
    return findings


def look_at_aisa(settings: Settings) -> list[Finding]:
    """AIsa has no call that would check a key for free (API.md §12)."""
    found = settings.found_aisa
    if found.key is None or settings.api.kind is ApiKind.SIM:
        return []
    if found.faults:
        return [wrong("aisa", "; ".join(found.faults), "export AISA_API_KEY_FILE=…")]
    return [fine("aisa", "a key for AIsa is there; only a call that is paid for can try it")]


async def _ask(settings: Settings, clock: Clock) -> _Told:
    ahead: list[timedelta] = []

    def note(report: CallReport) -> None:
        if report.server_date is not None:
            # The date was written within the call, and cut to whole seconds.
            written = clock.now() - timedelta(seconds=report.took_s / 2)
            ahead.append(report.server_date + timedelta(seconds=0.5) - written)

    async with free_calls(settings, clock=clock, after_call=note) as api:
        stated = await api.user_data()
    return _Told(stated, ahead[-1] if ahead else None)


def _about(stated: AccountData, settings: Settings) -> list[Finding]:
    balance = stated.balance_nanousd
    if balance is None:
        money = doubtful("account", "login accepted, balance unknown: the API does not state it")
    elif balance < least_price(Method.STANDARD):
        text = f"login accepted, but the balance is {short(balance)}: nothing can be posted"
        money = wrong("account", text, _TOP_UP)
    else:
        money = fine("account", f"login accepted, balance {short(balance)}")
    limit, ours = stated.calls_per_minute, settings.calls_per_minute
    if limit is None:
        return [money, fine("limit", f"at most {ours:,} calls/min used; the API states no limit")]
    return [
        money,
        fine("limit", f"{limit:,} calls/min stated, at most {min(limit, ours):,} used"),
    ]


def _enough(stated: Sequence[AccountData], settings: Settings, pending: int) -> list[Finding]:
    """Whether the balances of all accounts cover the least that the queued tasks take."""
    balances = [each.balance_nanousd for each in stated]
    known = [each for each in balances if each is not None]
    all_known = len(known) == len(settings.each_account())
    least = pending * least_price(Method.STANDARD)
    if not pending or not all_known or sum(known) >= least or sum(known) <= 0:
        return []
    text = f"{pending:,} queued tasks take {short(least)} at least, {short(sum(known))} is there"
    return [doubtful("account", text, f"{_TOP_UP}, or `runner cancel` what need not be asked")]


def _clock(ahead: Sequence[timedelta]) -> list[Finding]:
    if not ahead:
        return []
    worst = max(ahead, key=abs)
    if abs(worst) < FAR_OFF:
        return [fine("clock", "this machine's clock agrees with the API's")]
    which = "behind" if worst > timedelta(0) else "ahead of"
    text = f"this machine's clock is {abs(worst).total_seconds():,.0f} s {which} the API's"
    why = "no window suffers, but dates in exports and {{date}} are off"
    return [doubtful("clock", f"{text}: {why}", _CLOCK)]


def _named(settings: Settings, finding: Finding) -> Finding:
    """*finding*, with the account's name where there are several."""
    if settings.account is None:
        return finding
    return Finding(
        check=finding.check,
        level=finding.level,
        text=f"{settings.account}: {finding.text}",
        how=finding.how,
        exit=finding.exit,
    )

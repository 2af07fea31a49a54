"""Between HTTP and the account: who may call, how often, and what goes wrong on the way.

    counted ─▶ credentials ─▶ limits ─▶ faults before ─▶ the endpoint ─▶ faults in the reply

Pure: faults of the connection are only named here; ``server.py`` carries them out.
"""

import base64
import binascii
from dataclasses import dataclass, replace

from runner.simulator import aisa
from runner.simulator.account import Account
from runner.simulator.calls import Call, CallKind, Json, Reply
from runner.simulator.endpoints import answer, no_money, rate_limited, too_many
from runner.simulator.envelope import failure
from runner.simulator.faults import INSTEAD, Fault, Strike
from runner.task import Gateway

FOREIGN_TAG = "someone-else:000001"
"""A tag that no client of ours ever sent."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a call, and what shall go wrong with its reply."""

    reply: Reply | None
    """None: nothing was done, and the fault leaves nothing to say."""
    strike: Strike | None = None


def route(account: Account, call: Call) -> Answered:
    """Let *call* through to the account, or say why not."""
    if call.gateway is Gateway.AISA:
        return _route_aisa(account, call)
    now = account.clock.monotonic()
    account.calls.come(call.kind, now)
    if not _may_enter(account, call.authorization):
        return Answered(failure(40100))
    total, own = account.scenario.calls_per_minute, account.scenario.limit_of(call.kind)
    if not account.calls.admit(call.kind, now, total=total, own=own):
        return Answered(_with_headers(account, call.kind, rate_limited(account, call)))
    answered = _serve(account, call)
    if answered.reply is None or (answered.strike and answered.strike.fault in INSTEAD):
        return answered
    return replace(answered, reply=_with_headers(account, call.kind, answered.reply))


def _serve(account: Account, call: Call) -> Answered:
    """The call as the endpoint answers it, or as a fault has it."""
    strike = account.faults.for_call(call.kind)
    if strike is not None and strike.fault in INSTEAD:
        return Answered(_instead(account, call, strike), strike)
    if strike is not None and strike.fault is Fault.ACCEPTED_TWICE:
        answer(account, call)
    reply = answer(account, call)
    if strike is not None and reply.body.get("tasks"):
        _distort(account, reply.body["tasks"], strike.fault)
    if strike is not None and strike.fault is Fault.HTTP_500_AFTER:
        # It took effect all the same, and as late.
        reply = replace(_broken(call), after_s=reply.after_s, lane=reply.lane)
    return Answered(reply, strike)


def _route_aisa(account: Account, call: Call) -> Answered:
    """AIsa's own gate, before the API behind it."""
    calls, scenario = account.aisa_calls, account.scenario
    now, limit = account.clock.monotonic(), scenario.aisa_calls_per_minute
    calls.come(call.kind, now)
    if (refusal := aisa.refused_key(call.authorization, scenario)) is not None:
        return Answered(refusal)
    if call.kind is CallKind.OTHER:
        return Answered(aisa.not_found())
    if not calls.admit(call.kind, now, total=limit, own=None):
        return Answered(aisa.with_headers(account, aisa.too_fast(), left=0))
    answered = _serve(account, call)
    if answered.reply is None:
        return answered
    left = calls.remaining(call.kind, now, total=limit, own=None)
    return replace(answered, reply=aisa.with_headers(account, answered.reply, left=left))


def _may_enter(account: Account, authorization: str | None) -> bool:
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        login, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    scenario = account.scenario
    known_login = login == scenario.login if scenario.login is not None else bool(login)
    if scenario.password is None:
        return known_login and bool(password)
    return known_login and password == scenario.password


def _broken(call: Call) -> Reply:
    return aisa.broken() if call.gateway is Gateway.AISA else failure(50000)


def _instead(account: Account, call: Call, strike: Strike) -> Reply | None:
    through_aisa = call.gateway is Gateway.AISA
    match strike.fault:
        case Fault.RATE_LIMITED if through_aisa:
            return aisa.too_fast()
        case Fault.RATE_LIMITED:
            return _with_headers(account, call.kind, rate_limited(account, call))
        case Fault.TOO_MANY:
            return too_many(account, call)
        case Fault.PAYMENT_REQUIRED if through_aisa:
            return no_money(call)
        case Fault.PAYMENT_REQUIRED:
            return failure(strike.code or 40200, http_status=402)
        case Fault.UNAUTHORIZED if through_aisa:
            return aisa.wrong_key()
        case Fault.UNAUTHORIZED:
            return failure(strike.code or 40100, http_status=401)
        case Fault.REFUSED_CALL:
            return failure(strike.code or 50000, http_status=200)
        case Fault.HTTP_500_BEFORE:
            return _broken(call)
    return None


def _distort(account: Account, tasks: list[Json], fault: Fault) -> None:
    match fault:
        case Fault.SHUFFLED:
            account.shuffle(tasks)
        case Fault.TAG_DOUBLED if len(tasks) > 1:
            tasks[1]["data"]["tag"] = tasks[0]["data"].get("tag")
        case Fault.TAG_FOREIGN:
            tasks[0]["data"]["tag"] = FOREIGN_TAG
        case Fault.TAG_MISSING:
            tasks[0]["data"].pop("tag", None)
        case Fault.TASK_MISSING:
            del tasks[0]


def _with_headers(account: Account, kind: CallKind, reply: Reply) -> Reply:
    scenario = account.scenario
    if not scenario.rate_headers:
        return reply
    own = scenario.limit_of(kind)
    left = account.calls.remaining(
        kind, account.clock.monotonic(), total=scenario.calls_per_minute, own=own
    )
    limit = scenario.calls_per_minute if own is None else min(own, scenario.calls_per_minute)
    headers = {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(left)}
    return replace(reply, headers=headers)

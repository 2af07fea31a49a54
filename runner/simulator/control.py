"""What may be done to a running simulator: order faults, change settings, ask the oracle.

    {"arm": [{"fault": "drop_after", "call": "task_post", "times": 2}],
     "set": {"error_rate": 0.1}, "deposit_usd": "5", "advance_s": 259200, "disarm": true}

Not a part of the API: it lives under ``/simulator/``, where no endpoint of the API is.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Final

from runner.errors import WrongInput
from runner.simulator.account import Account
from runner.simulator.calls import CallKind, Json
from runner.simulator.readers import read_dollars, read_strike, scenario_from_table
from runner.simulator.timing import ScaledClock
from runner.task import Gateway, Provider

_KEYS: Final = frozenset({"arm", "set", "deposit_usd", "advance_s", "disarm"})


def control(account: Account, message: object) -> Json:
    """Carry out *message* whole or not at all; tell how things stand then.

    Raises:
        WrongInput: an unknown key or a value that cannot be used; nothing was changed.
    """
    if not isinstance(message, dict):
        raise WrongInput("a control message is a JSON object")
    unknown = set(message) - _KEYS
    if unknown:
        raise WrongInput(f"unknown keys: {', '.join(sorted(unknown))}")
    strikes = [read_strike(table) for table in _tables(message.get("arm", []))]
    scenario = scenario_from_table(_table(message.get("set", {})), account.scenario)
    deposit = read_dollars(message.get("deposit_usd", 0))
    advance = _advance(account, message.get("advance_s", 0))

    if message.get("disarm"):
        account.faults.disarm()
    for strike in strikes:
        account.faults.arm(strike)
    account.change(scenario)
    if advance is not None:
        clock, by = advance
        clock.advance(by)
    if deposit:
        account.deposit(deposit)
    return oracle(account)


def oracle(account: Account) -> Json:
    """The ledger's sums, the calls counted and the faults that struck."""
    account.now_ms()
    calls = account.calls
    return {
        **account.ledger.summary(),
        "calls": {kind.value: calls.counts[kind] for kind in CallKind},
        "calls_over_limit": {kind.value: calls.refused[kind] for kind in CallKind},
        "largest_minute": calls.largest_minute,
        "largest_minute_by_kind": {kind.value: calls.largest_minute_of(kind) for kind in CallKind},
        "live_most_open": _most_open(account, Gateway.DATAFORSEO),
        "live_refused": account.open_calls.refused.total(),
        "aisa": {
            "calls": account.aisa_calls.counts.total(),
            "calls_over_limit": account.aisa_calls.refused.total(),
            "largest_minute": account.aisa_calls.largest_minute,
            "most_open": account.open_calls.most_of_gateway[Gateway.AISA],
            "most_open_by_provider": _most_open(account, Gateway.AISA),
        },
        "faults_struck": {fault.value: count for fault, count in account.faults.struck.items()},
        "faults_ordered": {fault.value: count for fault, count in account.faults.ordered.items()},
    }


def _most_open(account: Account, gateway: Gateway) -> dict[str, int]:
    """The most Live calls that were ever open together, by provider."""
    return {p.value: account.open_calls.most[gateway, p] for p in Provider}


def page_of_tasks(account: Account, *, offset: int, limit: int) -> Json:
    """The ledger's lines from *offset* on, at most *limit*."""
    entries = account.ledger.entries(account.now_ms(), offset=offset, limit=limit)
    return {"total": len(account.ledger.tasks), "tasks": [asdict(entry) for entry in entries]}


def _tables(value: object) -> list[Mapping[str, object]]:
    items = value if isinstance(value, list) else [value]
    return [_table(item) for item in items]


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise WrongInput(f"{value!r} is no JSON object")
    return value


def _advance(account: Account, value: object) -> tuple[ScaledClock, timedelta] | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
        raise WrongInput(f"advance_s: {value!r} is no time in seconds")
    if value == 0:
        return None
    if not isinstance(account.clock, ScaledClock):
        raise WrongInput("this simulator's clock is moved by its owner only")
    return account.clock, timedelta(seconds=value)

"""``user_data``: login, limits, counts, money and prices of the account.

Source: API.md §7, examples/user_data.response.json.
"""

from typing import Final

from runner.clock import from_ms
from runner.money import BASE_PRICE_LIVE, BASE_PRICE_STANDARD
from runner.simulator.account import Account
from runner.simulator.calls import Call, CallKind, Json, Reply
from runner.simulator.envelope import entry, success, usd
from runner.simulator.ledger import OK

_OF_RESPONSES: Final = (
    CallKind.TASK_POST,
    CallKind.TASKS_READY,
    CallKind.TASK_GET,
    CallKind.MODELS,
)


def user_data(account: Account, call: Call) -> Reply:
    """The one row of the account."""
    now = from_ms(account.now_ms())
    data: Json = {"api": "appendix", "function": "user_data"}
    row: Json = {
        "login": account.scenario.login or "login@example.org",
        "timezone": "Europe/Berlin",
        "rates": {
            "limits": {
                "day": _limits(total=0, ready=0, other=0),
                "minute": _limits(
                    total=account.scenario.calls_per_minute,
                    ready=account.scenario.ready_per_minute,
                    other=account.scenario.listing_per_minute,
                ),
            },
            "statistics": {
                "day": _statistics(account, f"{now:%Y-%m-%d}"),
                "minute": {"value": f"{now:%Y-%m-%d %H:%M}"},
            },
        },
        "money": _money(account, f"{now:%Y-%m-%d}"),
        "price": {"ai_optimization": {"llm_responses": _prices()}},
        "backlinks_subscription_expiry_date": None,
        "llm_mentions_subscription_expiry_date": None,
    }
    return success([entry(call, account.new_id(), OK, data, result=[row])])


def _limits(*, total: int, ready: int, other: int) -> Json:
    responses = {
        "live": total,
        "task_post": total,
        "tasks_ready": ready,
        "task_get": total,
        "models": total,
    }
    return {
        "total": total,
        "ai_optimization": {"llm_responses": responses, "errors": other, "id_list": other},
        "total_ai_optimization": total,
    }


def _statistics(account: Account, value: str) -> Json:
    counts = account.calls.counts
    return {
        "ai_optimization": {
            "llm_responses": {kind: counts[kind] for kind in (CallKind.LIVE, *_OF_RESPONSES)},
            "id_list": counts[CallKind.ID_LIST],
        },
        "total_ai_optimization": counts.total(),
        "value": value,
    }


def _money(account: Account, day: str) -> Json:
    ledger = account.ledger
    return {
        "total": usd(ledger.deposited),
        "balance": usd(ledger.balance),
        "limits": {"day": {"total": 0}, "minute": {"total": 0}},
        "statistics": {
            "day": {"total_ai_optimization": usd(ledger.totals.net_nanousd), "value": day}
        },
    }


def _prices() -> Json:
    costs = dict.fromkeys(_OF_RESPONSES, 0) | {CallKind.TASK_POST: BASE_PRICE_STANDARD}
    rows = {"live": BASE_PRICE_LIVE} | {kind.value: cost for kind, cost in costs.items()}
    return {
        name: {"priority_normal": [{"cost_type": "per_request", "cost": usd(cost)}]}
        for name, cost in rows.items()
    }

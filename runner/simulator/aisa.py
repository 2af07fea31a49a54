"""AIsa's face of the account: a Bearer key, real HTTP statuses, errors and headers of its own.

    /apis/v1/dataforseo/ai_optimization/{provider}/llm_responses/live

What the API behind it says comes through unchanged, inside HTTP 200. Source: API.md §12. Two of
its shapes of an error are known, and both occur here: the short one where no key came at all.
"""

import hmac
from dataclasses import replace
from typing import Final

from runner.simulator.account import Account
from runner.simulator.calls import Reply
from runner.simulator.scenario import AisaHeaders, Scenario

RETRY_AFTER_S: Final = 2
"""What a 429 for too many open calls asks for; the pace's own asks for the rest of the minute."""

_REQUEST_ID: Final = "req_01JSIMULATED000000000000"


def error(http_status: int, kind: str, code: str, message: str) -> Reply:
    """AIsa's complaint in the shape that its documentation prints."""
    said = {"type": kind, "code": code, "message": message, "request_id": _REQUEST_ID}
    return Reply({"error": said}, http_status)


def not_found() -> Reply:
    """A path that it does not have; task_post and its reading among them."""
    return error(404, "not_found_error", "endpoint_not_found", "No such endpoint.")


def no_money() -> Reply:
    """The balance is used up."""
    return error(402, "billing_error", "insufficient_balance", "Your balance is too low.")


def broken() -> Reply:
    """It failed itself."""
    return error(500, "api_error", "internal_error", "Something went wrong.")


def too_many() -> Reply:
    """More calls open than the plan allows."""
    reply = error(
        429, "rate_limit_error", "concurrency_limit_exceeded", "Too many concurrent requests."
    )
    return replace(reply, headers={"Retry-After": str(RETRY_AFTER_S)})


def too_fast() -> Reply:
    """More calls in a minute than the plan allows."""
    reply = error(429, "rate_limit_error", "rate_limit_exceeded", "Too many requests.")
    return replace(reply, headers={"Retry-After": "60"})


def refused_key(authorization: str | None, scenario: Scenario) -> Reply | None:
    """Why the key may not enter; None if it may."""
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        return Reply({"error": "Unauthorized", "message": "Missing API key."}, 401)
    wanted = scenario.aisa_key
    right = key.startswith("sk-") if wanted is None else _same(key, wanted)
    return None if right else wrong_key()


def wrong_key() -> Reply:
    """The key is none of its own."""
    return error(401, "authentication_error", "invalid_api_key", "The API key is invalid.")


def with_headers(account: Account, reply: Reply, *, left: int) -> Reply:
    """*reply* with the rate headers in the scenario's spelling; *left* calls are left."""
    scenario = account.scenario
    if scenario.aisa_headers is AisaHeaders.NONE:
        return reply
    end = "-Requests" if scenario.aisa_headers is AisaHeaders.REQUESTS else ""
    headers = {
        f"X-RateLimit-Limit{end}": str(scenario.aisa_calls_per_minute),
        f"X-RateLimit-Remaining{end}": str(left),
        f"X-RateLimit-Reset{end}": "60",
    }
    return replace(reply, headers={**headers, **reply.headers})


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())

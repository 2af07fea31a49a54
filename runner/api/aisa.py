"""What AIsa says itself, before or instead of the API behind it (API.md §12).

    {"error": {"type": …, "code": …, "message": …, "request_id": …}}     its documentation
    {"error": "Unauthorized", "message": …}                              seen in a public test

Its HTTP statuses mean something, and where one of these bodies explains a 4xx, the call was
certainly not passed on. Without such a body the same status may be a proxy's, and says nothing.
The envelope of the API behind it comes through unchanged, and its account codes are then about
AIsa's account there rather than ours. Pure.
"""

import re
from dataclasses import dataclass
from typing import Final

from runner.api.errors import (
    DEFAULT_WAIT_S,
    ApiError,
    Block,
    CredentialsBlocked,
    MoneyBlocked,
    RateLimited,
    Unreachable,
    WrongAddress,
)
from runner.api.jsontext import Unreadable, decode_mended
from runner.api.replies import Reply, complaint
from runner.api.status import StatusClass, lookup

_LONGEST: Final = 500
_KEY: Final = re.compile(r"sk-[\w.*…-]+")
"""A gateway may repeat the key that it refuses, whole or in part."""

_MONEY: Final = re.compile(r"insufficient|balance|credit|payment|billing|quota", re.IGNORECASE)
_PLAN: Final = re.compile(r"subscription|plan_", re.IGNORECASE)
_CROWD: Final = re.compile(r"concurren", re.IGNORECASE)
_MODEL: Final = re.compile(r"model", re.IGNORECASE)

TOO_MANY_AT_ONCE: Final = 40209
"""The API's code for what AIsa says in words."""

BLOCKED_WAIT_S: Final = 600.0
"""How long a task waits whose account is blocked: as often as the account is probed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayError:
    """AIsa's own complaint."""

    kind: str
    """Its ``type``, such as ``authentication_error``; empty where the short shape has none."""
    code: str
    """Its ``code``, such as ``invalid_api_key``; in the short shape the value of ``error``."""
    message: str
    request_id: str

    def __str__(self) -> str:
        name = f"request {self.request_id}" if self.request_id else ""
        return ": ".join(part for part in (self.code or self.kind, self.message, name) if part)


def read_error(body: bytes) -> GatewayError | None:
    """AIsa's complaint in *body*; None if it is in neither of its two shapes."""
    try:
        said = decode_mended(body)
    except Unreadable:
        return None
    if not isinstance(said, dict):
        return None
    error = said.get("error")
    if isinstance(error, str) and error and isinstance(said.get("message"), str):
        return GatewayError(
            kind="", code=_words(error), message=_words(said["message"]), request_id=""
        )
    if not isinstance(error, dict):
        return None
    found = GatewayError(
        kind=_words(error.get("type")),
        code=_words(error.get("code")),
        message=_words(error.get("message")),
        request_id=_words(error.get("request_id")),
    )
    return found if found.kind or found.code else None


def is_refusal(error: GatewayError, http_status: int) -> bool:
    """Whether it is this request that is at fault: sent again, it would be refused again."""
    if http_status in {400, 422}:
        return not (_blocks_money(error, http_status) or _blocks_plan(error))
    return http_status == 404 and bool(_MODEL.search(error.code))


def certainly_not_taken(http_status: int) -> bool:
    """Whether AIsa passes nothing on when it answers so in its own words."""
    return http_status in {400, 401, 402, 403, 404, 422, 429}


def wait_s(reply: Reply, trouble: ApiError | None) -> float:
    """Seconds until the task may be sent again."""
    if isinstance(trouble, RateLimited):
        return trouble.wait_s
    if isinstance(trouble, CredentialsBlocked | MoneyBlocked):
        return reply.wait_s or BLOCKED_WAIT_S
    return reply.wait_s or DEFAULT_WAIT_S


def complaint_of(reply: Reply) -> ApiError | None:
    """What *reply* says about the key, the plan or the pace; None if it is about its task only."""
    error = None if reply.envelope else read_error(reply.body)
    if reply.envelope is not None:
        return _about_behind(lookup(reply.envelope.code).kind) or complaint(reply, bare_url=False)
    status = reply.http_status
    what = f"AIsa says HTTP {status}"
    why = f"its words: {error}" if error else "without a body that explains it"
    if error is not None:
        if _blocks_plan(error) or status == 403:
            how = "check the key's plan at aisa.one"
            return CredentialsBlocked(what, block=Block.ACCOUNT, code=None, why=why, how=how)
        if _blocks_money(error, status):
            how = "top up at aisa.one"
            return MoneyBlocked(what, block=Block.BALANCE, code=None, why=why, how=how)
        if is_refusal(error, status):
            return None
    if status == 401:
        how = "check AISA_API_KEY and AISA_BASE_URL"
        return CredentialsBlocked(what, block=Block.LOGIN, code=None, why=why, how=how)
    if status == 429:
        crowded = error is not None and _CROWD.search(f"{error.kind} {error.code}")
        code = TOO_MANY_AT_ONCE if crowded else None
        return RateLimited(what, code=code, wait_s=reply.wait_s or DEFAULT_WAIT_S)
    if status in {301, 308, 404}:
        how = "check AISA_BASE_URL, which ends with /apis/v1"
        return WrongAddress(what, why=why, how=how)
    return Unreachable(what, why=why)


def _about_behind(kind: StatusClass) -> ApiError | None:
    """The API behind AIsa refuses AIsa's own account: nothing of ours to mend."""
    theirs = {
        StatusClass.AUTH,
        StatusClass.ACCOUNT,
        StatusClass.IP,
        StatusClass.BALANCE,
        StatusClass.DAILY_CAP,
    }
    if kind not in theirs:
        return None
    return Unreachable("AIsa's own account at the API behind it is refused", why=f"class {kind}")


def about_task_behind(code: int | None) -> ApiError | None:
    """As ``complaint_of``, for an account's code that stands at the task."""
    return _about_behind(lookup(code).kind)


def _blocks_money(error: GatewayError, http_status: int) -> bool:
    said = f"{error.kind} {error.code}"
    # "Quota" at a 429 is the pace's.
    return http_status == 402 or (http_status != 429 and bool(_MONEY.search(said)))


def _blocks_plan(error: GatewayError) -> bool:
    return bool(_PLAN.search(f"{error.kind} {error.code}"))


def _words(value: object) -> str:
    """One line without control characters and without the key."""
    text = value if isinstance(value, str) else ""
    line = "".join(c if c.isprintable() else " " for c in text[:_LONGEST]).strip()
    return _KEY.sub("***", line)

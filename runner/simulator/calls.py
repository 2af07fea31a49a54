"""What can be asked of the API, and what a reply is before it becomes HTTP.

Source: API.md §1 (verbs and paths), §5 (HTTP is 200 but for 401, 402, 404 and 500).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from runner.task import Gateway, Provider

STANDARD_PROVIDERS: Final = (Provider.CHAT_GPT, Provider.CLAUDE, Provider.GEMINI)
"""Perplexity has no Standard endpoints: 404 (API.md §1)."""

Json = dict[str, Any]
"""A JSON object on its way in or out."""


class CallKind(StrEnum):
    """The endpoints, as limits, faults and the ledger count them."""

    TASK_POST = "task_post"
    TASKS_READY = "tasks_ready"
    TASK_GET = "task_get"
    MODELS = "models"
    ID_LIST = "id_list"
    USER_DATA = "user_data"
    LIVE = "live"
    WEBHOOK_RESEND = "webhook_resend"
    OTHER = "other"
    """A path that the API does not have."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, taken apart."""

    kind: CallKind
    path: tuple[str, ...]
    """The path's parts, as replies repeat them."""
    provider: Provider | None = None
    task_id: str = ""
    authorization: str | None = None
    body: bytes = b""
    gateway: Gateway = Gateway.DATAFORSEO
    """Whose face was asked: AIsa's stands under ``/apis/v1`` (API.md §12)."""


Lane = tuple[Gateway, Provider]
"""Live calls that count together against a limit of open ones."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the API answers."""

    body: Json
    http_status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    """Simulated seconds until it is sent: a Live call is open while its model answers."""
    lane: "Lane | None" = None
    """The place among the open Live calls that is free again once it is sent."""

    def encoded(self) -> bytes:
        """The body as UTF-8 JSON; half a surrogate pair, which UTF-8 cannot hold, becomes ``?``."""
        text = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="replace")


def read_call(
    method: str, path: str, *, authorization: str | None = None, body: bytes = b""
) -> Call:
    """The call that *method* and the decoded *path* stand for; unknown ones are OTHER."""
    parts = tuple(part for part in path.split("/") if part)
    gateway = Gateway.AISA if parts[:2] == ("apis", "v1") else Gateway.DATAFORSEO
    kind, provider, task_id = _recognise(method, parts)
    if gateway is Gateway.AISA:
        # What its envelope repeats is the path behind it.
        parts = ("v3", *parts[3:])
    return Call(kind, parts, provider, task_id, authorization, body, gateway)


def _recognise(method: str, parts: tuple[str, ...]) -> tuple[CallKind, Provider | None, str]:
    match (method, parts):
        case ("GET", ("v3", "appendix", "user_data")):
            return CallKind.USER_DATA, None, ""
        case ("POST", ("v3", "appendix", "webhook_resend")):
            return CallKind.WEBHOOK_RESEND, None, ""
        case ("POST", ("v3", "ai_optimization", "id_list")):
            return CallKind.ID_LIST, None, ""
        case (_, ("v3", "ai_optimization", name, "llm_responses", *rest)) if name in _PROVIDERS:
            return _of_provider(method, Provider(name), rest)
        case ("POST", ("apis", "v1", "dataforseo", "ai_optimization", name, *rest)) if (
            rest == ["llm_responses", "live"] and name in _PROVIDERS
        ):
            return CallKind.LIVE, Provider(name), ""
    return CallKind.OTHER, None, ""


def _of_provider(
    method: str, provider: Provider, rest: list[str]
) -> tuple[CallKind, Provider | None, str]:
    match (method, rest):
        case ("GET", ["models"]):
            return CallKind.MODELS, provider, ""
        case ("POST", ["live"]):
            return CallKind.LIVE, provider, ""
        case ("POST", ["task_post"]) if provider in STANDARD_PROVIDERS:
            return CallKind.TASK_POST, provider, ""
        case ("GET", ["tasks_ready"]) if provider in STANDARD_PROVIDERS:
            return CallKind.TASKS_READY, provider, ""
        case ("GET", ["task_get", task_id]) if provider in STANDARD_PROVIDERS:
            return CallKind.TASK_GET, provider, task_id
    return CallKind.OTHER, None, ""


_PROVIDERS: Final = frozenset(Provider)

"""What the client and those around it tell each other about calls: kinds, hooks, prepared posts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec

from runner.task import Gateway, Provider


class CallKind(StrEnum):
    """What a call is for; each kind has its own limit (API.md §3)."""

    TASK_POST = "task_post"
    TASKS_READY = "tasks_ready"
    TASK_GET = "task_get"
    ID_LIST = "id_list"
    USER_DATA = "user_data"
    MODELS = "models"
    LIVE = "live"
    WEBHOOK_RESEND = "webhook_resend"


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one HTTP request taught about limits and time; None for what no reply told."""

    kind: CallKind
    gateway: Gateway = Gateway.DATAFORSEO
    """Whose limit it counts against: each gateway has its own."""
    took_s: float
    """From the start of the request to its end, in seconds."""
    limit: int | None = None
    """X-RateLimit-Limit: calls per minute for this endpoint."""
    remaining: int | None = None
    """X-RateLimit-Remaining."""
    server_date: datetime | None = None
    """The ``Date`` header, UTC."""
    http_status: int | None = None
    code: int | None = None
    """The API's top-level status code."""


BeforeCall = Callable[[CallKind, int], Awaitable[None]]
"""Waits until a call of this kind may be made; the number is its priority, least first."""

AfterCall = Callable[[CallReport], None]
"""Takes note of a request; must not raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPost:
    """A task_post, or a Live call with one tag, ready to leave: nothing is left but to send it."""

    provider: Provider
    tags: tuple[str, ...]
    body: bytes = field(repr=False)
    sha256: str
    """Of the body, in hexadecimal: what the batch's intent records."""

"""What the API's replies hold, and the only place that knows it (API.md §4; samples in
``tests/samples``). What goes out: ``requests.py``.

    reply ── status_code, status_message, cost
          └─ tasks[] ── id, status_code, status_message, cost, path, data.tag
                     └─ result[] ── an answer | ids that are ready | the account

Fields and item types that we have no name for stay in the raw reply, which is kept. One answer:
``answers.py``; one field: ``fields.py``.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from runner.api.answers import TypedResult
from runner.api.fields import (
    count_of,
    flag_of,
    id_of,
    list_of,
    moment_of,
    money_of,
    text_of,
    words_of,
)
from runner.api.jsontext import Unreadable, decode, decode_mended, is_too_deep
from runner.parameters import request_digest
from runner.task import RemoteId

_FIRST_CODE: Final = 10_000
_CODES_END: Final = 70_000


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One element of ``tasks``."""

    id: RemoteId | None
    """In replies to task_get the task's; in listings that of the listing call itself."""
    code: int | None
    message: str
    cost_nanousd: int | None
    """None if not stated, negative or not a number."""
    asked_id: str | None
    """The last part of ``path``: the id that was asked for, in a reply to task_get."""
    tag: str | None
    result: tuple[object, ...]
    """Empty for null, [] and a missing result alike."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What every reply of the API is wrapped in."""

    code: int
    message: str
    cost_nanousd: int | None
    entries: tuple[Entry, ...]
    """Empty for null, [] and missing tasks alike."""


def read_envelope(body: bytes, *, mend: bool = False) -> Envelope:
    """The reply in *body*. With *mend*, damaged text is mended rather than refused.

    Raises:
        Unreadable: no JSON, or not in the API's form: an object with a five-digit status_code
            and a list of tasks, or none.
    """
    reply = decode_mended(body) if mend else decode(body)
    if not isinstance(reply, dict):
        raise Unreadable("not an object")
    code = count_of(reply.get("status_code"))
    if code is None or not _FIRST_CODE <= code < _CODES_END:
        raise Unreadable("no status_code of the API's")
    tasks = reply.get("tasks")
    if tasks is not None and not isinstance(tasks, list):
        raise Unreadable("tasks is no list")
    return Envelope(
        code=code,
        message=words_of(reply.get("status_message")),
        cost_nanousd=money_of(reply.get("cost")),
        entries=tuple(_entry(task) for task in tasks or ()),
    )


class _Data(msgspec.Struct):
    tag: str | None = None


class _TypedTask(msgspec.Struct):
    id: str | None = None
    status_code: int | None = None
    status_message: str | None = None
    cost: Any = None
    path: list[Any] | None = None
    data: _Data | None = None
    result: list[TypedResult] | None = None


class _TypedReply(msgspec.Struct):
    status_code: int
    status_message: str | None = None
    cost: Any = None
    tasks: list[_TypedTask] | None = None


_typed: Final = msgspec.json.Decoder(_TypedReply, float_hook=Decimal)


def read_answers(body: bytes) -> Envelope:
    """As ``read_envelope`` with *mend*, for replies to task_get: where all fields are of their
    documented types, each ``result`` holds ``TypedResult`` instead of dicts.

    Raises:
        Unreadable: as ``read_envelope``.
    """
    try:
        # What has no name here is passed over, however deep it is.
        reply = None if is_too_deep(body) else _typed.decode(body)
    except (ValueError, ArithmeticError, RecursionError):
        reply = None
    if reply is None or not _FIRST_CODE <= reply.status_code < _CODES_END:
        return read_envelope(body, mend=True)
    return Envelope(
        code=reply.status_code,
        message=words_of(reply.status_message),
        cost_nanousd=money_of(reply.cost),
        entries=tuple([_typed_entry(task) for task in reply.tasks or ()]),
    )


def _typed_entry(task: _TypedTask) -> Entry:
    return Entry(
        id=id_of(task.id),
        code=count_of(task.status_code),
        message=words_of(task.status_message),
        cost_nanousd=money_of(task.cost),
        asked_id=text_of(task.path[-1]) if task.path else None,
        tag=task.data.tag if task.data else None,
        result=tuple(task.result or ()),
    )


def _entry(task: object) -> Entry:
    fields = task if isinstance(task, dict) else {}
    path = list_of(fields.get("path"))
    data = fields.get("data")
    return Entry(
        id=id_of(fields.get("id")),
        code=count_of(fields.get("status_code")),
        message=words_of(fields.get("status_message")),
        cost_nanousd=money_of(fields.get("cost")),
        asked_id=text_of(path[-1]) if path else None,
        tag=text_of(data.get("tag")) if isinstance(data, dict) else None,
        result=tuple(list_of(fields.get("result"))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A task of the account that is finished and not yet collected."""

    id: RemoteId
    tag: str | None


def ready_rows(envelope: Envelope) -> list[Ready]:
    """The ids on a ready list; only id and tag are read, a row without an id is left out."""
    rows = [row for entry in envelope.entries for row in entry.result if isinstance(row, dict)]
    return [
        Ready(id=name, tag=text_of(row.get("tag")))
        for row in rows
        if (name := id_of(row.get("id"))) is not None
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A task that the account's listing shows (API.md §7); None for whatever it does not say."""

    id: RemoteId
    url: str | None
    """The address it was posted to."""
    described: bool
    """Whether the row carries the parameters of the post at all."""
    tag: str | None
    prompt: str | None
    cost_nanousd: int | None
    posted_at: datetime | None
    status: str
    """The API's words."""
    model: str | None = None
    request: str | None = None
    """The digest of what was asked (``parameters.request_digest``), where there is a tag."""
    done_at: datetime | None = None
    """None while it runs."""

    @property
    def live(self) -> bool:
        """Whether it was a Live call: nothing can be fetched under its id (API.md §3)."""
        return self.url is not None and self.url.rstrip("/").endswith("/live")

    @property
    def failed(self) -> bool:
        """Whether it shows that the task has ended, and not well."""
        return self.done_at is not None and self.status.rstrip(".").lower() not in _NO_FAILURE


_NO_FAILURE: Final = frozenset({"", "ok", "20000"})
"""How the listing may word an answer; docs call ``status`` a message, others have seen a code."""


def listed_rows(envelope: Envelope) -> list[Listed]:
    """The rows of a listing.

    Raises:
        Unreadable: a row has no id: what else the listing shows cannot be counted on.
    """
    return [_listed(row) for entry in envelope.entries for row in entry.result]


def _listed(row: object) -> Listed:
    fields = row if isinstance(row, dict) else {}
    name = id_of(fields.get("id"))
    if name is None:
        raise Unreadable("a row of the listing has no id")
    metadata = fields.get("metadata")
    described = isinstance(metadata, dict) and bool(metadata)
    tag = text_of(metadata.get("tag")) if isinstance(metadata, dict) else None
    return Listed(
        id=name,
        url=text_of(fields.get("url")),
        described=described,
        tag=tag,
        prompt=text_of(metadata.get("user_prompt")) if isinstance(metadata, dict) else None,
        cost_nanousd=money_of(fields.get("cost")),
        posted_at=moment_of(fields.get("datetime_posted")),
        status=words_of(fields.get("status")),
        model=text_of(metadata.get("model_name")) if isinstance(metadata, dict) else None,
        request=request_digest(metadata) if isinstance(metadata, dict) and tag else None,
        done_at=moment_of(fields.get("datetime_done")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as the API lists it; None for whatever it does not say (API.md §9)."""

    name: str
    reasoning: bool | None
    web_search: bool | None
    standard: bool | None
    """Whether it can be asked by task_post."""


def model_rows(envelope: Envelope) -> list[Model]:
    """The models of one provider, in the API's order; a row without a name is left out."""
    rows = [row for entry in envelope.entries for row in entry.result if isinstance(row, dict)]
    return [
        Model(
            name=name,
            reasoning=flag_of(row.get("reasoning")),
            web_search=flag_of(row.get("web_search_supported")),
            standard=flag_of(row.get("task_post_supported")),
        )
        for row in rows
        if (name := words_of(row.get("model_name")))
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountData:
    """What the API says about the account; None for whatever it does not say."""

    login: str | None
    balance_nanousd: int | None
    """May be negative: then answers are withheld until a top-up (API.md §5)."""
    calls_per_minute: int | None
    """The lowest of the limits that bind posting and fetching; None if none is stated."""
    task_price_nanousd: int | None
    """The base price of a Standard task."""


def account_data(envelope: Envelope) -> AccountData:
    """The account in a reply to user_data."""
    user = envelope.entries[0].result[0] if envelope.entries and envelope.entries[0].result else {}
    minute = _at(user, "rates", "limits", "minute")
    calls = _at(minute, "ai_optimization", "llm_responses")
    limits = (
        _at(minute, "total"),
        _at(minute, "total_ai_optimization"),
        _at(calls, "task_post"),
        _at(calls, "task_get"),
    )
    stated = [limit for value in limits if (limit := count_of(value))]
    price = _at(user, "price", "ai_optimization", "llm_responses", "task_post", "priority_normal")
    prices = [money_of(_at(row, "cost")) for row in list_of(price)]
    return AccountData(
        login=text_of(_at(user, "login")),
        balance_nanousd=money_of(_at(user, "money", "balance"), negative=True),
        calls_per_minute=min(stated, default=None),
        task_price_nanousd=next((price for price in prices if price is not None), None),
    )


def _at(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value

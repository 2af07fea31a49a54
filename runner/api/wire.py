"""What the API's replies hold, and the only place that knows it (API.md §4; samples in
``tests/samples``). What goes out: ``requests.py``.

    reply ── status_code, status_message, cost
          └─ tasks[] ── id, status_code, status_message, cost, path, data.tag
                     └─ result[] ── an answer | ids that are ready | the account

A field that is missing or of a wrong type reads as None, so that one odd field never costs an
answer; fields and item types that we have no name for stay in the raw reply, which is kept.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

from runner.api.jsontext import Unreadable, decode, decode_mended
from runner.money import NANOS_PER_DOLLAR, nanos
from runner.task import Answer, Citation, RemoteId

_MAX_ID: Final = 200
_MAX_WORDS: Final = 500
_MAX_COUNT: Final = 2**63 - 1
# Two thousand times the dearest answer on record (API.md §5). A run adds its prices up in 64 bits:
# a few absurd ones would overflow the sum, and no answer could be booked any more.
_MAX_PRICE: Final = 1_000 * NANOS_PER_DOLLAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
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
    code = _count(reply.get("status_code"))
    if code is None or not 10_000 <= code < 70_000:
        raise Unreadable("no status_code of the API's")
    tasks = reply.get("tasks")
    if tasks is not None and not isinstance(tasks, list):
        raise Unreadable("tasks is no list")
    return Envelope(
        code=code,
        message=_words(reply.get("status_message")),
        cost_nanousd=_money(reply.get("cost")),
        entries=tuple(_entry(task) for task in tasks or ()),
    )


def _entry(task: object) -> Entry:
    fields = task if isinstance(task, dict) else {}
    path = _list(fields.get("path"))
    data = fields.get("data")
    return Entry(
        id=_remote_id(fields.get("id")),
        code=_count(fields.get("status_code")),
        message=_words(fields.get("status_message")),
        cost_nanousd=_money(fields.get("cost")),
        asked_id=_text(path[-1]) if path else None,
        tag=_text(data.get("tag")) if isinstance(data, dict) else None,
        result=tuple(_list(fields.get("result"))),
    )


def parse_answer(result_raw: bytes) -> Answer:
    """The answer in *result_raw*, one element of ``result`` as JSON.

    Raises:
        Unreadable: no JSON object, or one without a list of items.
    """
    return answer_of(decode_mended(result_raw))


def answer_of(result: object) -> Answer:
    """The answer in one decoded element of ``result``.

    Sections are fragments cut at citations: their texts are joined as they stand (API.md §4).
    A price that is missing, negative or no number reads as 0; ``states_price`` tells.

    Raises:
        Unreadable: no object, or one without a list of items.
    """
    if not isinstance(result, dict):
        raise Unreadable("the result is no object")
    if not isinstance(result.get("items"), list):
        raise Unreadable("the result has no list of items")
    messages = list(_sections(result, "message"))
    reasoning = [text for section in _sections(result, "reasoning") if (text := _section(section))]
    queries = result.get("fan_out_queries")
    return Answer(
        text="".join(_section(section) for section in messages),
        reasoning="\n\n".join(reasoning) or None,
        model_name=_text(result.get("model_name")),
        input_tokens=_count(result.get("input_tokens")),
        output_tokens=_count(result.get("output_tokens")),
        reasoning_tokens=_count(result.get("reasoning_tokens")),
        web_search=_flag(result.get("web_search")),
        money_spent_nanousd=_money(result.get("money_spent")) or 0,
        answered_at=_moment(result.get("datetime")),
        citations=tuple(_citations(messages)),
        fan_out_queries=(
            tuple(query for query in queries if isinstance(query, str))
            if isinstance(queries, list)
            else None
        ),
    )


def states_price(result: object) -> bool:
    """Whether one decoded element of ``result`` says what the model charged."""
    return isinstance(result, dict) and _money(result.get("money_spent")) is not None


def _sections(result: Mapping[str, object], kind: str) -> Iterator[Mapping[str, object]]:
    """The sections of all items of one type, in order. Other types are for later versions."""
    for item in _list(result.get("items")):
        if isinstance(item, dict) and item.get("type") == kind:
            for section in _list(item.get("sections")):
                if isinstance(section, dict):
                    yield section


def _section(section: Mapping[str, object]) -> str:
    return _text(section.get("text")) or ""


_NAMED: Final = frozenset({"url", "title", "text", "start_index", "end_index"})


def _citations(sections: Iterable[Mapping[str, object]]) -> Iterator[Citation]:
    for section in sections:
        for note in _list(section.get("annotations")):
            if isinstance(note, dict):
                yield Citation(
                    url=_text(note.get("url")),
                    title=_text(note.get("title")),
                    text=_text(note.get("text")),
                    start_index=_count(note.get("start_index")),
                    end_index=_count(note.get("end_index")),
                    extra={k: _plain(note[k]) for k in note if k not in _NAMED},
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
        Ready(id=name, tag=_text(row.get("tag")))
        for row in rows
        if (name := _remote_id(row.get("id"))) is not None
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

    @property
    def live(self) -> bool:
        """Whether it was a Live call: nothing can be fetched under its id (API.md §3)."""
        return self.url is not None and self.url.rstrip("/").endswith("/live")


def listed_rows(envelope: Envelope) -> list[Listed]:
    """The rows of a listing.

    Raises:
        Unreadable: a row has no id: what else the listing shows cannot be counted on.
    """
    return [_listed(row) for entry in envelope.entries for row in entry.result]


def _listed(row: object) -> Listed:
    fields = row if isinstance(row, dict) else {}
    name = _remote_id(fields.get("id"))
    if name is None:
        raise Unreadable("a row of the listing has no id")
    metadata = fields.get("metadata")
    described = isinstance(metadata, dict) and bool(metadata)
    return Listed(
        id=name,
        url=_text(fields.get("url")),
        described=described,
        tag=_text(metadata.get("tag")) if isinstance(metadata, dict) else None,
        prompt=_text(metadata.get("user_prompt")) if isinstance(metadata, dict) else None,
        cost_nanousd=_money(fields.get("cost")),
        posted_at=_moment(fields.get("datetime_posted")),
        status=_words(fields.get("status")),
        model=_text(metadata.get("model_name")) if isinstance(metadata, dict) else None,
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
            reasoning=_flag(row.get("reasoning")),
            web_search=_flag(row.get("web_search_supported")),
            standard=_flag(row.get("task_post_supported")),
        )
        for row in rows
        if (name := _words(row.get("model_name")))
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
    stated = [limit for value in limits if (limit := _count(value))]
    price = _at(user, "price", "ai_optimization", "llm_responses", "task_post", "priority_normal")
    prices = [_money(_at(row, "cost")) for row in _list(price)]
    return AccountData(
        login=_text(_at(user, "login")),
        balance_nanousd=_money(_at(user, "money", "balance"), negative=True),
        calls_per_minute=min(stated, default=None),
        task_price_nanousd=next((price for price in prices if price is not None), None),
    )


def _at(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _count(value: object) -> int | None:
    """A whole number from 0 that fits 64 bits; ``12.0`` is one, True is none."""
    if isinstance(value, Decimal) and 0 <= value < _MAX_COUNT and value == int(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_COUNT:
        return value
    return None


def _money(value: object, *, negative: bool = False) -> int | None:
    """Nano-dollars; None for what is no number, too large for any price, or negative."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    try:
        amount = nanos(Decimal(value)) if value else 0
    except (ValueError, ArithmeticError):
        return None
    if negative:
        return amount
    return amount if 0 <= amount <= _MAX_PRICE else None


def _remote_id(value: object) -> RemoteId | None:
    """An id that can stand in a path and in a log line; any other is as good as none."""
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_ID:
        return None
    if not value.isprintable() or " " in value or "\ufffd" in value or not value.strip("."):
        return None
    return RemoteId(value)


def _words(value: object) -> str:
    """The API's message, fit for a terminal: one line without control characters."""
    text = value[:_MAX_WORDS] if isinstance(value, str) else ""
    fit = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    return fit.strip()


def _plain(value: object) -> object:
    """*value* without ``Decimal``: for fields we have no name for, near enough is enough."""
    if isinstance(value, Decimal):
        return float(value) if abs(value.adjusted()) < 300 else str(value)
    if isinstance(value, list):
        return [_plain(element) for element in value]
    if isinstance(value, dict):
        return {name: _plain(element) for name, element in value.items()}
    return value


_MOMENT: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2})[:-]([0-9]{2})[:-]([0-9]{2})"
    r"(?: ?(?:Z|([+-])([0-9]{2}):?([0-9]{2})))?"
)


def _moment(value: object) -> datetime | None:
    """``2025-07-24 19:39:46 +00:00``; the documentation's text has dashes in the time as well."""
    match = _MOMENT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    parts = [int(part) for part in match.groups()[:6]]
    sign, hours, minutes = match.groups()[6:]
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        return datetime(
            parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], tzinfo=zone
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None

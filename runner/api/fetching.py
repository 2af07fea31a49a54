"""What a reply to task_get says about the task that was asked for. Pure.

Nothing is attached to a task unless the reply is about it: one of its entries bears the id that was
asked for (as its own, or at the end of its path: the vendor's Gemini example has two different
ones there, API.md §4) or the tag that the task was posted under. A tag of runner's that is another
attempt's goes before the id, which a person may have given (`resolve --adopt`).
"""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from runner.answer import Answer
from runner.api.answers import answer_of, states_price
from runner.api.errors import ApiError, Block, MoneyBlocked, ProtocolFault, about_code
from runner.api.jsontext import Unreadable
from runner.api.replies import Reply, complaint, reply_of
from runner.api.status import AtGet, at_get, lookup
from runner.api.wire import Entry
from runner.task import RemoteId, Tag

MOST_KEPT_UNREAD: Final = 256 * 1024
"""So much of a reply about a task that cannot be read is kept for a person to look at."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The task is done and its result is here."""

    remote_id: RemoteId
    """The id that was asked for."""
    tag: str | None
    """The tag in the reply, if it has one."""
    answer: Answer | None
    """None if the result cannot be read as an answer; ``parse_error`` then says why."""
    parse_error: str | None
    cost_nanousd: int | None
    """What the reply states as the task's cost; both vendor examples say 0 (API.md §5 Cost)."""
    price_stated: bool
    """Whether the result says what the model charged; if not, its ``money_spent`` reads as 0."""
    raw: bytes
    """The whole reply as it came, decompressed."""

    def __repr__(self) -> str:
        return f"Finished({self.remote_id}, {self.answer or self.parse_error!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Not finished yet."""

    code: int
    tag: str | None = None
    """As in ``Finished``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailed:
    """The API took the task and reports that it failed."""

    code: int
    message: str
    retryable: bool
    """Whether a new attempt may be made by itself (DESIGN.md §4)."""
    may_pass: bool = False
    """Whether the code may be about this moment of the API rather than about the task: its answer
    may be there all the while, and paid. Believed only once it was said for long."""
    cost_nanousd: int | None
    tag: str | None = None
    """As in ``Finished``."""
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """The API does not know the id, or not for this account and path. Money may still be out."""

    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """The result is past the API's 30 days."""

    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """No result while the account's money is used up; the task itself has not failed."""

    block: Block
    """BALANCE or DAILY_CAP."""
    code: int | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """A code that says nothing we know of: no answer, no failure. Keep asking."""

    code: int
    message: str
    raw: bytes = field(repr=False)


Fetched = Finished | Running | TaskFailed | Gone | Expired | Withheld | Unclear


def read_fetched(reply: Reply, remote_id: str, *, tag: str | None, bare_url: bool) -> Fetched:
    """What *reply* says about the task asked for under *remote_id* and posted under *tag*.

    Raises:
        ProtocolFault: the reply cannot be read, and its ``raw`` has the beginning of it; or it is
            no task_get reply, or about another task.
        ApiError: of the class that fits, if the reply is about the call or the account.
    """
    try:
        return _read_about(reply, remote_id, tag, bare_url)
    except ProtocolFault as fault:
        if reply.envelope is None:
            fault.raw = reply.body[:MOST_KEPT_UNREAD]
        raise


def read_delivered(body: bytes, remote_id: str, *, tag: str) -> Finished | TaskFailed | None:
    """What the postback *body*, decompressed, says about the task posted under *tag*.

    None: nothing that ends it. It is to be asked for, as if nobody had come.

    Raises:
        ProtocolFault: *body* cannot be read, or is about another task.
    """
    try:
        fetched = read_fetched(
            reply_of(200, {}, body, of_answers=True), remote_id, tag=tag, bare_url=False
        )
    except ProtocolFault:
        raise
    except ApiError:
        return None
    # The API's own trouble is nothing to note: the task is asked for, and it may have passed.
    if isinstance(fetched, Finished) or (isinstance(fetched, TaskFailed) and not fetched.may_pass):
        return fetched
    return None


def _read_about(reply: Reply, remote_id: str, tag: str | None, bare_url: bool) -> Fetched:
    envelope = reply.envelope
    if envelope is not None and reply.http_status in {200, 404}:
        if envelope.entries:
            entry = _entry_about(envelope.entries, remote_id, tag)
            return _judge(entry, reply.body, remote_id, bare_url)
        if at_get(envelope.code) is AtGet.RUNNING:
            return Running(code=envelope.code)
        if at_get(envelope.code) is AtGet.GONE:
            return Gone(code=envelope.code, message=envelope.message)
        if at_get(envelope.code) is AtGet.EXPIRED:
            return Expired(code=envelope.code, message=envelope.message)
    trouble = complaint(reply, bare_url=bare_url)
    if isinstance(trouble, MoneyBlocked):
        message = envelope.message if envelope else trouble.what
        return Withheld(block=trouble.block, code=trouble.code, message=message)
    raise trouble or ProtocolFault("the API's reply about a task lists none")


def _entry_about(entries: tuple[Entry, ...], remote_id: str, tag: str | None) -> Entry:
    """The entry that is about the task asked for."""
    for entry in entries:
        if tag is not None and entry.tag == tag:
            return entry
        contradicted = tag is not None and Tag.parse(entry.tag) is not None
        if remote_id in {entry.id, entry.asked_id} and not contradicted:
            return entry
    only = entries[0]
    nameless = only.id is None and only.asked_id is None and only.tag is None
    # Where no name at all is given nothing contradicts, and these two end nothing.
    if len(entries) == 1 and nameless and at_get(only.code) in {AtGet.RUNNING, AtGet.GONE}:
        return only
    # Codes about the call or the account need no name either.
    if at_get(only.code) in {AtGet.COMPLAINT, AtGet.WITHHELD}:
        return only
    raise ProtocolFault(
        f"the API's reply to a question for task {remote_id} is about another task",
        why="it bears neither its id nor its tag, or another's tag, so nothing of it is kept",
    )


def _judge(entry: Entry, raw: bytes, remote_id: str, bare_url: bool) -> Fetched:
    status = lookup(entry.code)
    message = entry.message or status.meaning
    code = status.code
    verdict = at_get(code)
    if code is None:
        raise ProtocolFault("the API's reply about a task has no status code")
    if verdict is AtGet.ANSWERED:
        # Done without a result means that it is still being written (API.md §4).
        return _finished(entry, raw, remote_id) if entry.result else _running(entry, code)
    if verdict is AtGet.RUNNING:
        return _running(entry, code)
    if verdict in {AtGet.FAILED, AtGet.FAILED_RETRYABLE, AtGet.FAILED_PERHAPS}:
        return TaskFailed(
            code=code,
            message=message,
            retryable=verdict is not AtGet.FAILED,
            may_pass=verdict is AtGet.FAILED_PERHAPS,
            cost_nanousd=entry.cost_nanousd,
            tag=entry.tag,
            raw=raw,
        )
    if verdict is AtGet.GONE:
        return Gone(code=code, message=message)
    if verdict is AtGet.EXPIRED:
        return Expired(code=code, message=message)
    if verdict is AtGet.UNCLEAR:
        return Unclear(code=code, message=message, raw=raw)
    trouble: ApiError = about_code(status, entry.message, bare_url=bare_url)
    if isinstance(trouble, MoneyBlocked):
        return Withheld(block=trouble.block, code=code, message=message)
    raise trouble


def _running(entry: Entry, code: int) -> Running:
    return Running(code=code, tag=entry.tag)


def _finished(entry: Entry, raw: bytes, remote_id: str) -> Finished:
    result = entry.result[0]
    answer, parse_error = None, None
    try:
        answer = answer_of(result)
    except Unreadable as error:
        parse_error = str(error)
    return Finished(
        remote_id=RemoteId(remote_id),
        tag=entry.tag,
        answer=answer,
        parse_error=parse_error,
        cost_nanousd=entry.cost_nanousd,
        price_stated=states_price(result),
        raw=raw,
    )

"""What became of the task of one Live call: the one place that decides whether its money is out.

    not sent ....... no byte left .......................... not taken
    rejected ....... refused for the account or the pace .... not taken
    refused ........ refused for what it asks ............... refused
    answered ....... 20000 and a result ..................... completed, at the cost reported
    failed ......... another code about the task ............ failed at the API
    anything else .. timeout, cut, garbage, 50401, 3xx, 5xx .. answer lost, perhaps paid

Live results are not stored (API.md §3): what is not in this reply never comes. A call carries one
task, so the top level's code is about that task too, and a reply without a tag is ours, since
HTTP pairs it with our request and the echo is known to leave fields out (API.md §4). A tag that was
not sent proves the reply somebody else's. Rules: DESIGN.md §4; gateways: API.md §12. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from runner.answer import Answer
from runner.api import aisa
from runner.api.answers import answer_of, states_price
from runner.api.errors import ApiError, RateLimited, about_code
from runner.api.jsontext import Unreadable
from runner.api.posting import NOT_SENT_WAIT_S
from runner.api.replies import READABLE_HTTP, NoReply, Reply, complaint
from runner.api.status import (
    DUPLICATE,
    AtCall,
    AtLive,
    StatusClass,
    at_call,
    at_live,
    binds_account,
    lookup,
    wait_s,
)
from runner.api.wire import Entry
from runner.money import BASE_PRICE_LIVE, Evidence, final_charge
from runner.task import Gateway, NotTaken, Refused, RemoteId


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The answer is here, and this is its only copy."""

    tag: str
    """That of the attempt."""
    remote_id: RemoteId | None
    """The API's name for the task, for its support; nothing can be fetched by it."""
    answer: Answer | None
    """None if the result cannot be read as an answer; ``parse_error`` then says why."""
    parse_error: str | None
    cost_nanousd: int | None
    """What the reply states as the task's cost, base price included."""
    price_stated: bool
    """Whether the result says what the model charged; if not, its ``money_spent`` reads as 0."""
    raw: bytes = field(repr=False)
    """The whole reply as it came, decompressed."""

    def charge(self) -> tuple[int, Evidence]:
        """What it cost in nano-dollars, and how we know: reported, where a cost is stated."""
        spent = self.answer.money_spent_nanousd if self.answer else 0
        return final_charge(cost=self.cost_nanousd, money_spent=spent, base_price=BASE_PRICE_LIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFailed:
    """The API took the task and reports that it failed."""

    tag: str
    remote_id: RemoteId | None
    code: int
    message: str
    retryable: bool
    """Whether a new attempt may be made by itself: a code that allows it, and a stated cost of 0,
    the only sign that nothing was charged (API.md §5)."""
    cost_nanousd: int | None
    """None: not stated, so the reserve stays at risk."""
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLost:
    """Perhaps answered, perhaps paid; no answer will come."""

    tag: str
    why: str
    code: int | None = None
    cost_nanousd: int | None = None
    """What the reply states in spite of that; None: unknown, so the reserve stays at risk."""
    raw: bytes = field(default=b"", repr=False)
    """What came, if a whole reply did."""


LiveOutcome = Completed | RemoteFailed | NotTaken | Refused | AnswerLost
"""What became of the attempt of a Live call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveReply:
    """What became of one Live call."""

    outcome: LiveOutcome
    trouble: ApiError | None = None
    """What it means for the account or the connection, to be acted on once the outcome is saved:
    pause (``AccountBlocked``), slow down (``RateLimited``), stop (``WrongAddress``,
    ``CallRejected``), or go on later (the rest). None: nothing."""
    sent: bool = True
    """Whether a byte may have left."""
    code: int | None = None
    """The API's code for the task, else that over the call."""

    @property
    def crowded(self) -> bool:
        """Whether too many calls were open at once (40209): fewer, rather than slower."""
        trouble = self.trouble
        code = trouble.code if isinstance(trouble, RateLimited) else None
        return lookup(code).kind is StatusClass.CONCURRENCY


def without_reply(tag: str, failure: NoReply) -> LiveReply:
    """The outcome of a Live call that brought no complete reply."""
    outcome: LiveOutcome = AnswerLost(tag=tag, why=failure.why)
    if not failure.may_have_left:
        outcome = NotTaken(tag=tag, why=f"not sent: {failure.why}", wait_s=NOT_SENT_WAIT_S)
    return LiveReply(outcome=outcome, sent=failure.may_have_left, trouble=failure.complaint())


def sort_live(
    tag: str, reply: Reply, *, gateway: Gateway, now: datetime, bare_url: bool
) -> LiveReply:
    """The outcome of a Live call that brought *reply*.

    *now* (UTC) is the API's time, for waits until its next hour or day.
    """
    envelope = reply.envelope
    entry: Entry | None = None
    outcome: LiveOutcome
    trouble = _trouble_over(reply, gateway, bare_url)
    if envelope is None or reply.http_status not in READABLE_HTTP:
        outcome = _unexplained(tag, reply, gateway, trouble)
    elif not envelope.entries:
        outcome = _as_a_whole(tag, reply, now)
        if isinstance(outcome, Refused | RemoteFailed):
            trouble = None  # It is about this task alone.
    else:
        entry = _ours(tag, envelope.entries)
        if entry is None:
            why = "the reply is about another task, or contradicts itself"
            outcome = AnswerLost(tag=tag, why=why, code=envelope.code, raw=reply.body)
        else:
            outcome = _judge(tag, entry, reply, now)
            trouble = trouble or _trouble_of(entry, gateway, bare_url)
    return LiveReply(
        outcome=outcome,
        trouble=trouble,
        code=entry.code if entry is not None else reply.code,
    )


def _ours(tag: str, entries: Sequence[Entry]) -> Entry | None:
    """The entry about our task: the one that bears its tag, or the only one if that bears none."""
    bearing = [entry for entry in entries if entry.tag == tag]
    if bearing:
        return bearing[0] if all(entry == bearing[0] for entry in bearing) else None
    return entries[0] if len(entries) == 1 and entries[0].tag is None else None


_FAILED_AT_CALL: Final = frozenset({StatusClass.TASK_FAILED, StatusClass.TASK_FAILED_RETRYABLE})


def _as_a_whole(tag: str, reply: Reply, now: datetime) -> LiveOutcome:
    """The outcome by the code over the call, when no task is listed."""
    envelope = reply.envelope
    assert envelope is not None, "the caller has looked"
    status = lookup(envelope.code)
    entry = Entry(
        id=None,
        code=envelope.code,
        message=envelope.message,
        cost_nanousd=envelope.cost_nanousd,
        asked_id=None,
        tag=None,
        result=(),
    )
    about_task = status.kind is StatusClass.REFUSED_TASK or status.kind in _FAILED_AT_CALL
    if about_task and reply.http_status == 200:
        return _judge(tag, entry, reply, now)
    says = f"HTTP {reply.http_status}, {status.code}: {envelope.message or status.meaning}"
    verdict = at_call(status.code, http_status=reply.http_status)
    # A rejection that charges contradicts itself.
    if verdict is AtCall.DOUBTFUL or (envelope.cost_nanousd or 0) > 0:
        return _lost(tag, entry, reply, f"no task listed; {says}")
    kind = StatusClass.OUR_BUG if verdict is AtCall.MISDIRECTED else status.kind
    return NotTaken(tag=tag, why=says, wait_s=wait_s(kind, now), code=status.code)


def _judge(tag: str, entry: Entry, reply: Reply, now: datetime) -> LiveOutcome:
    """The outcome by the task's own code."""
    status = lookup(entry.code)
    message = entry.message or status.meaning
    says = f"{status.code}: {message}"
    cost = _cost(entry, reply)
    verdict = at_live(entry.code, cost_nanousd=cost)
    if verdict is AtLive.ANSWERED and entry.result:
        return _completed(tag, entry, reply)
    if verdict is AtLive.FAILED and entry.code is not None:
        may_pass = status.kind in {StatusClass.TASK_FAILED_RETRYABLE, StatusClass.SERVER}
        return RemoteFailed(
            tag=tag,
            remote_id=entry.id,
            code=entry.code,
            message=message,
            retryable=may_pass and cost == 0,
            cost_nanousd=cost,
            raw=reply.body,
        )
    if verdict is AtLive.REFUSED and entry.code is not None:
        return Refused(tag=tag, code=entry.code, message=message)
    if verdict is AtLive.NOT_TAKEN:
        return NotTaken(tag=tag, why=says, wait_s=wait_s(status.kind, now), code=entry.code)
    if verdict is AtLive.ANSWERED:
        says = f"{says}, without an answer"
    return _lost(tag, entry, reply, says)


def _completed(tag: str, entry: Entry, reply: Reply) -> Completed:
    result = entry.result[0]
    answer, parse_error = None, None
    try:
        answer = answer_of(result)
    except Unreadable as error:
        parse_error = str(error)
    return Completed(
        tag=tag,
        remote_id=entry.id,
        answer=answer,
        parse_error=parse_error,
        cost_nanousd=_cost(entry, reply),
        price_stated=states_price(result),
        raw=reply.body,
    )


def _lost(tag: str, entry: Entry, reply: Reply, why: str) -> AnswerLost:
    # A cost of 0 beside an error is what every error shows, and no proof that nothing was charged.
    cost = _cost(entry, reply) or None
    return AnswerLost(tag=tag, why=why, code=entry.code, cost_nanousd=cost, raw=reply.body)


def _cost(entry: Entry, reply: Reply) -> int | None:
    """The cost stated for the only task; the call's is the same where the task states none."""
    if entry.cost_nanousd is None and reply.envelope is not None:
        return reply.envelope.cost_nanousd
    return entry.cost_nanousd


def _unexplained(tag: str, reply: Reply, gateway: Gateway, trouble: ApiError | None) -> LiveOutcome:
    """The outcome of a reply that is not in the API's form."""
    status = reply.http_status
    if gateway is Gateway.AISA and reply.envelope is None:
        error = aisa.read_error(reply.body)
        if error is not None and aisa.certainly_not_taken(status):
            if aisa.is_refusal(error, status):
                return Refused(tag=tag, code=status, message=str(error))
            why = f"AIsa says HTTP {status}: {error}"
            return NotTaken(tag=tag, why=why, wait_s=aisa.wait_s(reply, trouble), code=status)
    elif reply.envelope is None and status == 404:
        return NotTaken(tag=tag, why="HTTP 404: no such address", wait_s=0)
    why = f"HTTP {status}, body unreadable: {reply.fault}"
    if reply.envelope is not None:
        why = f"HTTP {status}, {reply.envelope.code}: {reply.envelope.message}"
    return AnswerLost(tag=tag, why=why, code=reply.code, raw=reply.body)


def _trouble_over(reply: Reply, gateway: Gateway, bare_url: bool) -> ApiError | None:
    """What the reply as a whole says about the account or the connection."""
    if lookup(reply.code).kind in DUPLICATE:
        return None  # It is about this task alone.
    if gateway is Gateway.AISA:
        return aisa.complaint_of(reply)
    return complaint(reply, bare_url=bare_url)


def _trouble_of(entry: Entry, gateway: Gateway, bare_url: bool) -> ApiError | None:
    """What the task's own code says about the account."""
    if not binds_account(entry.code):
        return None
    behind = aisa.about_task_behind(entry.code) if gateway is Gateway.AISA else None
    return behind or about_code(lookup(entry.code), entry.message, bare_url=bare_url)

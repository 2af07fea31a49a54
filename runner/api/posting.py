"""What became of the tasks of one task_post: the one place that decides whether money is out.

    not sent ....... no byte left ............................ each task not taken
    rejected ....... the whole call refused, nothing created .. each task not taken
    one refused .... for a field of one task, none listed ..... a lone task refused, several lost
    answered ....... tasks listed: matched by their tags, never by position
    anything else .. perhaps taken ............................ each task lost

Each attempt gets exactly one outcome, whatever the reply holds; what the reply says about anything
else comes back as ``strangers``. Rules: DESIGN.md §4 step 5. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from runner.api.errors import ApiError, about_code
from runner.api.replies import READABLE_HTTP, NoReply, Reply, complaint
from runner.api.status import (
    DUPLICATE,
    AtCall,
    AtPost,
    StatusClass,
    at_call,
    at_post,
    lookup,
    wait_s,
)
from runner.api.wire import Entry
from runner.task import Accepted, Lost, NotTaken, Outcome, Refused, RemoteId

NOT_SENT_WAIT_S: Final = 5.0
"""The least wait where nothing was sent; the caller's own backoff may be longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """Something in a reply that belongs to none of the attempts sent: worth an incident."""

    why: str
    tag: str | None
    remote_id: RemoteId | None
    code: int | None
    cost_nanousd: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostReply:
    """What became of one task_post."""

    outcomes: tuple[Outcome, ...]
    """One for each attempt, in the order sent."""
    strangers: tuple[Stranger, ...] = ()
    trouble: ApiError | None = None
    """What it means for the account or the connection, to be acted on once the outcomes are saved:
    pause (``AccountBlocked``), slow down (``RateLimited``), stop (``WrongAddress``,
    ``CallRejected``), or go on later (the rest). None: nothing."""
    sent: bool = True
    """Whether a byte may have left."""
    code: int | None = None
    """The API's top-level code."""


def without_reply(tags: Sequence[str], failure: NoReply) -> PostReply:
    """The outcome of a task_post that brought no complete reply."""
    outcomes: tuple[Outcome, ...]
    if failure.may_have_left:
        outcomes = tuple(Lost(tag=tag, why=failure.why) for tag in tags)
    else:
        why = f"not sent: {failure.why}"
        outcomes = tuple(NotTaken(tag=tag, why=why, wait_s=NOT_SENT_WAIT_S) for tag in tags)
    return PostReply(outcomes=outcomes, sent=failure.may_have_left, trouble=failure.complaint())


def sort_reply(tags: Sequence[str], reply: Reply, *, now: datetime, bare_url: bool) -> PostReply:
    """The outcome of a task_post that brought *reply*.

    *now* (UTC) is the API's time, for waits until its next hour or day.
    """
    envelope = reply.envelope
    trouble = complaint(reply, bare_url=bare_url)
    if lookup(reply.code).kind in DUPLICATE or _one_refused(reply):
        trouble = None  # It is about these tasks alone; the account is free to post others.
    strangers: tuple[Stranger, ...] = ()
    outcomes: tuple[Outcome, ...]
    if envelope is None or reply.http_status not in READABLE_HTTP or not envelope.entries:
        outcomes = _as_a_whole(tags, reply, now)
    else:
        outcomes, strangers = _one_by_one(tags, envelope.entries, now)
        trouble = trouble or _trouble_inside(envelope.entries, bare_url)
    return PostReply(
        outcomes=outcomes,
        strangers=strangers,
        trouble=trouble,
        code=reply.code,
    )


def _one_refused(reply: Reply) -> bool:
    """Whether the call was refused for a field of one of its tasks, none of which is listed."""
    return (
        reply.envelope is not None
        and not reply.envelope.entries
        and at_call(reply.code, http_status=reply.http_status) is AtCall.ONE_REFUSED
    )


def _as_a_whole(tags: Sequence[str], reply: Reply, now: datetime) -> tuple[Outcome, ...]:
    """The outcome of every task alike, when none is listed."""
    envelope = reply.envelope
    if envelope is None:
        if reply.http_status == 404:
            why = "HTTP 404: no such address"
            return tuple(NotTaken(tag=tag, why=why, wait_s=0) for tag in tags)
        why = f"HTTP {reply.http_status}, body unreadable: {reply.fault}"
        return tuple(Lost(tag=tag, why=why) for tag in tags)
    status = lookup(envelope.code)
    says = f"HTTP {reply.http_status}, {status.code}: {envelope.message or status.meaning}"
    verdict = at_call(status.code, http_status=reply.http_status)
    # A rejection that charges contradicts itself.
    free = not envelope.cost_nanousd
    if verdict is AtCall.ONE_REFUSED and free and status.code is not None and len(tags) == 1:
        message = envelope.message or status.meaning
        return (Refused(tag=tags[0], code=status.code, message=message),)
    if verdict in {AtCall.DOUBTFUL, AtCall.ONE_REFUSED} or not free:
        # Tasks before the one at fault may have been created (API.md §2 does not tell).
        why, suspect = f"no task listed; {says}", verdict is AtCall.ONE_REFUSED
        return tuple(Lost(tag=tag, why=why, code=status.code, suspect=suspect) for tag in tags)
    kind = StatusClass.OUR_BUG if verdict is AtCall.MISDIRECTED else status.kind
    wait = wait_s(kind, now)
    return tuple(NotTaken(tag=tag, why=says, wait_s=wait, code=status.code) for tag in tags)


def _one_by_one(
    tags: Sequence[str], entries: Iterable[Entry], now: datetime
) -> tuple[tuple[Outcome, ...], tuple[Stranger, ...]]:
    """Each attempt's own outcome, and what fits none."""
    ours: dict[str, list[Entry]] = {tag: [] for tag in tags}
    strangers: list[Stranger] = []
    for entry in entries:
        found = ours.get(entry.tag) if entry.tag is not None else None
        if found is None:
            strangers.append(_stranger(entry, "a tag that was not sent" if entry.tag else "no tag"))
        elif entry not in found:
            found.append(entry)
    if not strangers and all(len(found) == 1 for found in ours.values()):
        # As nearly every reply is; what follows takes more than twice as long.
        receipts = [_receipt(entry) for (entry,) in ours.values()]
        if len(set(receipts)) == len(receipts) and None not in receipts:
            return tuple(
                Accepted(tag=tag, remote_id=name, cost_nanousd=entry.cost_nanousd)
                for (tag, (entry,)), name in zip(ours.items(), receipts, strict=True)
                if name is not None
            ), ()
    # One id under two tags: neither can be believed.
    owners = Counter(name for found in ours.values() for name in {_receipt(e) for e in found})
    shared = {name for name, count in owners.items() if name is not None and count > 1}
    # A second id under a tag may be that of a task whose own tag is missing.
    left_out = any(not found for found in ours.values())
    outcomes: list[Outcome] = []
    for tag, found in ours.items():
        outcome, extra = _settle(tag, found, shared, now, left_out=left_out)
        outcomes.append(outcome)
        strangers += extra
    return tuple(outcomes), tuple(strangers)


def _receipt(entry: Entry) -> RemoteId | None:
    """The id under which the API says it took the task."""
    verdict = at_post(entry.code, cost_nanousd=entry.cost_nanousd)
    return entry.id if verdict is AtPost.ACCEPTED else None


def _settle(
    tag: str, found: Sequence[Entry], shared: set[RemoteId], now: datetime, *, left_out: bool
) -> tuple[Outcome, list[Stranger]]:
    """One attempt's outcome from all that the reply says under its tag."""
    receipts = [(name, entry) for entry in found if (name := _receipt(entry)) is not None]
    if any(name in shared for name, _ in receipts):
        why = "the reply gives one id to several tasks"
        return Lost(tag=tag, why=why), [_stranger(entry, why) for _, entry in receipts]
    if left_out and len({name for name, _ in receipts}) > 1:
        why = "the reply gives it several ids and leaves out another task"
        return Lost(tag=tag, why=why), [_stranger(entry, why) for _, entry in receipts]
    if receipts:
        first, entry = receipts[0]
        outcome = Accepted(tag=tag, remote_id=first, cost_nanousd=entry.cost_nanousd)
        others = [entry for name, entry in receipts[1:] if name != first]
        return outcome, [_stranger(entry, "a second id for one task") for entry in others]
    outcomes = {_judge(tag, entry, now) for entry in found}
    if len(outcomes) == 1:
        return outcomes.pop(), []
    why = "the reply contradicts itself about this task" if outcomes else "the reply leaves it out"
    return Lost(tag=tag, why=why), []


def _judge(tag: str, entry: Entry, now: datetime) -> Outcome:
    """What one entry without a receipt says about its attempt."""
    status = lookup(entry.code)
    says = f"{status.code}: {entry.message or status.meaning}"
    verdict = at_post(entry.code, cost_nanousd=entry.cost_nanousd)
    if verdict is AtPost.REFUSED and entry.code is not None:
        return Refused(tag=tag, code=entry.code, message=entry.message or status.meaning)
    if verdict is AtPost.NOT_TAKEN:
        wait = wait_s(status.kind, now)
        return NotTaken(tag=tag, why=says, wait_s=wait, code=entry.code)
    if verdict is AtPost.ACCEPTED:
        says = f"{says}, without an id that can be used"
    return Lost(tag=tag, why=says, code=entry.code)


def _stranger(entry: Entry, why: str) -> Stranger:
    return Stranger(
        why=why,
        tag=entry.tag,
        remote_id=entry.id,
        code=entry.code,
        cost_nanousd=entry.cost_nanousd,
    )


_GRAVEST_FIRST: Final = (
    StatusClass.AUTH,
    StatusClass.ACCOUNT,
    StatusClass.IP,
    StatusClass.BALANCE,
    StatusClass.DAILY_CAP,
    StatusClass.OUR_BUG,
    StatusClass.WRONG_ADDRESS,
    StatusClass.GONE,
    StatusClass.EXPIRED,
    StatusClass.RATE,
    StatusClass.CONCURRENCY,
)


def _trouble_inside(entries: Iterable[Entry], bare_url: bool) -> ApiError | None:
    """What the tasks' own codes say about the account: the gravest of them."""
    found = {lookup(entry.code).kind: entry for entry in entries}
    for kind in _GRAVEST_FIRST:
        if entry := found.get(kind):
            return about_code(lookup(entry.code), entry.message, bare_url=bare_url)
    return None

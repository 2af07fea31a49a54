"""Every status code of the API in one table, and what each means in the places it can stand.

    reply to task_post ── top level ............ ``at_call``   was the call as a whole rejected?
                       └─ tasks[].status_code .. ``at_post``   was this task taken?
    reply to task_get ─── either level ......... ``at_get``    is it answered, running, failed?
    reply to a Live call ─ either level ........ ``at_live``   answered, failed, not taken, lost?

One code means different things there: 20100 is success for task_post and "not yet" for task_get.
A code that the table does not have is ``UNHEARD_OF`` and fails closed: after a post the task counts
as perhaps taken, when fetching it is neither answered nor failed. HTTP's own status is 200 for
nearly everything and is weighed where whole replies are read. Source: API.md §5. Pure.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class StatusClass(StrEnum):
    """What a code is about, as far as we act on it."""

    OK = "ok"
    CREATED = "created"
    IN_PROGRESS = "in_progress"
    REFUSED_TASK = "refused_task"
    """The request itself is at fault: sent again, it would be refused again."""
    NOT_CREATED_RESEND = "not_created_resend"
    """One task too many for its call; nothing wrong with it."""
    TASK_FAILED = "task_failed"
    TASK_FAILED_RETRYABLE = "task_failed_retryable"
    ELSEWHERE = "elsewhere"
    """The id belongs to another account or path."""
    GONE = "gone"
    EXPIRED = "expired"
    AUTH = "auth"
    ACCOUNT = "account"
    """The login is right, but the account may not do this."""
    IP = "ip"
    BALANCE = "balance"
    DAILY_CAP = "daily_cap"
    RATE = "rate"
    CONCURRENCY = "concurrency"
    DUPLICATE_HOUR = "duplicate_hour"
    DUPLICATE_DAY = "duplicate_day"
    WRONG_ADDRESS = "wrong_address"
    OUR_BUG = "our_bug"
    SERVER = "server"
    TIMEOUT_UNCERTAIN = "timeout_uncertain"
    """The API gave up waiting: outcome and charge are uncertain."""
    NOT_OURS = "not_ours"
    """A code of the vendor's crawler."""
    UNHEARD_OF = "unheard_of"


@dataclass(frozen=True, slots=True)
class Status:
    """One row of the table."""

    code: int | None
    """None if the reply had no code that can be read."""
    kind: StatusClass
    meaning: str
    """In our words; the API's own may change and are never parsed."""
    advice: str
    """What to do about it."""


_ROWS: Final = (
    Status(20000, StatusClass.OK, "done", "nothing to do"),
    Status(20100, StatusClass.CREATED, "task created", "fetch it later"),
    Status(40000, StatusClass.REFUSED_TASK, "one task per call here", "send it alone"),
    Status(40001, StatusClass.ELSEWHERE, "the id belongs to another client", "check the login"),
    Status(40002, StatusClass.ELSEWHERE, "the id belongs to another engine", "check its provider"),
    Status(40003, StatusClass.ELSEWHERE, "the id belongs to another type", "check its path"),
    Status(40004, StatusClass.ELSEWHERE, "the id belongs to another function", "check its path"),
    Status(40005, StatusClass.ELSEWHERE, "the id belongs to another device", "check its path"),
    Status(
        40006, StatusClass.NOT_CREATED_RESEND, "more than 100 tasks in a call", "post it in another"
    ),
    Status(40100, StatusClass.AUTH, "login or password refused", "check both at the API's site"),
    Status(40101, StatusClass.TASK_FAILED, "the model's provider failed", "retry it, at a charge"),
    Status(40102, StatusClass.TASK_FAILED, "no result", "retry it, at a charge"),
    Status(
        40103,
        StatusClass.TASK_FAILED_RETRYABLE,
        "the task failed while it was executed",
        "asked again by itself while tries are left",
    ),
    Status(
        40104, StatusClass.ACCOUNT, "the account is not verified", "verify it at the API's site"
    ),
    Status(40200, StatusClass.BALANCE, "payment required", "top up the balance"),
    Status(40201, StatusClass.ACCOUNT, "the account is blocked", "write to the API's support"),
    Status(40202, StatusClass.RATE, "too many calls in a minute", "slowed down by itself"),
    Status(
        40203,
        StatusClass.DAILY_CAP,
        "the account's daily cost limit is reached",
        "wait for 00:00 UTC, or raise it at the API's site",
    ),
    Status(40204, StatusClass.ACCOUNT, "the account has no access to this", "check its plan"),
    Status(
        40205,
        StatusClass.DUPLICATE_HOUR,
        "the account's limit of equal tasks in an hour",
        "posted again in the next hour",
    ),
    Status(
        40206,
        StatusClass.DUPLICATE_DAY,
        "the account's limit of equal tasks in a day",
        "posted again after 00:00 UTC",
    ),
    Status(
        40207,
        StatusClass.IP,
        "this machine's IP address is not on the account's list",
        "add it at the API's site",
    ),
    Status(40209, StatusClass.CONCURRENCY, "too many calls at once", "slowed down by itself"),
    Status(40210, StatusClass.BALANCE, "the balance does not suffice", "top up the balance"),
    Status(40400, StatusClass.WRONG_ADDRESS, "no such address", "check the base URL"),
    Status(40401, StatusClass.GONE, "the API knows no such task", "kept, and asked for again"),
    Status(40402, StatusClass.WRONG_ADDRESS, "the path is invalid", "check the base URL"),
    Status(
        40403,
        StatusClass.EXPIRED,
        "the result is past its 30 days",
        "asking again costs again: runner retry --pay-again",
    ),
    Status(
        40404,
        StatusClass.WRONG_ADDRESS,
        "the sandbox has no data for this",
        "use the API itself or --api sim",
    ),
    Status(40405, StatusClass.NOT_OURS, "a code of the crawler", "tell us"),
    Status(40406, StatusClass.NOT_OURS, "a code of the crawler", "tell us"),
    Status(40407, StatusClass.NOT_OURS, "a code of the crawler", "tell us"),
    Status(40408, StatusClass.NOT_OURS, "a code of the crawler", "tell us"),
    Status(40501, StatusClass.REFUSED_TASK, "a field is invalid", "correct it, then retry"),
    Status(40502, StatusClass.OUR_BUG, "the request was empty", "report it to us"),
    Status(40503, StatusClass.OUR_BUG, "the request was no valid JSON", "report it to us"),
    Status(40504, StatusClass.REFUSED_TASK, "a field is invalid", "correct it, then retry"),
    Status(40505, StatusClass.REFUSED_TASK, "an outdated location", "correct it, then retry"),
    Status(40506, StatusClass.REFUSED_TASK, "a field is unknown here", "remove it, then retry"),
    Status(40601, StatusClass.IN_PROGRESS, "handed to the model", "fetch it later"),
    Status(40602, StatusClass.IN_PROGRESS, "in the queue", "fetch it later"),
    Status(50000, StatusClass.SERVER, "internal error", "tried again later"),
    Status(50001, StatusClass.SERVER, "error while checking the balance", "tried again later"),
    Status(50100, StatusClass.SERVER, "not implemented", "choose another model or endpoint"),
    Status(50301, StatusClass.SERVER, "a third party is unavailable", "tried again later"),
    Status(50302, StatusClass.SERVER, "an internal part is unavailable", "tried again later"),
    Status(50303, StatusClass.SERVER, "an update is in progress", "tried again in some minutes"),
    Status(
        50304,
        StatusClass.SERVER,
        "temporarily unavailable",
        "if it stays so, write to the API's support",
    ),
    Status(
        50401, StatusClass.TIMEOUT_UNCERTAIN, "the API gave up waiting", "looked for by its tag"
    ),
    Status(50402, StatusClass.SERVER, "the target page is too slow", "tried again later"),
)

TABLE: Final[dict[int, Status]] = {row.code: row for row in _ROWS if row.code is not None}
"""Every code of API.md §5."""


def lookup(code: int | None) -> Status:
    """The row of *code*; for any other code, or none at all, one of class ``UNHEARD_OF``."""
    if code is None:
        return Status(None, StatusClass.UNHEARD_OF, "no status code", "kept and looked into")
    known = TABLE.get(code)
    return known or Status(code, StatusClass.UNHEARD_OF, "a code we do not know", "update runner")


class AtCall(StrEnum):
    """What a reply to task_post says by its top level, if it lists no tasks."""

    REJECTED = "rejected"
    """Nothing was created, because of the account."""
    MISDIRECTED = "misdirected"
    """Nothing was created: wrong base URL, or our bug. Stop."""
    ONE_REFUSED = "one_refused"
    """One of its tasks is at fault, and it is not said which."""
    DOUBTFUL = "doubtful"
    """Nothing can be concluded."""


class AtPost(StrEnum):
    """What became of one task of a task_post."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_TAKEN = "not_taken"
    LOST = "lost"


class AtLive(StrEnum):
    """What a reply to a Live call says about its only task."""

    ANSWERED = "answered"
    FAILED = "failed"
    """It ran and failed; what that cost is whatever the reply states."""
    REFUSED = "refused"
    NOT_TAKEN = "not_taken"
    LOST = "lost"
    """The answer is not here and will not come; perhaps it was paid."""


class AtGet(StrEnum):
    """What task_get says about a task."""

    ANSWERED = "answered"
    RUNNING = "running"
    FAILED = "failed"
    FAILED_RETRYABLE = "failed_retryable"
    FAILED_PERHAPS = "failed_perhaps"
    """The API's own trouble: of the task, which then may be tried again, or of this moment."""
    GONE = "gone"
    EXPIRED = "expired"
    WITHHELD = "withheld"
    """The answer may be there, but the balance keeps it back."""
    COMPLAINT = "complaint"
    """It is about the call and the account, not about the task."""
    UNCLEAR = "unclear"


_ACCOUNT: Final = frozenset({StatusClass.AUTH, StatusClass.ACCOUNT, StatusClass.IP})
_MONEY: Final = frozenset({StatusClass.BALANCE, StatusClass.DAILY_CAP})
_PACE: Final = frozenset({StatusClass.RATE, StatusClass.CONCURRENCY})
DUPLICATE: Final = frozenset({StatusClass.DUPLICATE_HOUR, StatusClass.DUPLICATE_DAY})
_NO_SUCH_PLACE: Final = frozenset(
    {StatusClass.WRONG_ADDRESS, StatusClass.GONE, StatusClass.EXPIRED, StatusClass.OUR_BUG}
)
_REJECTING: Final = _ACCOUNT | _MONEY | _PACE | DUPLICATE
_BROKEN: Final = frozenset(
    {
        StatusClass.TASK_FAILED,
        StatusClass.TASK_FAILED_RETRYABLE,
        StatusClass.SERVER,
        StatusClass.TIMEOUT_UNCERTAIN,
    }
)


def at_call(code: int | None, *, http_status: int) -> AtCall:
    """What the whole reply to a task_post says that lists no tasks (DESIGN.md §4 step 5).

    *http_status* 401, 402 and 404 speak for themselves unless the code says that all is well.
    """
    kind = lookup(code).kind
    fine = kind in {StatusClass.OK, StatusClass.CREATED, StatusClass.IN_PROGRESS}
    if http_status == 404:
        return AtCall.MISDIRECTED
    if http_status in {401, 402}:
        return AtCall.DOUBTFUL if fine else AtCall.REJECTED
    if http_status != 200:
        return AtCall.DOUBTFUL
    if kind in _REJECTING:
        return AtCall.REJECTED
    if kind in _NO_SUCH_PLACE or kind is StatusClass.NOT_OURS:
        return AtCall.MISDIRECTED
    if kind is StatusClass.REFUSED_TASK:
        return AtCall.ONE_REFUSED
    return AtCall.DOUBTFUL


def at_post(code: int | None, *, cost_nanousd: int | None) -> AtPost:
    """What became of one task of a task_post, by its own code and the cost stated for it.

    A refusal that states a cost above 0 contradicts itself and is no evidence; a failure of the
    API's counts as not taken only where a cost of 0 is stated.
    """
    kind = lookup(code).kind
    if kind is StatusClass.CREATED:
        return AtPost.ACCEPTED
    if kind in _BROKEN:
        return AtPost.NOT_TAKEN if cost_nanousd == 0 else AtPost.LOST
    if cost_nanousd is not None and cost_nanousd > 0:
        return AtPost.LOST
    if kind in {StatusClass.REFUSED_TASK, StatusClass.ELSEWHERE, StatusClass.NOT_OURS}:
        return AtPost.REFUSED
    if kind in _REJECTING | _NO_SUCH_PLACE or kind is StatusClass.NOT_CREATED_RESEND:
        return AtPost.NOT_TAKEN
    return AtPost.LOST


def at_live(code: int | None, *, cost_nanousd: int | None) -> AtLive:
    """What became of the task of a Live call, by its code and the cost stated for it.

    50401 says that the API gave up waiting: the model may have answered, and been paid (API.md §5).
    A refusal that states a cost above 0 contradicts itself, so nothing is known.
    """
    kind = lookup(code).kind
    if kind is StatusClass.OK:
        return AtLive.ANSWERED
    if kind in _BROKEN:
        return AtLive.LOST if kind is StatusClass.TIMEOUT_UNCERTAIN else AtLive.FAILED
    if cost_nanousd is not None and cost_nanousd > 0:
        return AtLive.LOST
    if kind in {StatusClass.REFUSED_TASK, StatusClass.ELSEWHERE, StatusClass.NOT_OURS}:
        return AtLive.REFUSED
    if kind in _REJECTING | _NO_SUCH_PLACE or kind is StatusClass.NOT_CREATED_RESEND:
        return AtLive.NOT_TAKEN
    return AtLive.LOST


def binds_account(code: int | None) -> bool:
    """Whether *code*, said of one task, holds for every other call of the account as well."""
    return lookup(code).kind in _ACCOUNT | _MONEY | _PACE | _NO_SUCH_PLACE


_AT_GET: Final[dict[StatusClass, AtGet]] = {
    StatusClass.OK: AtGet.ANSWERED,
    StatusClass.CREATED: AtGet.RUNNING,
    StatusClass.IN_PROGRESS: AtGet.RUNNING,
    StatusClass.REFUSED_TASK: AtGet.FAILED,
    StatusClass.TASK_FAILED: AtGet.FAILED,
    StatusClass.TASK_FAILED_RETRYABLE: AtGet.FAILED_RETRYABLE,
    StatusClass.SERVER: AtGet.FAILED_PERHAPS,
    StatusClass.TIMEOUT_UNCERTAIN: AtGet.FAILED_PERHAPS,
    StatusClass.ELSEWHERE: AtGet.GONE,
    StatusClass.GONE: AtGet.GONE,
    StatusClass.EXPIRED: AtGet.EXPIRED,
    StatusClass.BALANCE: AtGet.WITHHELD,
    StatusClass.DAILY_CAP: AtGet.WITHHELD,
    StatusClass.AUTH: AtGet.COMPLAINT,
    StatusClass.ACCOUNT: AtGet.COMPLAINT,
    StatusClass.IP: AtGet.COMPLAINT,
    StatusClass.RATE: AtGet.COMPLAINT,
    StatusClass.CONCURRENCY: AtGet.COMPLAINT,
    StatusClass.WRONG_ADDRESS: AtGet.COMPLAINT,
    StatusClass.OUR_BUG: AtGet.COMPLAINT,
    StatusClass.NOT_CREATED_RESEND: AtGet.UNCLEAR,
    StatusClass.DUPLICATE_HOUR: AtGet.UNCLEAR,
    StatusClass.DUPLICATE_DAY: AtGet.UNCLEAR,
    StatusClass.NOT_OURS: AtGet.UNCLEAR,
    StatusClass.UNHEARD_OF: AtGet.UNCLEAR,
}


def at_get(code: int | None) -> AtGet:
    """What task_get says about a task by the code of its entry."""
    return _AT_GET[lookup(code).kind]


def wait_s(kind: StatusClass, now: datetime) -> float:
    """Seconds until posting again makes sense after *kind*; *now* is the API's time, UTC."""
    # Not by date arithmetic: a reply may claim to be of the last day of the calendar.
    into_hour = now.minute * 60 + now.second + now.microsecond / 1e6
    if kind in {StatusClass.DAILY_CAP, StatusClass.DUPLICATE_DAY}:
        return 86_400 - now.hour * 3600 - into_hour
    if kind is StatusClass.DUPLICATE_HOUR:
        return 3600 - into_hour
    return _WAITS_S.get(kind, 60.0)


_WAITS_S: Final = {
    StatusClass.NOT_CREATED_RESEND: 0.0,
    StatusClass.RATE: 60.0,
    StatusClass.CONCURRENCY: 10.0,
    # The account is probed every ten minutes while it is paused (DESIGN.md §4).
    StatusClass.AUTH: 600.0,
    StatusClass.ACCOUNT: 600.0,
    StatusClass.IP: 600.0,
    StatusClass.BALANCE: 600.0,
    # Stopped by these; nothing is posted until a person has looked.
    StatusClass.WRONG_ADDRESS: 0.0,
    StatusClass.OUR_BUG: 0.0,
    StatusClass.GONE: 0.0,
    StatusClass.EXPIRED: 0.0,
}

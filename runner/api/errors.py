"""What a call can end in beside a value, sorted by what the caller does next.

    Unreachable ─ Untrusted     nobody answers, or not as the API does      later      exit 75
    ProtocolFault               an answer that cannot be read or attached   later      exit 75
    RateLimited                 too fast for the account                    slower     exit 75
    CredentialsBlocked          login, account or IP address refused        pause      exit 5
    MoneyBlocked                balance or daily limit                      pause      exit 4
    WrongAddress                the base URL is not the API's               stop       exit 2
    CallRejected                the call itself was wrong: our bug          stop       exit 70

No message holds a secret: a message is our own words, the API's words without control characters,
or the name of an exception; never the text of an HTTP library's exception, which may carry headers.
"""

from enum import StrEnum
from typing import Final

from runner.api.status import Status, StatusClass
from runner.errors import CredentialsRefused, MoneyStopped, RunnerError, TryLater, WrongInput

DEFAULT_WAIT_S: Final = 60.0
"""The limit is one of calls per minute, so a minute settles it (API.md §3)."""

_CHECK_URL: Final = "check DATAFORSEO_BASE_URL"


class ApiError(RunnerError):
    """A call did not do what it was for."""

    def __init__(
        self,
        what: str,
        *,
        code: int | None = None,
        where: str | None = None,
        why: str | None = None,
        how: str | None = None,
    ) -> None:
        super().__init__(what, where=where, why=why, how=how)
        self.code = code
        """The API's status code, if it gave one."""


class Unreachable(ApiError, TryLater):
    """No reply of the API's came: network, proxy, or its server is down."""


class Untrusted(Unreachable):
    """The connection could not be secured. It is never tried without that."""


class ProtocolFault(ApiError, TryLater):
    """A reply that cannot be read, or is about something else than was asked."""

    raw: bytes = b""
    """The beginning of that reply, where it may be an answer that was paid for."""


class RateLimited(ApiError, TryLater):
    """Too many calls; after ``wait_s`` seconds it may go on, slower."""

    def __init__(self, what: str, *, wait_s: float = DEFAULT_WAIT_S, code: int | None) -> None:
        super().__init__(what, code=code)
        self.wait_s = wait_s


class Block(StrEnum):
    """Why the account cannot go on; it names how the pause ends (DESIGN.md §4)."""

    LOGIN = "login"
    ACCOUNT = "account"
    IP = "ip"
    BALANCE = "balance"
    DAILY_CAP = "daily_cap"


class AccountBlocked(ApiError):
    """Every further call of this kind would fail the same way until ``block`` is lifted."""

    block: Block

    def __init__(
        self,
        what: str,
        *,
        block: Block,
        code: int | None,
        why: str | None = None,
        how: str | None = None,
    ) -> None:
        super().__init__(what, code=code, why=why, how=how)
        self.block = block


class CredentialsBlocked(AccountBlocked, CredentialsRefused):
    """Login, account or IP address refused."""


class MoneyBlocked(AccountBlocked, MoneyStopped):
    """The balance or the account's daily limit is used up."""


class WrongAddress(ApiError, WrongInput):
    """What answers at the base URL is not this API."""


class CallRejected(ApiError):
    """The API says that the call itself is malformed: our bug."""


_BLOCKS: Final[dict[StatusClass, tuple[type[AccountBlocked], Block]]] = {
    StatusClass.AUTH: (CredentialsBlocked, Block.LOGIN),
    StatusClass.ACCOUNT: (CredentialsBlocked, Block.ACCOUNT),
    StatusClass.IP: (CredentialsBlocked, Block.IP),
    StatusClass.BALANCE: (MoneyBlocked, Block.BALANCE),
    StatusClass.DAILY_CAP: (MoneyBlocked, Block.DAILY_CAP),
}

_MEANT_FOR_TASKS: Final = frozenset(
    {
        StatusClass.CREATED,
        StatusClass.IN_PROGRESS,
        StatusClass.NOT_CREATED_RESEND,
        StatusClass.DUPLICATE_HOUR,
        StatusClass.DUPLICATE_DAY,
        StatusClass.TASK_FAILED,
        StatusClass.TASK_FAILED_RETRYABLE,
        StatusClass.UNHEARD_OF,
    }
)
"""Said of a whole call they make no sense, or none that we know."""


def about_code(
    status: Status, words: str, *, bare_url: bool, wait_s: float | None = None
) -> ApiError:
    """What to do about *status* when it stands for a whole call that therefore did nothing.

    *words* is the API's own message. *bare_url* is False if the base URL has a path of its own, as
    ``…/v3`` would: then an unknown address is the fault of that path rather than ours.
    """
    what = f"the API says {status.code}: {status.meaning}"
    why = f"its words: {words}" if words else None
    if status.kind in _BLOCKS:
        error, block = _BLOCKS[status.kind]
        return error(what, block=block, code=status.code, why=why, how=status.advice)
    if status.kind in {StatusClass.RATE, StatusClass.CONCURRENCY}:
        return RateLimited(what, code=status.code, wait_s=wait_s or DEFAULT_WAIT_S)
    if status.kind is StatusClass.WRONG_ADDRESS:
        if not bare_url or status.code == 40404:
            return WrongAddress(what, code=status.code, why=why, how=status.advice)
        return CallRejected(what, code=status.code, why=why, how="report it to us")
    if status.kind in {StatusClass.SERVER, StatusClass.TIMEOUT_UNCERTAIN}:
        return Unreachable(what, code=status.code, why=why)
    if status.kind in _MEANT_FOR_TASKS:
        return ProtocolFault(what, code=status.code, why=why)
    return CallRejected(what, code=status.code, why=why, how="report it to us")


def about_http(http_status: int, *, wait_s: float | None = None) -> ApiError:
    """What to do about *http_status* where no reply of the API's explains it."""
    what = f"HTTP {http_status}, and no reply of the API's to explain it"
    if http_status == 401:
        how = "check login, password and DATAFORSEO_BASE_URL"
        return CredentialsBlocked(what, block=Block.LOGIN, code=None, how=how)
    if http_status == 402:
        return MoneyBlocked(what, block=Block.BALANCE, code=None, how="top up the balance")
    if http_status == 429:
        return RateLimited(what, code=None, wait_s=wait_s or DEFAULT_WAIT_S)
    if http_status in {301, 308, 404}:
        # 302 and 307 may be a captive portal and go away; these are meant to stay.
        return WrongAddress(what, how=_CHECK_URL)
    if 300 <= http_status < 400:
        return Unreachable(what, why="redirects are not followed", how=_CHECK_URL)
    if http_status == 200:
        return ProtocolFault(what, how=_CHECK_URL)
    return Unreachable(what)

"""The HTTP client of the LLM Responses API: the only place that sends anything to it.

    task_post ........... paid: sent once, never again, whatever happens; redirects off
    tasks_ready
    task_get    ......... free: up to three tries, ten seconds, within one call
    id_list
    user_data
    models

A post is prepared first and sent at once afterwards, because between the durable intent and the
first byte nothing may wait (DESIGN.md §4). A trace hook notes the moment before that byte is
queued: until then a failure proves that nothing was sent. Paths and limits: API.md §1, §3.
"""

import hashlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Final, Self, TypeVar
from urllib.parse import quote

import aiohttp
import stamina

from runner import __version__
from runner.api.address import Proxy, checked, has_path, proxy_for
from runner.api.calls import AfterCall, BeforeCall, CallKind, CallReport, PreparedPost
from runner.api.errors import ProtocolFault, Unreachable
from runner.api.fetching import Fetched, TaskFailed, read_fetched
from runner.api.jsontext import Unreadable
from runner.api.posting import PostReply, sort_reply, without_reply
from runner.api.replies import (
    NoReply,
    Reply,
    complaint,
    complaint_inside,
    date_in,
    number_in,
    reply_of,
)
from runner.api.wire import (
    AccountData,
    Envelope,
    Listed,
    Model,
    Ready,
    account_data,
    encode_listing,
    encode_post,
    listed_rows,
    model_rows,
    ready_rows,
)
from runner.clock import Clock, SystemClock
from runner.errors import CredentialsRefused
from runner.failpoints import Point, hit
from runner.task import Attempt, Provider

MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
"""More than this, decompressed, is refused unread."""

MOST_LISTED: Final = 1_000
"""Rows in one page of a listing (API.md §7)."""

KEEPALIVE_S: Final = 4.0
"""Shorter than a server's own, so that a post rarely meets a connection being closed."""

_CONNECT_TIMEOUT_S: Final = 15.0
_CHUNK: Final = 64 * 1024

T = TypeVar("T")


async def _go_ahead(_kind: CallKind, _priority: int) -> None:
    pass


def _take_no_note(_report: CallReport) -> None:
    pass


def _always() -> bool:
    return True


@dataclass(slots=True)
class _Departure:
    """Whether a request may have left; the trace hooks write it."""

    may_leave: Callable[[], bool]
    left: bool = False


class _HeldBack(Exception):
    """The sender changed its mind before the first byte."""


class _SentTwice(Exception):
    """The library was about to repeat a request on a new connection, unasked and uncounted."""


class _TooLarge(Exception):
    """The reply is larger than any the API sends."""


class _FailedPerhaps(Unreachable):
    """A task reported as failed by a server error: worth a second look."""

    def __init__(self, failed: TaskFailed) -> None:
        super().__init__(f"the API says {failed.code} about a task", code=failed.code)
        self.failed = failed


class LlmResponses:
    """One account's LLM Responses API. An async context manager: the connections live inside it.

    *base_url* is where the API's ``/v3`` begins. *before_call* is awaited before every request of
    a free call, retries included, and by ``task_post``; *after_call* hears of every request.
    Proxies come from the environment as usual (``HTTPS_PROXY``, ``NO_PROXY``), but never for an
    address on this machine; ``.netrc`` and cookies are not used.

    Raises:
        WrongAddress: *base_url* is no http(s) URL, or holds a login, a query or a fragment.
        CredentialsRefused: *login* cannot be sent.
    """

    def __init__(
        self,
        *,
        base_url: str,
        login: str,
        password: str,
        post_timeout_s: float = 60.0,
        get_timeout_s: float = 30.0,
        before_call: BeforeCall = _go_ahead,
        after_call: AfterCall = _take_no_note,
        clock: Clock | None = None,
    ) -> None:
        self._base = checked(base_url)
        self._bare_url = not has_path(self._base)
        if ":" in login:
            raise CredentialsRefused("the login holds a colon, which HTTP Basic has no place for")
        self._authorization = aiohttp.encode_basic_auth(login, password)
        self._post_timeout_s = post_timeout_s
        self._get_timeout_s = get_timeout_s
        self._before_call = before_call
        self._after_call = after_call
        self._clock = clock or SystemClock()
        self._proxy = proxy_for(self._base)
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"LlmResponses({self._base})"

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_about_to_leave)
        trace.on_request_chunk_sent.append(_leaving)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Authorization": self._authorization,
                "User-Agent": f"runner/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
            },
            trace_configs=[trace],
        )
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def prepare(self, provider: Provider, attempts: Sequence[Attempt]) -> PreparedPost:
        """The post of *attempts*, encoded and hashed, so that sending it takes no more work.

        Raises:
            ValueError: as ``encode_post``.
        """
        body = encode_post(attempts)
        return PreparedPost(
            provider=provider,
            tags=tuple(attempt.tag for attempt in attempts),
            body=body,
            sha256=hashlib.sha256(body).hexdigest(),
        )

    async def send(
        self, prepared: PreparedPost, *, may_leave: Callable[[], bool] = _always
    ) -> PostReply:
        """Send *prepared* now, once, without asking ``before_call``: take the call's token before
        the intent is written. *may_leave* is asked a last time when the connection stands and
        before the first byte; if it says no, nothing is sent.

        Whatever happens is an outcome; only a cancellation is raised, and then the tasks may have
        been taken.
        """
        path = f"/v3/ai_optimization/{prepared.provider}/llm_responses/task_post"
        reply = await self._exchange(CallKind.TASK_POST, path, prepared.body, may_leave)
        if isinstance(reply, NoReply):
            return without_reply(prepared.tags, reply)
        now = reply.server_date or self._clock.now()
        return sort_reply(prepared.tags, reply, now=now, bare_url=self._bare_url)

    async def task_post(
        self, provider: Provider, attempts: Sequence[Attempt], *, priority: int = 0
    ) -> PostReply:
        """``prepare``, wait for the call's turn, ``send``: for callers without an intent to age."""
        prepared = self.prepare(provider, attempts)
        await self._before_call(CallKind.TASK_POST, priority)
        return await self.send(prepared)

    async def tasks_ready(self, provider: Provider, *, priority: int = 0) -> list[Ready]:
        """Up to 1,000 finished tasks of *provider* that were not collected yet, anybody's on the
        account.

        Raises:
            ApiError: the class says what to do next (``runner.api.errors``).
        """
        path = f"/v3/ai_optimization/{provider}/llm_responses/tasks_ready"
        return await self._ask(CallKind.TASKS_READY, path, priority, self._listing(ready_rows))

    async def task_get(
        self, provider: Provider, remote_id: str, *, tag: str | None = None, priority: int = 0
    ) -> Fetched:
        """What the API says about the task *remote_id*, posted under *tag*.

        A failure reported with a 5xxxx code is believed when it is said in every try of the call.

        Raises:
            ProtocolFault: the reply is about another task, or cannot be read (see its ``raw``).
            ApiError: the class says what to do next.
        """
        path = f"/v3/ai_optimization/{provider}/llm_responses/task_get/{quote(remote_id, safe='')}"

        def read(reply: Reply) -> Fetched:
            fetched = read_fetched(reply, remote_id, tag=tag, bare_url=self._bare_url)
            if isinstance(fetched, TaskFailed) and fetched.code >= 50_000:
                raise _FailedPerhaps(fetched)
            return fetched

        try:
            return await self._ask(CallKind.TASK_GET, path, priority, read)
        except _FailedPerhaps as perhaps:
            return perhaps.failed

    async def id_list(
        self,
        start: datetime,
        end: datetime,
        *,
        offset: int = 0,
        limit: int = MOST_LISTED,
        priority: int = 0,
    ) -> list[Listed]:
        """A page of the account's tasks posted from *start* to *end*, which must not be in the
        server's future; anybody's, with their parameters. Tasks that finish move between pages.

        Raises:
            ApiError: the class says what to do next.
        """
        body = encode_listing(start, end, offset=offset, limit=limit)

        def read(envelope: Envelope) -> list[Listed]:
            try:
                return listed_rows(envelope)
            except Unreadable as error:
                raise ProtocolFault("the listing cannot be read", why=str(error)) from error

        path = "/v3/ai_optimization/id_list"
        return await self._ask(CallKind.ID_LIST, path, priority, self._listing(read), body)

    async def user_data(self, *, priority: int = 0) -> AccountData:
        """Login, balance, limit and price of the account.

        Raises:
            ApiError: the class says what to do next; ``CredentialsBlocked`` for a wrong password.
        """
        path = "/v3/appendix/user_data"
        return await self._ask(CallKind.USER_DATA, path, priority, self._listing(account_data))

    async def models(self, provider: Provider, *, priority: int = 0) -> list[Model]:
        """The models of *provider* that the account can ask.

        Raises:
            ApiError: the class says what to do next.
        """
        path = f"/v3/ai_optimization/{provider}/llm_responses/models"
        return await self._ask(CallKind.MODELS, path, priority, self._listing(model_rows))

    def _listing(self, read: Callable[[Envelope], T]) -> Callable[[Reply], T]:
        """*read* for replies whose every part has to be in order."""

        def checked(reply: Reply) -> T:
            if trouble := complaint(reply, bare_url=self._bare_url):
                raise trouble
            if reply.envelope is None:
                raise ProtocolFault("no reply in the API's form", why=reply.fault)
            if trouble := complaint_inside(reply.envelope, bare_url=self._bare_url):
                raise trouble
            return read(reply.envelope)

        return checked

    async def _ask(
        self,
        kind: CallKind,
        path: str,
        priority: int,
        read: Callable[[Reply], T],
        body: bytes | None = None,
    ) -> T:
        """One free call: up to three tries while it fails in ways that pass."""

        async def once() -> T:
            await self._before_call(kind, priority)
            reply = await self._exchange(kind, path, body, _always)
            if isinstance(reply, NoReply):
                raise reply.complaint()
            return read(reply)

        passing = (Unreachable, ProtocolFault)
        retrying = stamina.AsyncRetryingCaller(attempts=3, timeout=10.0, wait_initial=0.2)
        return await retrying(passing, once)

    async def _exchange(
        self, kind: CallKind, path: str, body: bytes | None, may_leave: Callable[[], bool]
    ) -> Reply | NoReply:
        """One HTTP request, whatever comes of it."""
        if self._session is None:
            raise RuntimeError("the client is used outside its context")
        departure = _Departure(may_leave)
        paid = kind is CallKind.TASK_POST
        total_s = self._post_timeout_s if paid else self._get_timeout_s
        started = self._clock.monotonic()
        outcome: Reply | NoReply
        headers: Mapping[str, str] = {}
        try:
            async with self._session.request(
                "GET" if body is None else "POST",
                self._base + path,
                data=body,
                headers=None if body is None else {"Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=total_s, sock_connect=_CONNECT_TIMEOUT_S),
                proxy=self._proxy.url if self._proxy else None,
                proxy_headers=_proxy_headers(self._proxy),
                trace_request_ctx=departure,
            ) as response:
                if paid:
                    hit(Point.REPLY_BEGUN)
                headers = response.headers
                outcome = reply_of(response.status, headers, await _read(response), strict=paid)
        except Exception as error:
            # Every failure is an outcome here, an unforeseen one of the library's too: after the
            # first byte it must not pass for a call that was never made.
            outcome = NoReply(
                why=_in_words(error, total_s),
                may_have_left=departure.left,
                untrusted=isinstance(error, aiohttp.ClientSSLError | ssl.SSLError),
            )
        replied = outcome if isinstance(outcome, Reply) else None
        self._after_call(
            CallReport(
                kind=kind,
                took_s=self._clock.monotonic() - started,
                limit=number_in(headers.get("X-RateLimit-Limit")),
                remaining=number_in(headers.get("X-RateLimit-Remaining")),
                server_date=date_in(headers.get("Date")),
                http_status=replied.http_status if replied else None,
                code=replied.code if replied else None,
            )
        )
        return outcome


async def _about_to_leave(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _headers: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    departure: _Departure = context.trace_request_ctx
    if departure.left:
        raise _SentTwice
    if not departure.may_leave():
        raise _HeldBack
    departure.left = True


async def _leaving(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _chunk: aiohttp.TraceRequestChunkSentParams,
) -> None:
    departure: _Departure = context.trace_request_ctx
    departure.left = True
    hit(Point.SEND_LEAVING)


def _proxy_headers(proxy: Proxy | None) -> dict[str, str] | None:
    if proxy is None or proxy.login is None:
        return None
    return {"Proxy-Authorization": aiohttp.encode_basic_auth(proxy.login, proxy.password)}


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, decompressed as it comes; a small one that swells is stopped on the way."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        size += len(chunk)
        if size > MAX_REPLY_BYTES:
            raise _TooLarge
        chunks.append(chunk)
    return b"".join(chunks)


def _in_words(error: Exception, total_s: float) -> str:
    """What happened, from the kind of error alone: some of the library's own texts and arguments
    carry the request's headers, and with them the password."""
    name = type(error).__name__
    match error:
        case _HeldBack():
            return "held back by the sender before the first byte"
        case _SentTwice():
            return "the server closed the connection without a reply"
        case _TooLarge():
            return f"the reply is larger than {MAX_REPLY_BYTES // 1024**2} MiB"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return f"TLS failed ({name})"
        case aiohttp.ClientConnectorDNSError():
            return f"the host's name cannot be resolved ({name})"
        case aiohttp.ClientConnectorError():
            return f"no connection: {error.strerror or name}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refused with HTTP {error.status}"
        case TimeoutError():
            return f"no complete reply within {total_s:g} s ({name})"
        case OSError():
            return f"the connection broke: {error.strerror or name}"
        case _:
            return f"the reply broke off or is malformed ({name})"

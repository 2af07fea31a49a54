"""One HTTP exchange with a gateway, and whether a byte of it may have left this machine.

    exchange ─▶ connection ─▶ [may it leave?] ─▶ first byte ─▶ … ─▶ Reply | NoReply

A trace hook notes the moment before the first byte is queued: until then a failure proves that
nothing was sent (DESIGN.md §4). Nothing is retried and no redirect followed here. The only place
that opens connections to the API; proxies come from the environment as usual (``HTTPS_PROXY``,
``NO_PROXY``), but never for an address on this machine; ``.netrc`` and cookies are not used.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final

import aiohttp

from runner import __version__
from runner.api.access import Access
from runner.api.address import Proxy, proxy_for
from runner.api.calls import AfterCall, CallKind, CallReport
from runner.api.replies import NoReply, Reply, date_in, reply_of
from runner.clock import Clock
from runner.failpoints import Point, hit

MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
"""More than this, decompressed, is refused unread."""

KEEPALIVE_S: Final = 4.0
"""Shorter than a server's own, so that a post rarely meets a connection being closed."""

MOST_CONNECTIONS: Final = 200
"""More than all Live calls that may be open at once: none may wait here with its intent ageing."""

_CONNECT_TIMEOUT_S: Final = 15.0
_CHUNK: Final = 64 * 1024


def always() -> bool:
    """A request that may leave whenever it can."""
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


_PAID: Final = frozenset({CallKind.TASK_POST, CallKind.LIVE})


class Transport:
    """The connections to one gateway; open between ``open`` and ``close``."""

    def __init__(self, access: Access, *, after_call: AfterCall, clock: Clock) -> None:
        self.access = access
        self._after_call = after_call
        self._clock = clock
        self._proxy = proxy_for(access.base_url)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make ready to connect."""
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_about_to_leave)
        trace.on_request_chunk_sent.append(_leaving)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Authorization": self.access.authorization,
                "User-Agent": f"runner/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
            },
            trace_configs=[trace],
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def exchange(
        self,
        kind: CallKind,
        path: str,
        body: bytes | None = None,
        *,
        total_s: float,
        strict: bool = False,
        may_leave: Callable[[], bool] = always,
    ) -> Reply | NoReply:
        """One HTTP request, whatever comes of it: a POST if there is a *body*, else a GET.

        *total_s* is all the time that it may take; with *strict* damaged text in the reply is not
        mended.
        """
        if self._session is None:
            raise RuntimeError("the client is used outside its context")
        departure = _Departure(may_leave)
        started = self._clock.monotonic()
        outcome: Reply | NoReply
        headers: Mapping[str, str] = {}
        try:
            async with self._session.request(
                "GET" if body is None else "POST",
                self.access.base_url + path,
                data=body,
                headers=None if body is None else {"Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=total_s, sock_connect=_CONNECT_TIMEOUT_S),
                proxy=self._proxy.url if self._proxy else None,
                proxy_headers=_proxy_headers(self._proxy),
                trace_request_ctx=departure,
            ) as response:
                if kind in _PAID:
                    hit(Point.REPLY_BEGUN)
                headers = response.headers
                outcome = reply_of(response.status, headers, await _read(response), strict=strict)
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
                gateway=self.access.gateway,
                took_s=self._clock.monotonic() - started,
                limit=self.access.limit_in(headers),
                remaining=self.access.remaining_in(headers),
                server_date=date_in(headers.get("Date")),
                http_status=replied.http_status if replied else None,
                code=replied.code if replied else None,
                retry_after_s=replied.wait_s if replied else None,
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

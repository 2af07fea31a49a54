"""One HTTP exchange with a gateway, and whether a byte of it may have left this machine.

    exchange ─▶ connection ─▶ [may it leave?] ─▶ first byte ─▶ … ─▶ Reply | NoReply

A trace hook notes the moment before the first byte is queued: until then a failure proves that
nothing was sent (DESIGN.md §4). Nothing is retried and no redirect followed here. The only place
that opens connections to the API; proxies come from the environment as usual (``HTTPS_PROXY``,
``NO_PROXY``), but never for an address on this machine; ``.netrc`` and cookies are not used.
"""

import ssl
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
from yarl import URL

from runner import __version__
from runner.api.access import Access
from runner.api.address import Proxy, proxy_for
from runner.api.calls import AfterCall, CallKind, CallReport
from runner.api.replies import NoReply, Reply, date_in, reply_of
from runner.api.sessions import (
    Departure,
    free_session,
    in_words,
    paid_session,
    read_body,
    timeout_of,
)
from runner.clock import Clock
from runner.failpoints import Point, hit

KEEPALIVE_S: Final = 4.0
"""Shorter than a server's own, so that a post rarely meets a connection being closed."""

MOST_CONNECTIONS: Final = 200
"""More than all Live calls that may be open at once: none may wait here with its intent ageing."""

_JSON: Final = {"Content-Type": "application/json"}


def always() -> bool:
    """A request that may leave whenever it can."""
    return True


_PAID: Final = frozenset({CallKind.TASK_POST, CallKind.LIVE})


class Transport:
    """The connections to one gateway; open between ``open`` and ``close``."""

    def __init__(self, access: Access, *, after_call: AfterCall, clock: Clock) -> None:
        self.access = access
        self._after_call = after_call
        self._clock = clock
        self._proxy = proxy_for(access.base_url)
        self._proxy_headers = _proxy_headers(self._proxy)
        # A URL made from text is gone through five times as long.
        self._base = URL(access.base_url)
        self._prefix = self._base.raw_path.removesuffix("/")
        self._session: aiohttp.ClientSession | None = None
        self._paid_session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make ready to connect."""
        headers = {
            "Authorization": self.access.authorization,
            "User-Agent": f"runner/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
        }
        connector = aiohttp.TCPConnector(limit=MOST_CONNECTIONS, keepalive_timeout=KEEPALIVE_S)
        self._session = free_session(connector, headers)
        self._paid_session = paid_session(connector, headers)

    async def close(self) -> None:
        """Close all connections."""
        for session in (self._paid_session, self._session):
            if session is not None:
                await session.close()
        self._session = self._paid_session = None

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
        paid = kind in _PAID
        session = self._paid_session if paid else self._session
        if session is None:
            raise RuntimeError("the client is used outside its context")
        departure = Departure(may_leave)
        started = self._clock.monotonic()
        outcome: Reply | NoReply
        headers: Mapping[str, str] = {}
        try:
            async with session.request(
                "GET" if body is None else "POST",
                self._base.with_path(self._prefix + path, encoded=True),
                data=body,
                headers=None if body is None else _JSON,
                allow_redirects=False,
                timeout=timeout_of(total_s),
                proxy=self._proxy.url if self._proxy else None,
                proxy_headers=self._proxy_headers,
                trace_request_ctx=departure,
            ) as response:
                if paid:
                    hit(Point.REPLY_BEGUN)
                headers = response.headers
                outcome = reply_of(
                    response.status,
                    headers,
                    await read_body(response),
                    strict=strict,
                    of_answers=kind is CallKind.TASK_GET,
                )
        except Exception as error:
            # Every failure is an outcome here, an unforeseen one of the library's too: after the
            # first byte it must not pass for a call that was never made.
            outcome = NoReply(
                why=in_words(error, total_s),
                may_have_left=departure.left or not paid,
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
                server_date=replied.server_date if replied else date_in(headers.get("Date")),
                http_status=replied.http_status if replied else None,
                code=replied.code if replied else None,
            )
        )
        return outcome


def _proxy_headers(proxy: Proxy | None) -> dict[str, str] | None:
    if proxy is None or proxy.login is None:
        return None
    return {"Proxy-Authorization": aiohttp.encode_basic_auth(proxy.login, proxy.password)}

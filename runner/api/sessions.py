"""The connections to the API: one session for paid calls, which is watched, and one for free ones.

Both use the same connections. The hooks that see a paid call's first byte leave cost as much as
reading an answer, so free calls, of which there is one for each answer, go without.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Final

import aiohttp

from runner.failpoints import Point, hit

MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
"""More than this, decompressed, is refused unread."""

_CONNECT_TIMEOUT_S: Final = 15.0


@dataclass(slots=True)
class Departure:
    """Whether a request may have left; the trace hooks write it."""

    may_leave: Callable[[], bool]
    left: bool = False


class HeldBack(Exception):
    """The sender changed its mind before the first byte."""


class SentTwice(Exception):
    """The library was about to repeat a request on a new connection, unasked and uncounted."""


class TooLarge(Exception):
    """The reply is larger than any the API sends."""


def free_session(
    connector: aiohttp.TCPConnector, headers: Mapping[str, str]
) -> aiohttp.ClientSession:
    """For free calls; closing it closes *connector*."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        middlewares=[_sent_once],
    )


def paid_session(
    connector: aiohttp.TCPConnector, headers: Mapping[str, str]
) -> aiohttp.ClientSession:
    """For paid calls, whose ``trace_request_ctx`` is a ``Departure``; *connector* stays open."""
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_about_to_leave)
    trace.on_request_chunk_sent.append(_leaving)
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        trace_configs=[trace],
    )


@lru_cache(maxsize=8)
def timeout_of(total_s: float) -> aiohttp.ClientTimeout:
    """All the time that a call may take, and how much of it for connecting."""
    return aiohttp.ClientTimeout(total=total_s, sock_connect=_CONNECT_TIMEOUT_S)


async def _sent_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep the library from repeating a free call on a new connection, unasked and uncounted."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        if request.method == "GET":
            raise SentTwice from None
        raise


async def _about_to_leave(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _headers: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    departure: Departure = context.trace_request_ctx
    if departure.left:
        raise SentTwice
    if not departure.may_leave():
        raise HeldBack
    departure.left = True


async def _leaving(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _chunk: aiohttp.TraceRequestChunkSentParams,
) -> None:
    departure: Departure = context.trace_request_ctx
    departure.left = True
    hit(Point.SEND_LEAVING)


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, decompressed as it comes; a small one that swells is stopped on the way.

    Raises:
        TooLarge: it is larger than ``MAX_REPLY_BYTES``.
        aiohttp.ClientError, TimeoutError: it broke off, or cannot be decompressed.
    """
    content = response.content
    body = await content.readany()
    if content.at_eof() and len(body) <= MAX_REPLY_BYTES:
        return body
    chunks, size = [body], len(body)
    while size <= MAX_REPLY_BYTES:
        chunk = await content.readany()
        if not chunk:
            return b"".join(chunks)
        size += len(chunk)
        chunks.append(chunk)
    raise TooLarge


def in_words(error: Exception, total_s: float) -> str:
    """What happened, from the kind of error alone: some of the library's own texts and arguments
    carry the request's headers, and with them the password."""
    name = type(error).__name__
    match error:
        case HeldBack():
            return "held back by the sender before the first byte"
        case SentTwice():
            return "the server closed the connection without a reply"
        case TooLarge():
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

"""The receiver of postbacks: durable first, then 200; read later, by the engine.

    POST /postback/ID?tag=…&sig=…   gzip body ─▶ inbox (synced) ─▶ 200
    GET  /postback/ID?tag=…&sig=…   a mere word that the task is done (pingback)
    GET  /postback/probe?…          204: `runner doctor` asks whether the public URL leads here
    GET  /healthz                   200 while the store can be written
    GET  /metrics                   for near peers only (``_near``)

    404 forged · 400 no gzip · 408 too slow · 413 too large · 503 no room, or the store is stuck

The API waits 10 s and does not try again by itself (API.md §6): what is turned away here shows on
its ready list. The signature is looked at before a byte of the body, and nothing of an address is
ever logged.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

import structlog
from aiohttp import web

from runner.clock import Clock
from runner.errors import RunnerError, WrongInput, reason_of
from runner.postbacks import PATH, PROBE, is_signed
from runner.store.care import Watched
from runner.store.inbox import Delivery
from runner.store.pacing import SharedPacing
from runner.task import RemoteId, Tag
from runner.web.listen import Listen
from runner.web.mailbox import Mailbox, NotKept, Overloaded
from runner.web.metrics import CONTENT_TYPE, Counts, metrics_text

log = structlog.get_logger()

MOST_COMPRESSED: Final = 16 * 1024 * 1024
"""Bytes of one body as it comes."""

MOST_OPEN: Final = 256
"""Deliveries at a time: one that comes above that is sent away."""

BODY_S: Final = 5.0
"""How long a body may take to arrive; the sender itself gives up after 10 s in all."""

KEEP_S: Final = 4.0
"""How long the store may take to keep it."""

_SILENT_S: Final = 15.0
_LOOK_EVERY_S: Final = 5.0
_HEALTH_FOR_S: Final = 2.0
_LINGER_S: Final = 1.0
_LONGEST_ID: Final = 200
_STARTS: Final = (b"\x1f\x8b", b"{")
"""Of gzip, and of the JSON in it, should a proxy have unpacked it."""

_UNHEARD: Final = logging.getLogger("runner.web.unheard")
"""For the library's own complaints: they may quote a request line, and with it a signature."""
_UNHEARD.addHandler(logging.NullHandler())
_UNHEARD.propagate = False


class _Slow(Exception):
    """The body did not come in time."""


class _TooLarge(Exception):
    """The body is larger than any result."""


class Receiver:
    """A listening receiver; ``async with Receiver(…) as receiver:`` and ask ``receiver.url``.

    *secrets*: those under which deliveries may be signed; with none, every one is forged.
    *prefix*: the path of the public URL, where a proxy passes it on. *calls*: how many calls the
    engine of this process has made.
    """

    def __init__(
        self,
        store: Watched,
        listen: Listen,
        *,
        secrets: tuple[str, ...],
        clock: Clock,
        prefix: str = "",
        calls: Callable[[], int] | None = None,
    ) -> None:
        self.counts = Counts()
        self._store = store
        self._listen = listen
        self._secrets = secrets
        self._clock = clock
        self._calls = calls
        self._mailbox = Mailbox(store, clock)
        self._open = 0
        self._port = listen.port
        self._healthy_until = float("-inf")
        self._spoke: set[int] = set()
        self._tasks: list[asyncio.Task[None]] = []
        application = web.Application()
        for path in dict.fromkeys((PATH, f"{prefix.rstrip('/')}{PATH}")):
            application.router.add_post(f"{path}/{{id}}", self._postback)
            application.router.add_get(f"{path}/{{id}}", self._pingback, allow_head=False)
        application.router.add_get("/healthz", self._health)
        application.router.add_get("/metrics", self._metrics)
        # What is unpacked here would be unpacked in the loop, and without a cap.
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=_UNHEARD,
            auto_decompress=False,
            lingering_time=_LINGER_S,
            keepalive_timeout=30.0,
            shutdown_timeout=2.0,
        )

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        host = f"[{self._listen.host}]" if ":" in self._listen.host else self._listen.host
        return f"http{'s' if self._listen.tls_cert else ''}://{host}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    async def __aenter__(self) -> Self:
        """
        Raises:
            WrongInput: the address cannot be had, or the certificate not be used.
        """
        tls = self._listen.tls()
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._listen.host, self._listen.port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise WrongInput(
                f"cannot listen on {self._listen.host}:{self._listen.port}: {reason_of(error)}",
                how="choose another port, or 0 for any free one",
            ) from error
        self._port = self._runner.addresses[0][1]
        self._tasks = [
            asyncio.create_task(self._mailbox.run()),
            asyncio.create_task(self._close_silent()),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        # Requests under way end first; they need the mailbox.
        await self._runner.cleanup()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    # -- deliveries --------------------------------------------------------------------------

    async def _postback(self, request: web.Request) -> web.Response:
        return await self._take(request, with_body=True)

    async def _pingback(self, request: web.Request) -> web.Response:
        if self._is_probe(request):
            self._spoke.add(id(request.protocol))
            return web.Response(status=204)
        return await self._take(request, with_body=False)

    def _is_probe(self, request: web.Request) -> bool:
        """Whether it was us who asked, and nothing else is meant."""
        signed = is_signed(self._secrets, PROBE, request.query.get("sig", ""))
        return signed and request.query.get("tag") == request.match_info["id"] == PROBE

    async def _take(self, request: web.Request, *, with_body: bool) -> web.Response:
        self._spoke.add(id(request.protocol))
        named = self._named(request)
        if named is None:
            self.counts.forged += 1
            return _closing(404)
        if self._open >= MOST_OPEN:
            return self._send_away()
        self._open += 1
        held = 0
        try:
            body = b""
            if with_body:
                pieces: list[bytes] = []
                try:
                    await self._read(request, pieces)
                finally:
                    held = sum(map(len, pieces))
                body = b"".join(pieces)
                if not body.startswith(_STARTS):
                    return self._refuse(400)
            tag, remote_id = named
            async with asyncio.timeout(KEEP_S):
                await self._mailbox.put(Delivery(remote_id=remote_id, tag=tag, body=body))
        except (Overloaded, NotKept, TimeoutError):
            return self._send_away()
        except _TooLarge:
            return self._refuse(413)
        except _Slow:
            return self._refuse(408)
        finally:
            self._open -= 1
            self._mailbox.release(held)
        self.counts.accepted += 1
        return web.Response(text="ok")

    def _named(self, request: web.Request) -> tuple[str, RemoteId] | None:
        """The tag and the id in the address; None unless it was us who made it."""
        tag, given = request.query.get("tag", ""), request.query.get("sig", "")
        remote_id = request.match_info["id"]
        signed = is_signed(self._secrets, tag, given)
        fits = len(remote_id) <= _LONGEST_ID and remote_id.isprintable() and " " not in remote_id
        if not signed or not fits or Tag.parse(tag) is None:
            return None
        return tag, RemoteId(remote_id)

    async def _read(self, request: web.Request, pieces: list[bytes]) -> None:
        """Read the body into *pieces*, each of which the mailbox holds.

        Raises:
            Overloaded: too much is in memory.
            _TooLarge, _Slow: as they say.
        """
        size = 0
        if (request.content_length or 0) > MOST_COMPRESSED:
            raise _TooLarge
        try:
            async with asyncio.timeout(BODY_S):
                async for piece in request.content.iter_any():
                    size += len(piece)
                    if size > MOST_COMPRESSED:
                        raise _TooLarge
                    self._mailbox.hold(len(piece))
                    pieces.append(piece)
        except TimeoutError:
            raise _Slow from None

    def _refuse(self, status: int) -> web.Response:
        self.counts.refused += 1
        return _closing(status)

    def _send_away(self) -> web.Response:
        self.counts.overload += 1
        response = _closing(503)
        response.headers["Retry-After"] = "1"
        return response

    async def _close_silent(self) -> None:
        """Close connections that never ask anything: a head that trickles in has no other end."""
        since: dict[int, float] = {}
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            server, now_s = self._runner.server, self._clock.monotonic()
            there = {id(each): each for each in server.connections} if server else {}
            self._spoke &= there.keys()
            since = {each: since.get(each, now_s) for each in there if each not in self._spoke}
            for each, first_s in since.items():
                if now_s - first_s > _SILENT_S:
                    there[each].force_close()

    # -- looking -----------------------------------------------------------------------------

    async def _health(self, request: web.Request) -> web.Response:
        self._spoke.add(id(request.protocol))
        if self._clock.monotonic() >= self._healthy_until:
            try:
                async with asyncio.timeout(KEEP_S):
                    await self._store.prove_writable(now=self._clock.now())
            except (RunnerError, TimeoutError):
                return web.Response(status=503, text="the store cannot be written\n")
            self._healthy_until = self._clock.monotonic() + _HEALTH_FOR_S
        return web.Response(text="ok\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        self._spoke.add(id(request.protocol))
        if not _near(request):
            return _closing(404)
        try:
            gauges = await self._store.gauges()
            health = await self._store.health()
            store = self._store
            rates = await store.account_rates() if isinstance(store, SharedPacing) else []
        except RunnerError:
            return web.Response(status=503, text="the store cannot be read\n")
        text = metrics_text(
            self.counts,
            gauges,
            health,
            rates=rates,
            calls=self._calls() if self._calls else None,
            now=self._clock.now(),
        )
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})


def _closing(status: int) -> web.Response:
    response = web.Response(status=status)
    response.force_close()
    return response


def _near(request: web.Request) -> bool:
    """Whether the peer is of this machine or its own network, and stands for nobody else: what was
    spent is not for everybody whom a proxy lets through."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_private
    except ValueError:
        return False

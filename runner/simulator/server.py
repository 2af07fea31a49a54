"""The HTTP face of a simulated account, and the place where connections break on purpose.

/v3/…                    the API
/apis/v1/dataforseo/…    the same account through AIsa
/simulator/ledger        what was created and charged, in nano-dollars
/simulator/ledger/tasks  each task: ?offset=0&limit=1000
/simulator/control       POST: order faults, change settings (control.py)
"""

import asyncio
from collections.abc import Mapping
from email.utils import format_datetime
from typing import Final, Self

from aiohttp import web

from runner.clock import from_ms
from runner.errors import WrongInput, reason_of
from runner.simulator.account import Account
from runner.simulator.calls import CallKind, Reply, read_call
from runner.simulator.control import control, oracle, page_of_tasks
from runner.simulator.delivery import Delivery
from runner.simulator.envelope import failure
from runner.simulator.faults import Fault, Strike
from runner.simulator.router import Answered, route

MAX_BODY: Final = 64 * 1024 * 1024

_HTML: Final = b"<!doctype html><title>Just a moment</title><p>Checking your browser.</p>"
_GARBAGE: Final = b'{"version": "0.1.2025\x00\xff\xfe, tasks: [[['
_DROPPED: Final = frozenset({Fault.DROP_BEFORE, Fault.DROP_AFTER})
_STALLED: Final = frozenset({Fault.STALL_BEFORE, Fault.STALL_AFTER})


class SimulatorServer:
    """A listening simulator; ``async with serve(account) as server:`` and ask ``server.url``."""

    def __init__(self, account: Account, *, host: str, port: int) -> None:
        self.account = account
        self._host = host
        self._port = port
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_get("/simulator/ledger", self._show_ledger)
        application.router.add_get("/simulator/ledger/tasks", self._show_tasks)
        application.router.add_post("/simulator/control", self._control)
        application.router.add_route("*", "/{path:.*}", self._answer)
        # A stalled reply must not hold up the end: what still runs is cancelled.
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        self._delivery = Delivery(account)

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    async def start(self) -> None:
        """Listen; port 0 takes a free one.

        Raises:
            WrongInput: the port cannot be had.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise WrongInput(
                f"cannot listen on {self._host}:{self._port}: {reason_of(error)}",
                how="choose another port, or 0 for any free one",
            ) from error
        self._port = self._runner.addresses[0][1]
        await self._delivery.start()

    async def stop(self) -> None:
        """Close all connections. The account stays open."""
        await self._delivery.stop()
        await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _show_ledger(self, _: web.Request) -> web.Response:
        return web.json_response(oracle(self.account))

    async def _show_tasks(self, request: web.Request) -> web.Response:
        try:
            offset, limit = (
                int(request.query.get(name, default))
                for name, default in (("offset", "0"), ("limit", "1000"))
            )
        except ValueError:
            return web.json_response({"error": "offset and limit are whole numbers"}, status=400)
        page = page_of_tasks(self.account, offset=max(offset, 0), limit=max(limit, 0))
        return web.json_response(page)

    async def _control(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(control(self.account, await request.json()))
        except (WrongInput, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        call = read_call(
            request.method,
            request.path,
            authorization=request.headers.get("Authorization"),
            body=await request.read(),
        )
        try:
            answered = route(self.account, call)
        except OSError:
            # The journal could not be written: nothing was done, and the API would say so.
            answered = Answered(failure(50000))
        reply = answered.reply
        try:
            if reply is not None and reply.after_s:
                await self.account.clock.sleep(reply.after_s)
            return await self._send_as_told(request, call.kind, answered)
        finally:
            if reply is not None and reply.lane is not None:
                self.account.open_calls.leave(reply.lane)

    async def _send_as_told(
        self, request: web.Request, kind: CallKind, answered: Answered
    ) -> web.StreamResponse:
        if self.account.scenario.reply_delay_s and kind is not CallKind.OTHER:
            await asyncio.sleep(self.account.scenario.reply_delay_s)
        if answered.strike is not None:
            return await self._spoil(request, answered.reply, answered.strike)
        return self._send(answered.reply or failure(50000))

    async def _spoil(
        self, request: web.Request, reply: Reply | None, strike: Strike
    ) -> web.StreamResponse:
        """Send *reply* as the fault has it."""
        fault = strike.fault
        if fault in _DROPPED:
            return _hang_up(request)
        if fault in _STALLED:
            await asyncio.sleep(strike.seconds)
            return _hang_up(request)
        if fault is Fault.HTTP_429:
            return web.Response(status=429, text="Too Many Requests")
        if fault is Fault.REDIRECT or reply is None:
            return web.Response(status=307, headers={"Location": f"{self.url}{request.rel_url}"})
        match fault:
            case Fault.SLOW:
                await asyncio.sleep(strike.seconds)
            case Fault.GARBAGE_BODY:
                return self._raw(_GARBAGE, "application/json")
            case Fault.HTML:
                return self._raw(_HTML, "text/html")
            case Fault.CUT_BODY:
                return await self._cut(request, reply)
        return self._send(reply)

    def _send(self, reply: Reply) -> web.Response:
        return self._raw(
            reply.encoded(), "application/json", status=reply.http_status, headers=reply.headers
        )

    def _raw(
        self,
        body: bytes,
        content_type: str,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        return web.Response(
            body=body,
            status=status,
            content_type=content_type,
            headers={"Date": self._date(), **(headers or {})},
        )

    def _date(self) -> str:
        """The simulated time as HTTP writes it: callers measure the API's windows by it."""
        now = from_ms(self.account.now_ms())
        return format_datetime(now.replace(microsecond=0), usegmt=True)

    async def _cut(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        body = reply.encoded()
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        response.content_type = "application/json"
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
        return response


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection; the response returned has nowhere to go."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def serve(account: Account, *, host: str = "127.0.0.1", port: int = 0) -> SimulatorServer:
    """A server for *account*, to be entered with ``async with``."""
    return SimulatorServer(account, host=host, port=port)

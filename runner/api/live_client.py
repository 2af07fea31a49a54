"""Live calls through one gateway: asked and answered in the same call (API.md §3, §12).

    prepare ─▶ intent made durable ─▶ send, once, up to 120 s and some slack ─▶ LiveReply

Paid: never sent twice, no redirect followed. The reply holds the only copy of the answer.
"""

import hashlib
from collections.abc import Callable
from typing import Final, Self

from runner.api.access import Access
from runner.api.calls import AfterCall, BeforeCall, CallKind, CallReport, PreparedPost
from runner.api.live import LiveReply, sort_live, without_reply
from runner.api.replies import NoReply
from runner.api.requests import encode_post
from runner.api.transport import Transport, always
from runner.clock import Clock, SystemClock
from runner.rows import Attempt
from runner.task import Gateway, Provider

LIVE_TIMEOUT_S: Final = 150.0
"""The API's own 120 s (API.md §3), connecting, and a slow line."""


async def _go_ahead(_kind: CallKind, _priority: int) -> None:
    pass


def _take_no_note(_report: CallReport) -> None:
    pass


class LiveResponses:
    """Live calls of one account at one gateway. An async context manager, as ``LlmResponses`` is.

    *before_call* is awaited by ``ask`` only; *after_call* hears of every request.
    """

    def __init__(
        self,
        access: Access,
        *,
        timeout_s: float = LIVE_TIMEOUT_S,
        before_call: BeforeCall = _go_ahead,
        after_call: AfterCall = _take_no_note,
        clock: Clock | None = None,
    ) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._before_call = before_call
        self._clock = clock or SystemClock()
        self._transport = Transport(access, after_call=after_call, clock=self._clock)

    def __repr__(self) -> str:
        return f"LiveResponses({self._access.base_url})"

    @property
    def gateway(self) -> Gateway:
        """Whose endpoint is called."""
        return self._access.gateway

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._transport.close()

    def prepare(self, provider: Provider, attempt: Attempt) -> PreparedPost:
        """The call for *attempt*: an array of one, made from the attempt and nothing else.

        Raises:
            ValueError: as ``encode_post``.
        """
        body = encode_post([attempt])
        return PreparedPost(
            provider=provider,
            tags=(attempt.tag,),
            body=body,
            sha256=hashlib.sha256(body).hexdigest(),
        )

    async def send(
        self, prepared: PreparedPost, *, may_leave: Callable[[], bool] = always
    ) -> LiveReply:
        """Send *prepared* now, once, without asking ``before_call``: take the call's token before
        the intent is written. *may_leave* is asked a last time when the connection stands and
        before the first byte; if it says no, nothing is sent.

        Whatever happens is an outcome; only a cancellation is raised, and then the answer may be
        paid and lost.
        """
        (tag,) = prepared.tags
        # Damaged text is mended, as in fetched answers: this one cannot be fetched again.
        reply = await self._transport.exchange(
            CallKind.LIVE,
            self._access.live_path(prepared.provider),
            prepared.body,
            total_s=self._timeout_s,
            may_leave=may_leave,
        )
        if isinstance(reply, NoReply):
            return without_reply(tag, reply)
        now = reply.server_date or self._clock.now()
        access = self._access
        return sort_live(tag, reply, gateway=access.gateway, now=now, bare_url=access.bare_url)

    async def ask(self, provider: Provider, attempt: Attempt, *, priority: int = 0) -> LiveReply:
        """``prepare``, wait for the call's turn, ``send``: for callers without an intent to age."""
        prepared = self.prepare(provider, attempt)
        await self._before_call(CallKind.LIVE, priority)
        return await self.send(prepared)

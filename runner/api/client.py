"""The client of the LLM Responses API's Standard and free calls.

    task_post ........... paid: sent once, never again, whatever happens; redirects off
    tasks_ready
    task_get    ......... free: up to three tries, ten seconds, within one call
    id_list
    user_data
    models
    webhook_resend

A post is prepared first and sent at once afterwards, because between the durable intent and the
first byte nothing may wait (DESIGN.md §4). How a request leaves: ``transport.py``; Live calls:
``live_client.py``. Paths and limits: API.md §1, §3.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Self, TypeVar
from urllib.parse import quote

import stamina

from runner.api.access import dataforseo
from runner.api.calls import AfterCall, BeforeCall, CallKind, CallReport, PreparedPost
from runner.api.errors import ProtocolFault, Unreachable
from runner.api.fetching import Fetched, TaskFailed, read_fetched
from runner.api.jsontext import Unreadable
from runner.api.posting import PostReply, sort_reply, without_reply
from runner.api.replies import NoReply, Reply, complaint, complaint_inside
from runner.api.requests import encode_listing, encode_post, encode_resend
from runner.api.transport import Transport, always
from runner.api.wire import (
    AccountData,
    Envelope,
    Listed,
    Model,
    Ready,
    account_data,
    listed_rows,
    model_rows,
    ready_rows,
)
from runner.clock import Clock, SystemClock
from runner.rows import Attempt
from runner.task import Provider

_TRIES_S: Final = 10.0
"""How long the tries of one free call go on."""

_PASSING: Final = (Unreachable, ProtocolFault)

MOST_LISTED: Final = 1_000
"""Rows in one page of a listing (API.md §7)."""

T = TypeVar("T")


async def _go_ahead(_kind: CallKind, _priority: int) -> None:
    pass


def _take_no_note(_report: CallReport) -> None:
    pass


class _FailedPerhaps(Unreachable):
    """A task reported as failed by what may be a moment's trouble: worth a second look."""

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
        access = dataforseo(base_url, login, password)
        self._base = access.base_url
        self._bare_url = access.bare_url
        self._post_timeout_s = post_timeout_s
        self._get_timeout_s = get_timeout_s
        self._before_call = before_call
        self._clock = clock or SystemClock()
        self._transport = Transport(access, after_call=after_call, clock=self._clock)

    def __repr__(self) -> str:
        return f"LlmResponses({self._base})"

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._transport.close()

    def prepare(
        self,
        provider: Provider,
        attempts: Sequence[Attempt],
        *,
        postback_url: Callable[[str], str] | None = None,
    ) -> PreparedPost:
        """The post of *attempts*, encoded and hashed, so that sending it takes no more work.

        *postback_url*: where the answer to a tag is to be delivered; None: it is asked for.

        Raises:
            ValueError: as ``encode_post``.
        """
        body = encode_post(attempts, postback_url=postback_url)
        return PreparedPost(
            provider=provider,
            tags=tuple(attempt.tag for attempt in attempts),
            body=body,
            sha256=hashlib.sha256(body).hexdigest(),
        )

    async def send(
        self, prepared: PreparedPost, *, may_leave: Callable[[], bool] = always
    ) -> PostReply:
        """Send *prepared* now, once, without asking ``before_call``: take the call's token before
        the intent is written. *may_leave* is asked a last time when the connection stands and
        before the first byte; if it says no, nothing is sent.

        Whatever happens is an outcome; only a cancellation is raised, and then the tasks may have
        been taken.
        """
        path = f"/v3/ai_optimization/{prepared.provider}/llm_responses/task_post"
        reply = await self._transport.exchange(
            CallKind.TASK_POST,
            path,
            prepared.body,
            total_s=self._post_timeout_s,
            strict=True,
            may_leave=may_leave,
        )
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

        A failure that may pass (5xxxx) is handed on if it is said in every try of the call.

        Raises:
            ProtocolFault: the reply is about another task, or cannot be read (see its ``raw``).
            ApiError: the class says what to do next.
        """
        path = f"/v3/ai_optimization/{provider}/llm_responses/task_get/{quote(remote_id, safe='')}"

        def read(reply: Reply) -> Fetched:
            fetched = read_fetched(reply, remote_id, tag=tag, bare_url=self._bare_url)
            if isinstance(fetched, TaskFailed) and fetched.may_pass:
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

    async def webhook_resend(self, ids: Sequence[str], *, priority: int = 0) -> None:
        """Have the postbacks of up to 100 finished tasks sent once more; free (API.md §6).

        Raises:
            ApiError: the class says what to do next.
            ValueError: no ids or more than 100.
        """
        body = encode_resend(ids)

        def read(reply: Reply) -> None:
            # An id that it refuses is asked for like any other.
            if trouble := complaint(reply, bare_url=self._bare_url):
                raise trouble

        await self._ask(
            CallKind.WEBHOOK_RESEND, "/v3/appendix/webhook_resend", priority, read, body
        )

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
            reply = await self._transport.exchange(kind, path, body, total_s=self._get_timeout_s)
            if isinstance(reply, NoReply):
                raise reply.complaint()
            return read(reply)

        began = self._clock.monotonic()
        try:
            return await once()
        except _PASSING as error:
            # Most calls need no second try, and what counts the tries is dear.
            failures: list[Exception] = [error]
            left_s = _TRIES_S - (self._clock.monotonic() - began)
            if left_s <= 0:
                raise

        async def again() -> T:
            if failures:
                raise failures.pop()
            return await once()

        retrying = stamina.AsyncRetryingCaller(attempts=3, timeout=left_s, wait_initial=0.2)
        return await retrying(_PASSING, again)

"""A process's calls where the processes of many hosts share one limit.

    line ── so many wait ──▶ Slices ── Ask, with all that was learnt ──▶ the account's row
                               │ ◀── Slice: the moments of some calls ──
                               └── each leaves at its moment, or a little later, or never

Two clocks never meet. The store's now lies between the ask and the reply: a call's moment is
counted from the reply, so that it is never early, and its end from the ask, so that it is never
late. If the reply takes longer than a call may be late, the calls are lost, and the limit holds.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from runner.clock import Clock
from runner.pacing.bucket import SECOND_US, microseconds
from runner.pacing.shared import BETWEEN_US, LATE_US, Ask, Slice, Use

_STORE_AWAY_US: Final = SECOND_US
"""So much later a store is asked again that has failed twice; until then no call leaves."""


@dataclass(slots=True)
class _News:
    """What has to be told with the next ask; moments are those of our monotonic clock."""

    stated: int | None = None
    use: tuple[int, int, int] | None = None
    """Calls, when the one left that told of them, when its reply came."""
    refused_us: int | None = None
    unused: int = 0

    def and_older(self, older: "_News") -> None:
        self.stated = older.stated if self.stated is None else self.stated
        self.use = self.use or older.use
        self.refused_us = self.refused_us if older.refused_us is None else older.refused_us
        self.unused += older.unused


class Slices:
    """``pacer.Allowance`` by slices of a row in the store."""

    def __init__(
        self,
        calls_per_minute: int,
        clock: Clock,
        *,
        host: str,
        ask: Callable[[Ask], Awaitable[Slice | None]],
    ) -> None:
        """*host* names this process, unlike any other. *ask* brings a slice; None: not for now."""
        self._setting = calls_per_minute
        self._clock = clock
        self._host = host
        self._ask = ask
        self._calls: deque[tuple[int, int]] = deque()
        """From when until when each may leave."""
        self._ask_at_us = self._now_us()
        self._wanted = 0
        """Callers, when the watcher last looked."""
        self._part = calls_per_minute
        self._news = _News()
        self._stated: int | None = None
        self._slowed_at_us: int | None = None
        self._slowed_until_us = self._ask_at_us
        self._one_at_a_time = asyncio.Lock()
        self._telling: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._known = False
        """The row shows this process."""

    @property
    def calls_per_minute(self) -> int:
        return self._part

    @property
    def shared(self) -> bool:
        return True

    async def ask(self, wanted: int) -> None:
        """Ask the store, if it is time and there are fewer calls than callers."""
        if self._failure is not None:
            raise self._failure
        async with self._one_at_a_time:
            self._drop_late()
            self._wanted = wanted
            if self._now_us() >= self._ask_at_us and len(self._calls) < wanted:
                await self._exchange(wanted - len(self._calls))

    def wait_us(self) -> int:
        self._drop_late()
        now_us = self._now_us()
        to_ask_us = max(1_000, self._ask_at_us - now_us)
        if not self._calls:
            return to_ask_us
        to_call_us = max(0, self._calls[0][0] - now_us)
        return to_call_us if len(self._calls) >= self._wanted else min(to_call_us, to_ask_us)

    def use(self) -> None:
        self._calls.popleft()

    def observe(self, limit: int, remaining: int | None, waited_us: int) -> None:
        now_us = self._now_us()
        if limit != self._stated:
            if limit < (self._stated or self._setting):
                self._drop_all()
                self._ask_at_us = now_us
            self._stated = self._news.stated = limit
        if remaining is not None:
            self._news.use = (limit - remaining, now_us - waited_us, now_us)

    def slow_down(self, waited_us: int) -> None:
        now_us = self._now_us()
        if self._slowed_at_us is not None and (
            now_us < self._slowed_until_us or now_us - waited_us <= self._slowed_at_us
        ):
            return
        self._slowed_at_us, self._slowed_until_us = now_us, now_us + SECOND_US
        self._news.refused_us = now_us - waited_us
        self._part = max(1, self._part // 2)
        self._drop_all()
        # The others have to know even if nobody here wants a call now.
        if self._telling is None or self._telling.done():
            self._telling = asyncio.ensure_future(self._tell_aside())

    async def close(self) -> None:
        """Leave the row to the others: who waited here waits no more."""
        if self._telling is not None:
            await self._telling
        self._drop_all()
        if self._known:
            await self._tell()

    async def _tell_aside(self) -> None:
        try:
            await self._tell()
        except Exception as error:
            # Nobody awaits this task; who asks next has to know.
            self._failure = error

    async def _tell(self) -> None:
        async with self._one_at_a_time:
            await self._exchange(0)

    async def _exchange(self, wanted: int) -> None:
        news, self._news = self._news, _News()
        asked_us = self._now_us()
        try:
            given = await self._ask(self._worded(news, wanted, asked_us))
        except BaseException:
            self._news.and_older(news)
            raise
        if given is None:
            self._news.and_older(news)
            # A lost connection is made anew by the next ask.
            again_us = BETWEEN_US if self._known else _STORE_AWAY_US
            self._known = False
            self._ask_at_us = self._now_us() + again_us
            return
        self._known = True
        self._ask_at_us = asked_us + given.again_us
        self._part = given.per_minute
        came_us = self._now_us()
        for moment_us in given.moments_us:
            self._calls.append((came_us + moment_us, asked_us + moment_us + LATE_US))
        if self._news.refused_us is not None:
            # They were given out by somebody who did not know of it yet.
            self._drop_all()

    def _worded(self, news: _News, wanted: int, now_us: int) -> Ask:
        use = None
        if news.use is not None:
            calls, left_us, came_us = news.use
            use = Use(calls=calls, left_ago_us=now_us - left_us, came_ago_us=now_us - came_us)
        return Ask(
            host=self._host,
            setting=self._setting,
            wanted=wanted,
            unused=news.unused,
            stated=news.stated,
            use=use,
            refused_ago_us=None if news.refused_us is None else now_us - news.refused_us,
        )

    def _drop_late(self) -> None:
        now_us = self._now_us()
        while self._calls and self._calls[0][1] < now_us:
            self._calls.popleft()
            self._news.unused += 1

    def _drop_all(self) -> None:
        self._news.unused += len(self._calls)
        self._calls.clear()

    def _now_us(self) -> int:
        return microseconds(self._clock.monotonic())

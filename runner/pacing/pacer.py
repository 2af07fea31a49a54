"""The line of callers: who goes first when calls are scarce."""

import asyncio
from collections import OrderedDict
from enum import IntEnum
from typing import Final, Protocol

from runner.clock import Clock
from runner.pacing.bucket import SECOND_US, microseconds
from runner.pacing.own import OwnAllowance


class Priority(IntEnum):
    """Who goes first when calls are scarce, least number first (DESIGN.md §4 Fetching)."""

    RECONCILE = 0
    """Listings that decide about money in doubt."""
    WINDOW = 1
    """Results near the end of their window."""
    READY = 2
    """Results that the ready list names."""
    POST = 3
    """New tasks."""
    SPECULATIVE = 4
    """Asking by id whether a task has finished."""


class Allowance(Protocol):
    """Where the calls of an account come from."""

    @property
    def calls_per_minute(self) -> int:
        """What this process may use of it now."""

    @property
    def shared(self) -> bool:
        """Whether other processes take from it, too."""

    async def ask(self, wanted: int) -> None:
        """So many callers wait: see to their calls, where somebody has to be asked for them."""

    def wait_us(self) -> int:
        """Microseconds until a call may leave or ``ask`` is worth while; 0: one may leave now."""

    def use(self) -> None:
        """A call leaves; ``wait_us`` has just said 0."""

    def observe(self, limit: int, remaining: int | None, waited_us: int) -> None:
        """As ``Pacer.observe``; *limit* is one."""

    def slow_down(self, waited_us: int) -> None:
        """As ``Pacer.slow_down``."""


class _Waiter:
    __slots__ = ("priority", "turn")

    def __init__(self, priority: Priority) -> None:
        self.priority = priority
        self.turn = asyncio.Event()


class Pacer:
    """Hands out the calls of one account, one at a time. One object for a process and account.

    Every call to the account takes one, those of ``LIMITS_PER_KIND`` too. The second of jitter
    covers all that lies between the return of ``take`` and the server: send at once.
    """

    _LONGEST_SLEEP_S: Final = 1.0
    """So that a raised limit is soon noticed."""

    _MOST_PASSING: Final = 10
    """Ready results that may go before a waiting post: it carries up to 100 tasks, and what is
    posted late is answered late. So results never starve posting, nor posting results."""

    def __init__(
        self, calls_per_minute: int, clock: Clock, *, allowance: Allowance | None = None
    ) -> None:
        """*calls_per_minute* ≥ 1 is the setting, which no reply ever raises. The calls come from
        *allowance*; None: from a bucket of this process's own."""
        self._clock = clock
        self._allowance: Allowance = allowance or OwnAllowance(calls_per_minute, clock)
        self._line: dict[Priority, OrderedDict[_Waiter, None]] = {
            priority: OrderedDict() for priority in Priority
        }
        self._passed = 0
        """Ready results that went before a waiting post since the last post."""
        self._watcher: _Waiter | None = None
        """The one waiter that looks at the allowance; all others sleep until it is their turn."""

    @property
    def calls_per_minute(self) -> int:
        """What this process may use now, after all that the replies have taught."""
        return self._allowance.calls_per_minute

    @property
    def shared(self) -> bool:
        """Whether other processes take from the same allowance, by way of the store."""
        return self._allowance.shared

    @property
    def waiting(self) -> int:
        """How many callers stand in line."""
        return sum(map(len, self._line.values()))

    async def take(self, priority: Priority) -> None:
        """Return when one call may leave, and count it as left. The best priority goes first.

        Nothing is held while waiting; a caller that is cancelled has used no call.
        """
        waiter = _Waiter(priority)
        self._line[priority][waiter] = None
        try:
            if self._watcher is None:
                self._watcher = waiter
            else:
                await waiter.turn.wait()
            await self._watch(waiter)
        finally:
            del self._line[priority][waiter]
            if self._watcher is waiter:
                self._appoint(self._first())

    def observe(self, limit: int | None, remaining: int | None, *, waited_s: float = 0.0) -> None:
        """Learn from a reply's X-RateLimit-Limit and -Remaining, or from ``user_data``'s limit.

        Only for what speaks of the whole account: task_post, task_get, Live, user_data. None or
        0 as *limit* states nothing. *waited_s* is the time from ``take`` to the reply: at some
        moment in it the server counted.
        """
        if limit is None or limit <= 0:
            return
        left = None if remaining is None else max(0, remaining)
        self._allowance.observe(limit, left, microseconds(waited_s))

    def slow_down(self, *, waited_s: float = 0.0) -> None:
        """The API refused a call because of the rate (40202): wait for its next minute, go slower.

        Of several calls that were under way together only the first counts; *waited_s*, the time
        from ``take`` to the reply, tells that a late one was among them.
        """
        self._allowance.slow_down(microseconds(waited_s))

    async def _watch(self, waiter: _Waiter) -> None:
        """Look at the allowance until *waiter* is first in line and has a call."""
        while True:
            await self._allowance.ask(self.waiting)
            wait_us = self._allowance.wait_us()
            first = self._first()
            if wait_us > 0:
                await self._clock.sleep(min(wait_us / SECOND_US, self._LONGEST_SLEEP_S))
            elif first is waiter:
                self._allowance.use()
                self._note_passing(waiter.priority)
                return
            else:
                # Somebody more urgent came while we slept: they watch now.
                waiter.turn.clear()
                self._appoint(first)
                await waiter.turn.wait()

    def _appoint(self, waiter: _Waiter | None) -> None:
        self._watcher = waiter
        if waiter is not None:
            waiter.turn.set()

    def _note_passing(self, priority: Priority) -> None:
        if priority is Priority.POST or not self._line[Priority.POST]:
            self._passed = 0
        elif priority is Priority.READY:
            self._passed += 1

    def _first(self) -> _Waiter | None:
        urgent = self._line[Priority.RECONCILE] or self._line[Priority.WINDOW]
        posts = self._line[Priority.POST]
        if posts and not urgent and self._passed >= self._MOST_PASSING:
            return next(iter(posts))
        return next((next(iter(queue)) for queue in self._line.values() if queue), None)

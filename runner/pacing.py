"""How many calls may leave, and whose turn it is.

    callers ──▶ line, by priority ──▶ bucket ──▶ call leaves ── up to 1 s ──▶ server counts 60 s
                                        ▲
            min(setting, stated limit) lowered by 40202 and by foreign use

The server counts what arrives, we see what leaves. What arrives within 60 s left within 61 s if
the way takes up to a second more for one call than for another, so the limit has to hold for any
61 s of ours. A bucket for b calls that gains g calls in 61 s lets at most ⌊b + g⌋ out in 61 s. It
is empty when a process starts: the calls of a process before it, which only the server remembers,
are then as if from the same bucket.

Sources: DESIGN.md §8; API.md §3 (POST and GET share one limit per account; headers are optional;
whether the server's minute slides or is fixed is unknown, so the harder, sliding one is assumed).
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final

from runner.clock import Clock

_SECOND_US: Final = 1_000_000
_MINUTE_US: Final = 60 * _SECOND_US
_SPAN_US: Final = _MINUTE_US + _SECOND_US
"""The server's minute and a second of network jitter."""


class Bucket:
    """Lets calls out so that no 61 s hold more than *limit*; pure, in integer microseconds.

    Credit is counted in units of which a call costs ``_CALL`` and a microsecond brings
    ``limit - burst + 1``: whole numbers, so nothing is lost or won by rounding. ``_CALL`` is 61 s
    and a millisecond; hence burst + ⌊gain of 61 s⌋ ≤ limit, even for a limit of 1.
    """

    __slots__ = ("_at_us", "_burst", "_credit", "_gain", "_limit")

    _CALL: Final = _SPAN_US + 1_000

    def __init__(self, limit: int, now_us: int) -> None:
        """An empty bucket for *limit* ≥ 1 calls a minute."""
        self._credit = 0
        self._at_us = now_us
        self._use(limit)

    @property
    def limit(self) -> int:
        """Calls a minute that are never exceeded."""
        return self._limit

    @property
    def burst(self) -> int:
        """Calls that may leave at once after a rest."""
        return self._burst

    def wait_us(self, now_us: int) -> int:
        """Microseconds until a call may leave; 0 if one may leave now."""
        self._gain_until(now_us)
        return max(0, -((self._credit - self._CALL) // self._gain))

    def reserve(self, now_us: int) -> int:
        """Take a call and return 0; or take nothing and return the microseconds still to wait."""
        wait_us = self.wait_us(now_us)
        if wait_us == 0:
            self._credit -= self._CALL
        return wait_us

    def set_limit(
        self, limit: int, now_us: int, calls: Iterable[tuple[int, int]] | None = None
    ) -> None:
        """Go on with *limit* calls a minute.

        *calls* (moment in microseconds, number; oldest first) are those of the last 61 s. With
        them the new limit holds at once: what left too fast for it is waited out, at most 61 s.
        """
        self._gain_until(now_us)
        self._use(limit)
        if calls is not None:
            self._credit = min(self._credit, self._credit_after(calls, now_us))

    def _use(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a limit of {limit} calls a minute allows none")
        self._limit = limit
        # Each call of burst costs one of the steady calls, so small limits go without: with one
        # per 75, at least 97 % of every limit stay usable. Five bridge a late timer at 10,000.
        self._burst = 1 + min(4, limit // 75)
        self._gain = limit - self._burst + 1
        self._credit = min(self._credit, self._burst * self._CALL)

    def _gain_until(self, now_us: int) -> None:
        passed_us = max(0, now_us - self._at_us)
        self._credit = min(self._credit + passed_us * self._gain, self._burst * self._CALL)
        self._at_us += passed_us

    def _credit_after(self, calls: Iterable[tuple[int, int]], now_us: int) -> int:
        """What this limit would have left over had it held for the last 61 s."""
        shadow = Bucket(self._limit, now_us - _SPAN_US)
        for moment_us, number in calls:
            shadow._gain_until(min(moment_us, now_us))
            shadow._credit -= number * self._CALL
        shadow._gain_until(now_us)
        # After 61 s the server has forgotten all of them, however many there were.
        return max(shadow._credit, -_SPAN_US * self._gain)


class AccountRate:
    """What we may use of the account: the setting, and what the API's replies have taught."""

    FLOOR: Final = 6
    """Calls a minute that no lesson takes away (unless the limit itself is lower): one in 10 s."""

    _FULL: Final = 1_000_000
    _RECOVERY_US: Final = 10 * _MINUTE_US
    """From nothing back to everything: 10 % of the full rate a minute."""

    def __init__(self, setting: int, now_us: int) -> None:
        self._setting = setting
        self._stated: int | None = None
        self._share = self._FULL
        self._share_at_us = now_us
        self._foreign = 0
        self._foreign_at_us = now_us

    @property
    def ceiling(self) -> int:
        """Calls a minute before any lowering: the setting, or the stated limit if that is less."""
        return self._setting if self._stated is None else min(self._setting, self._stated)

    def per_minute(self, now_us: int) -> int:
        """Calls a minute that we may use now."""
        allowed = self.ceiling * self._share_now(now_us) // self._FULL
        if self._stated is not None:
            allowed = min(allowed, self._stated - self._foreign_now(now_us))
        return max(allowed, min(self.ceiling, self.FLOOR))

    def state(self, limit: int) -> None:
        """The API named its limit; the last word counts. 0 and less state nothing."""
        if limit > 0:
            self._stated = limit

    def see_foreign(self, calls: int, now_us: int) -> None:
        """*calls* of the last minute were neither ours nor left over.

        Believed by halves, so that one odd reply does little harm, but held for a while: where
        the server's minute is a fixed one, little foreign use shows at its beginning.
        """
        known = self._foreign_now(now_us)
        if calls > known:
            self._foreign = known + (calls - known + 1) // 2
            self._foreign_at_us = now_us

    def slow_down(self, now_us: int) -> None:
        """The API refused a call for the rate (40202): half of what was used until now."""
        lowest = self._FULL * min(self.ceiling, self.FLOOR) // self.ceiling
        self._share = max(self._share_now(now_us) // 2, lowest)
        self._share_at_us = now_us

    def _share_now(self, now_us: int) -> int:
        regained = self._FULL * (now_us - self._share_at_us) // self._RECOVERY_US
        return min(self._FULL, self._share + regained)

    def _foreign_now(self, now_us: int) -> int:
        limit = self._stated or 0
        forgotten = limit * (now_us - self._foreign_at_us) // self._RECOVERY_US
        return max(0, self._foreign - forgotten)


class _OwnCalls:
    """How many calls left in each of the last seconds: as much as the slowest reply needs."""

    SLOWEST_REPLY_US: Final = 120 * _SECOND_US
    _KEPT_S: Final = (_SPAN_US + SLOWEST_REPLY_US) // _SECOND_US + 1

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque()

    def add(self, now_us: int) -> None:
        second, number = now_us // _SECOND_US, 0
        if self._seconds and self._seconds[-1][0] == second:
            number = self._seconds.pop()[1]
        self._seconds.append((second, number + 1))
        while self._seconds[0][0] < second - self._KEPT_S:
            self._seconds.popleft()

    def since(self, moment_us: int) -> Iterator[tuple[int, int]]:
        """Ends of seconds and numbers, oldest first; a second counts whole, so rather too many."""
        for second, number in self._seconds:
            end_us = (second + 1) * _SECOND_US
            if end_us > moment_us:
                yield end_us, number


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

    def __init__(self, calls_per_minute: int, clock: Clock) -> None:
        """*calls_per_minute* ≥ 1 is the setting, which no reply ever raises."""
        self._clock = clock
        self._started_us = self._now_us()
        self._rate = AccountRate(calls_per_minute, self._started_us)
        self._bucket = Bucket(calls_per_minute, self._started_us)
        self._own = _OwnCalls()
        self._line: dict[Priority, OrderedDict[_Waiter, None]] = {
            priority: OrderedDict() for priority in Priority
        }
        self._passed = 0
        """Ready results that went before a waiting post since the last post."""
        self._watcher: _Waiter | None = None
        """The one waiter that looks at the bucket; all others sleep until it is their turn."""
        self._held_until_us = self._started_us
        self._slowed_at_us: int | None = None
        self._slowed_until_us = self._started_us

    @property
    def calls_per_minute(self) -> int:
        """What may be used now, after all that the replies have taught."""
        return self._rate.per_minute(self._now_us())

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
        now_us = self._now_us()
        before = self._rate.ceiling
        self._rate.state(limit)
        if self._rate.ceiling < before:
            recent = self._own.since(now_us - _SPAN_US)
            self._bucket.set_limit(self._rate.per_minute(now_us), now_us, recent)
        if remaining is not None:
            self._see_foreign(limit - max(0, remaining), now_us, _us(waited_s))

    def slow_down(self, *, waited_s: float = 0.0) -> None:
        """The API refused a call because of the rate (40202): wait for its next minute, go slower.

        Of several calls that were under way together only the first counts; *waited_s*, the time
        from ``take`` to the reply, tells that a late one was among them.
        """
        now_us = self._now_us()
        if self._slowed_at_us is not None and (
            now_us < self._slowed_until_us or now_us - _us(waited_s) <= self._slowed_at_us
        ):
            return
        self._rate.slow_down(now_us)
        wall = self._clock.now()
        rest_us = _MINUTE_US - wall.second * _SECOND_US - wall.microsecond
        self._slowed_at_us = now_us
        # A second at least: our minute and the server's hardly begin together.
        self._slowed_until_us = now_us + max(_SECOND_US, rest_us)
        self._held_until_us = max(self._held_until_us, self._slowed_until_us)

    def pause_until(self, moment: datetime) -> None:
        """Let nothing out before *moment* (UTC); a longer pause that is under way stays."""
        wait_us = _us((moment - self._clock.now()).total_seconds())
        self._held_until_us = max(self._held_until_us, self._now_us() + wait_us)

    async def _watch(self, waiter: _Waiter) -> None:
        """Look at the bucket until *waiter* is first in line and has a call."""
        while True:
            wait_us = self._wait_us()
            first = self._first()
            if wait_us > 0:
                await self._clock.sleep(min(wait_us / _SECOND_US, self._LONGEST_SLEEP_S))
            elif first is waiter:
                now_us = self._now_us()
                self._bucket.reserve(now_us)
                self._own.add(now_us)
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

    def _wait_us(self) -> int:
        now_us = self._now_us()
        self._bucket.set_limit(self._rate.per_minute(now_us), now_us)
        return max(self._held_until_us - now_us, self._bucket.wait_us(now_us))

    def _see_foreign(self, used: int, now_us: int, waited_us: int) -> None:
        from_us = now_us - _SPAN_US - waited_us
        # A younger process cannot tell its predecessor's calls from foreign ones.
        if from_us < self._started_us or waited_us > _OwnCalls.SLOWEST_REPLY_US:
            return
        own = sum(number for _, number in self._own.since(from_us))
        self._rate.see_foreign(used - own, now_us)

    def _now_us(self) -> int:
        return _us(self._clock.monotonic())


def _us(seconds: float) -> int:
    return round(seconds * _SECOND_US)


class Kind(StrEnum):
    """Calls that have a small limit of their own beside the account's."""

    TASKS_READY = "tasks_ready"
    ID_LIST = "id_list"
    USER_DATA = "user_data"


LIMITS_PER_KIND: Final[Mapping[Kind, int]] = {
    Kind.TASKS_READY: 20,
    Kind.ID_LIST: 10,
    Kind.USER_DATA: 6,
}
"""Calls a minute, all providers together (API.md §3)."""


def next_slot(times_ms: Sequence[int], now_ms: int, limit: int) -> int:
    """Milliseconds until one more call of a kind may leave, 0 for now.

    *times_ms* are the moments of its calls as the store keeps them, at least those of the last
    61 s, in any order; *limit* is that of ``LIMITS_PER_KIND``, of which one call a minute is left
    unused (of 1, none). Wall time, because the log outlives processes.
    """
    if limit < 1:
        raise ValueError(f"a limit of {limit} calls a minute allows none")
    span_ms = _SPAN_US // 1_000
    # A call from further ahead than a span was logged before the clock was set back. Waiting for
    # it could take for ever; a small step back is waited out.
    recent = sorted(t for t in times_ms if abs(now_ms - t) <= span_ms)
    usable = max(1, limit - 1)
    if len(recent) < usable:
        return 0
    return recent[-usable] + span_ms + 1 - now_ms

"""A clock that only the test moves."""

import asyncio
from bisect import insort
from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2026, 11, 21, 2, 15, tzinfo=UTC)


class ManualClock:
    """A ``runner.clock.Clock`` whose time passes when somebody says so.

        ManualClock()                a sleeper moves the clock to its own waking, at once
        ManualClock(patient=True)    a sleeper waits until the test calls ``advance``

    Of several sleepers the earliest wakes first, as with real time. Wall and monotonic time move
    together, except in ``set_wall``: an operator or NTP turning the wall clock.
    """

    def __init__(self, start: datetime = START, *, patient: bool = False) -> None:
        self._wall = start
        self._monotonic = 1_000.0
        self._patient = patient
        self._sleepers: list[tuple[float, int]] = []
        self._numbered = 0
        self._moved = asyncio.Event()
        self._fell_asleep = asyncio.Event()
        self.slept: list[float] = []
        """Every wait that was asked for, in seconds."""

    def now(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, by: timedelta) -> None:
        """Let *by* pass; whoever slept until then goes on when the event loop comes to it."""
        if by < timedelta(0):
            raise ValueError("time does not run backwards; a wall clock does: set_wall")
        self._move_to(self._monotonic + by.total_seconds())

    def set_wall(self, moment: datetime) -> None:
        """Turn the wall clock to *moment*, forwards or back; no monotonic time passes."""
        self._wall = moment

    @property
    def sleeping(self) -> int:
        """How many tasks are asleep on this clock."""
        return len(self._sleepers)

    async def until_asleep(self, tasks: int = 1) -> None:
        """Wait until at least *tasks* are asleep: what they had to do before is done."""
        while self.sleeping < tasks:
            self._fell_asleep.clear()
            await self._fell_asleep.wait()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._numbered += 1
        me = (self._monotonic + max(seconds, 0.0), self._numbered)
        insort(self._sleepers, me)
        self._fell_asleep.set()
        try:
            # Others first: who has an earlier waking gets to say so.
            await asyncio.sleep(0)
            while self._monotonic < me[0]:
                if not self._patient and self._sleepers[0] == me:
                    self._move_to(me[0])
                elif self._patient:
                    self._moved.clear()
                    await self._moved.wait()
                else:
                    await asyncio.sleep(0)
        finally:
            self._sleepers.remove(me)

    def _move_to(self, monotonic: float) -> None:
        self._wall += timedelta(seconds=monotonic - self._monotonic)
        self._monotonic = monotonic
        self._moved.set()

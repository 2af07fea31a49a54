"""The allowance of a process that is the only one to call the account."""

from datetime import datetime

from runner.clock import Clock
from runner.pacing.bucket import MINUTE_US, SECOND_US, SPAN_US, Bucket, microseconds
from runner.pacing.learning import AccountRate, CallLog


class OwnAllowance:
    """A bucket, and what the replies to this process have taught about its limit."""

    def __init__(self, calls_per_minute: int, clock: Clock) -> None:
        self._clock = clock
        self._started_us = self._now_us()
        self._rate = AccountRate(calls_per_minute, self._started_us)
        self._bucket = Bucket(calls_per_minute, self._started_us)
        self._own = CallLog()
        self._slowed_at_us: int | None = None
        self._slowed_until_us = self._started_us

    @property
    def calls_per_minute(self) -> int:
        return self._rate.per_minute(self._now_us())

    @property
    def shared(self) -> bool:
        return False

    async def ask(self, wanted: int) -> None:
        """Nobody has to be asked."""

    def wait_us(self) -> int:
        now_us = self._now_us()
        self._bucket.set_limit(self._rate.per_minute(now_us), now_us)
        return max(self._slowed_until_us - now_us, self._bucket.wait_us(now_us))

    def use(self) -> None:
        now_us = self._now_us()
        self._bucket.reserve(now_us)
        self._own.add(now_us)

    def observe(self, limit: int, remaining: int | None, waited_us: int) -> None:
        now_us = self._now_us()
        before = self._rate.ceiling
        self._rate.state(limit)
        if self._rate.ceiling < before:
            recent = self._own.since(now_us - SPAN_US)
            self._bucket.set_limit(self._rate.per_minute(now_us), now_us, recent)
        if remaining is not None:
            self._see_foreign(limit - remaining, now_us, waited_us)

    def slow_down(self, waited_us: int) -> None:
        now_us = self._now_us()
        if self._slowed_at_us is not None and (
            now_us < self._slowed_until_us or now_us - waited_us <= self._slowed_at_us
        ):
            return
        self._rate.slow_down(now_us)
        self._slowed_at_us = now_us
        self._slowed_until_us = now_us + until_next_minute_us(self._clock.now())

    def _see_foreign(self, used: int, now_us: int, waited_us: int) -> None:
        from_us = now_us - SPAN_US - waited_us
        # A younger process cannot tell its predecessor's calls from foreign ones.
        if from_us < self._started_us or waited_us > CallLog.SLOWEST_REPLY_US:
            return
        own = sum(number for _, number in self._own.since(from_us))
        self._rate.see_foreign(used - own, now_us)

    def _now_us(self) -> int:
        return microseconds(self._clock.monotonic())


def until_next_minute_us(wall: datetime) -> int:
    """How long a refused caller waits for the API's next minute."""
    rest_us = MINUTE_US - wall.second * SECOND_US - wall.microsecond
    # A second at least: our minute and the server's hardly begin together.
    return max(SECOND_US, rest_us)

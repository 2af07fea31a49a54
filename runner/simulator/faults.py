"""What can go wrong on purpose: by chance (a rate) or to order (the next N calls).

Where a fault strikes decides what the caller can know afterwards:

    request ─▶ [before] ─▶ account changes ─▶ [after] ─▶ reply

A caller cannot tell the two sides apart; that is what the reconciler is for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

from runner.simulator.calls import CallKind


class Fault(StrEnum):
    """Everything that can be switched on. The names are those of scenario files."""

    DROP_BEFORE = "drop_before"
    """The connection closes without a reply; nothing was done."""
    DROP_AFTER = "drop_after"
    """The connection closes without a reply; the call took effect."""
    HTTP_500_BEFORE = "http_500_before"
    HTTP_500_AFTER = "http_500_after"
    HTTP_429 = "http_429"
    """A bare 429 of some proxy; nothing was done."""
    REDIRECT = "redirect"
    """307 to the same place; nothing was done."""
    STALL_BEFORE = "stall_before"
    """Silence for ``seconds``, then the connection closes; nothing was done."""
    STALL_AFTER = "stall_after"
    """The same after the call took effect."""
    SLOW = "slow"
    """The reply is right but comes ``seconds`` late."""
    CUT_BODY = "cut_body"
    """The connection closes in the middle of the reply."""
    GARBAGE_BODY = "garbage_body"
    """HTTP 200 with bytes that are no JSON; the call took effect."""
    HTML = "html"
    """HTTP 200 with a web page; the call took effect."""

    RATE_LIMITED = "rate_limited"
    """40202, whatever the window holds."""
    PAYMENT_REQUIRED = "payment_required"
    """HTTP 402 with 40200."""
    UNAUTHORIZED = "unauthorized"
    """HTTP 401 with 40100."""
    REFUSED_CALL = "refused_call"
    """HTTP 200 and a top-level error: ``code``, else 50000."""

    SHUFFLED = "shuffled"
    """The outcomes of a post come in another order."""
    TAG_DOUBLED = "tag_doubled"
    """Two outcomes carry the tag of the first."""
    TAG_FOREIGN = "tag_foreign"
    """One outcome carries a tag that was never sent."""
    TAG_MISSING = "tag_missing"
    """One outcome carries no tag."""
    TASK_MISSING = "task_missing"
    """One accepted task is left out of the reply."""
    ACCEPTED_TWICE = "accepted_twice"
    """The whole post takes effect twice; the reply tells of one."""

    TASK_REFUSED = "task_refused"
    """One task of a post is refused: ``code``, else the scenario's."""
    TASK_FAILS = "task_fails"
    """The task is taken, runs and fails: ``code``, else the scenario's."""
    TASK_STUCK = "task_stuck"
    """The task is taken and never ends by itself; a Live one ends with 50401 after 120 s."""
    TIMED_OUT = "timed_out"
    """A Live task ends with 50401, at once rather than after 120 s."""

    TOO_MANY = "too_many"
    """40209, whatever is open; AIsa says it by HTTP 429."""


INSTEAD: Final = frozenset(
    {
        Fault.DROP_BEFORE,
        Fault.HTTP_500_BEFORE,
        Fault.HTTP_429,
        Fault.REDIRECT,
        Fault.STALL_BEFORE,
        Fault.RATE_LIMITED,
        Fault.PAYMENT_REQUIRED,
        Fault.UNAUTHORIZED,
        Fault.REFUSED_CALL,
        Fault.TOO_MANY,
    }
)
"""These strike before the account changes: the call has no effect."""

OF_POSTS: Final = frozenset(
    {
        Fault.SHUFFLED,
        Fault.TAG_DOUBLED,
        Fault.TAG_FOREIGN,
        Fault.TAG_MISSING,
        Fault.TASK_MISSING,
        Fault.ACCEPTED_TWICE,
    }
)
"""These make sense for ``task_post`` only, but for those of ``OF_LIVE``."""

OF_LIVE: Final = frozenset({Fault.TAG_FOREIGN, Fault.TAG_MISSING, Fault.TASK_MISSING})
"""These make sense for Live calls as well."""

OF_TASKS: Final = frozenset(
    {Fault.TASK_REFUSED, Fault.TASK_FAILS, Fault.TASK_STUCK, Fault.TIMED_OUT}
)
"""These strike single tasks of a post, or that of a Live call."""

DEFAULT_SECONDS: Final = 5.0
"""How long SLOW and STALL last unless told."""


_Test = Callable[[Fault], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRate:
    """How often a fault strikes by chance."""

    fault: Fault
    rate: float
    """0 to 1, for each call (for each task with the faults of tasks)."""
    call: CallKind | None = None
    """None: every kind of call."""


@dataclass(slots=True, kw_only=True)
class Strike:
    """A fault ordered for the next *times* calls or tasks that fit."""

    fault: Fault
    times: int = 1
    skip: int = 0
    """Let so many that fit pass first."""
    call: CallKind | None = None
    seconds: float = DEFAULT_SECONDS
    code: int | None = None
    match: str | None = None
    """Only tasks whose prompt holds this text."""


class Faults:
    """Decides for each call, and each task of a post, whether something goes wrong."""

    def __init__(self, rates: tuple[FaultRate, ...], rng: Random) -> None:
        self.rates = rates
        self.struck: dict[Fault, int] = {}
        """How often each fault has struck."""
        self._rng = rng
        self._ordered: list[Strike] = []

    @property
    def ordered(self) -> Mapping[Fault, int]:
        """How many strikes of each fault are still to come."""
        left: dict[Fault, int] = {}
        for strike in self._ordered:
            left[strike.fault] = left.get(strike.fault, 0) + strike.times
        return left

    def arm(self, strike: Strike) -> None:
        """Order *strike*; earlier orders come first."""
        self._ordered.append(strike)

    def disarm(self) -> None:
        """Forget all orders; the rates stay."""
        self._ordered.clear()

    def for_call(self, kind: CallKind) -> Strike | None:
        """What goes wrong with the next call of *kind*."""
        return self._pick(lambda fault: _fits_call(fault, kind), kind, None)

    def for_task(self, prompt: str, kind: CallKind = CallKind.TASK_POST) -> Strike | None:
        """What goes wrong with the next task of a post, or with that of a Live call."""
        fitting = OF_TASKS if kind is CallKind.LIVE else OF_TASKS - {Fault.TIMED_OUT}
        return self._pick(fitting.__contains__, kind, prompt)

    def _pick(self, fits: _Test, kind: CallKind, prompt: str | None) -> Strike | None:
        strike = self._next_ordered(fits, kind, prompt) or self._by_chance(fits, kind)
        if strike is not None:
            self.struck[strike.fault] = self.struck.get(strike.fault, 0) + 1
        return strike

    def _next_ordered(self, fits: _Test, kind: CallKind, prompt: str | None) -> Strike | None:
        for strike in self._ordered:
            if not fits(strike.fault) or strike.call not in (None, kind):
                continue
            if strike.match is not None and strike.match not in (prompt or ""):
                continue
            if strike.skip > 0:
                strike.skip -= 1
                continue
            strike.times -= 1
            if strike.times <= 0:
                self._ordered.remove(strike)
            return strike
        return None

    def _by_chance(self, fits: _Test, kind: CallKind) -> Strike | None:
        for rate in self.rates:
            if fits(rate.fault) and rate.call in (None, kind) and self._rng.random() < rate.rate:
                return Strike(fault=rate.fault)
        return None


def _fits_call(fault: Fault, kind: CallKind) -> bool:
    if fault in OF_POSTS:
        return kind is CallKind.TASK_POST or (kind is CallKind.LIVE and fault in OF_LIVE)
    return fault not in OF_TASKS

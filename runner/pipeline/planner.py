"""What is known about when answers come, and the calls that follow from it. No I/O in here.

    list trusted ........... ask what it shows; by age only at 6, 24, 48 and 72 h
    list full, calls idle .. also by id what has probably finished, oldest first
    list not trusted ....... by id, at the age where a hit is likely; not known yet: 1 min doubling

The list is trusted while it answers, is not full of other people's ids, and agrees with what asking
by id brings: it has lately shown our tasks, or tasks it does not show were asked for in vain.
Nothing depends on it: one answer that it ought to have shown and did not ends the trust.
DESIGN.md §4 Fetching; API.md §3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from runner.curve import Curve
from runner.store.planning import Kept, Kind
from runner.task import Endpoint, Provider
from runner.windows import CHECKPOINTS, next_poll

FULL: Final = 1_000
"""Ids in one reply; a list of that length may hide others (API.md §3)."""

LATELY_S: Final = 15 * 60.0
"""How long the list is trusted after the last sign that it tells the truth."""

PROBE_S: Final = LATELY_S / 3
"""After so long without a sign one task is asked for by its id, to have one."""

SAMPLE: Final = 20
"""So many asks by id in vain, none in between that brought something the list had not shown, say
as much for an empty list as an id of ours in it."""

LAG: Final = timedelta(minutes=1)
"""So long after its end a task may be missing on the list, which is a little late (API.md §6)."""

LIKELY: Final = 0.9
"""Share of the answers that have come by an age at which a task has probably finished."""

SPARE: Final = 20
"""Asks in vain that guesses may cost before any answer has come."""

WASTE: Final = 0.04
"""And so many more for each answer: calls are for answers."""

SOONEST_S: Final = 3.3
"""Between two calls of the list, whosever: 19 a minute would be one every 3.2 s."""

LATEST_S: Final = 15.0
QUIET_S: Final = 60.0
"""Longest waits between two calls of one provider's list: while answers come, and when none has
come for a long time."""

ENOUGH_S: Final = 15.0
"""While so long is needed to fetch what is listed already, another call of it does not pay."""

_FIRST_S: Final = 2.0
_AT_ONCE: Final = 9
"""Calls of the list at the start that need not keep their distance."""

_LEAST_WAIT: Final = timedelta(seconds=10)


def next_ask(
    *,
    posted_at: datetime,
    now: datetime,
    interval: timedelta,
    list_trusted: bool,
    curve: Curve,
) -> datetime:
    """When to ask by id again for a task that is still running at *now*; later than *now*.

    *interval*: how long to wait where nothing is known. Never later than the next checkpoint,
    unless that is less than *interval* away, and never past the last moment for asking.
    """
    wait = interval
    if not list_trusted:
        age = max(timedelta(0), now - posted_at)
        likely = curve.next_age(age)
        if likely is not None:
            ahead = [checkpoint - age for checkpoint in CHECKPOINTS if checkpoint > age]
            wait = min([max(likely - age, _LEAST_WAIT), *(ahead[:1] or [interval])])
    return next_poll(posted_at=posted_at, now=now, interval=wait, list_trusted=list_trusted)


def first_ask(curve: Curve) -> timedelta | None:
    """The age at which a task is first asked for by its id while no list is trusted."""
    age = curve.next_age(timedelta(0))
    return None if age is None else min(max(age, _LEAST_WAIT), CHECKPOINTS[0])


class Trust:
    """Whether age-based asking may wait for its checkpoints."""

    def __init__(self) -> None:
        self._sign_at: float | None = None
        self._good: dict[Provider, bool] = {}
        self._vain = 0

    def begin_round(self, providers: Sequence[Provider]) -> None:
        """Forget what was said of providers that nothing waits for any more."""
        self._good = {p: good for p, good in self._good.items() if p in providers}

    def note(self, provider: Provider, *, good: bool, ours: int, now_s: float) -> None:
        """One call of the list: whether it answered with room to spare, how many were ours."""
        self._good[provider] = good
        if not good:
            self._vain = 0
        if ours:
            self._sign_at = now_s

    def note_vain(self, now_s: float) -> None:
        """A task that the list did not show was asked for, and has not finished: they agree."""
        if not self._good or not all(self._good.values()):
            return
        self._vain += 1
        # One is enough to go on, but not to begin.
        if self._vain >= SAMPLE or self.holds(now_s):
            self._sign_at = now_s

    def asks_by_age(self, most: int, now_s: float) -> int:
        """How many of *most* asks by id may be under way at once.

        Not more than are still missing for a sample while the list answers and nothing yet shows
        whether it tells the truth: where it does, the others would be in vain.
        """
        if not self._good or not all(self._good.values()) or self.holds(now_s):
            return most
        return min(most, max(1, SAMPLE - self._vain))

    def note_missed(self) -> None:
        """A task had finished, and the list did not show it when it should have."""
        self._sign_at = None
        self._vain = 0

    def holds(self, now_s: float) -> bool:
        """Whether the list can be relied on at *now_s* (monotonic seconds)."""
        sign = self._sign_at
        return all(self._good.values()) and sign is not None and now_s - sign <= LATELY_S

    def wants_probe(self, now_s: float) -> bool:
        """Whether the trust will end soon unless something speaks for it."""
        sign = self._sign_at
        return self.holds(now_s) and sign is not None and now_s - sign >= PROBE_S


@dataclass(slots=True)
class _Listing:
    """One provider's list."""

    asked_at_s: float
    answered_at: datetime | None
    """When it last answered, by our clock; None if it never did."""
    wait_s: float
    found_at_s: float
    full: bool


class Lists:
    """Whose list to ask next, and when. Seconds are monotonic ones."""

    def __init__(self) -> None:
        self._known: dict[Provider, _Listing] = {}
        self._last_s: float | None = None
        self._calls = 0

    def next(
        self, providers: Sequence[Provider], now_s: float, *, backlog_s: float = 0.0
    ) -> tuple[Provider, float] | None:
        """Whose list is next, and the seconds until then; None if nothing waits at all.

        *backlog_s*: how long fetching what was listed already will take.
        """
        if not providers:
            return None
        due = {p: self._due_s(p, now_s) for p in providers}
        chosen = min(providers, key=lambda p: due[p])
        wait_s = due[chosen] - now_s
        if self._last_s is not None and self._calls >= _AT_ONCE:
            wait_s = max(wait_s, self._last_s + SOONEST_S - now_s)
        if chosen in self._known:
            wait_s = max(wait_s, backlog_s - ENOUGH_S)
        return chosen, max(0.0, wait_s)

    def note(
        self, provider: Provider, *, ids: int, found: int, at_s: float, now: datetime | None
    ) -> None:
        """*provider*'s list was asked: it held *ids*, of which *found* are newly due. *now* is
        None if it did not answer."""
        known = self._known.get(provider)
        if known is None:
            known = self._known[provider] = _Listing(at_s, None, 0.0, at_s, False)
        if found:
            known.wait_s, known.found_at_s = SOONEST_S, at_s
        else:
            quiet_s = min(QUIET_S, max(LATEST_S, (at_s - known.found_at_s) / 20))
            known.wait_s = min(max(_FIRST_S, known.wait_s * 1.3), quiet_s)
        known.asked_at_s = self._last_s = at_s
        known.full = ids >= FULL
        known.answered_at = now or known.answered_at
        self._calls += 1

    def asked(self, providers: Sequence[Provider]) -> bool:
        """Whether the lists of all *providers* were asked in this start."""
        return all(provider in self._known for provider in providers)

    def full(self, provider: Provider) -> bool:
        """Whether *provider*'s list was full when last asked: what it did not show may be done."""
        known = self._known.get(provider)
        return known is not None and known.full

    def should_have_shown(
        self, provider: Provider, *, finished_at: datetime, claimed_at: datetime | None
    ) -> bool:
        """Whether a task that finished at *finished_at* (our clock) had to be on the list's last
        reply before it was claimed, so that its absence speaks against the list."""
        known = self._known.get(provider)
        if known is None or known.answered_at is None or known.full or claimed_at is None:
            return False
        return finished_at + LAG < known.answered_at < claimed_at

    def _due_s(self, provider: Provider, now_s: float) -> float:
        known = self._known.get(provider)
        return now_s if known is None else known.asked_at_s + known.wait_s


class Planner:
    """What one engine has learned about the account's answers."""

    def __init__(self) -> None:
        self.trust = Trust()
        self.lists = Lists()
        self.curves: dict[Kind, Curve] = {}
        self._changed: set[Kind] = set()
        self._answers = 0
        self._vain = 0

    def begin_lists(self) -> None:
        """The ready list is this worker's to read from now on; what it was before is forgotten."""
        self.trust = Trust()
        self.lists = Lists()

    def curve(self, kind: Kind) -> Curve:
        """When answers of *kind* come; an empty curve if none is known."""
        return self.curves.get(kind) or Curve()

    def learned(self, curves: Mapping[Kind, Curve]) -> None:
        """Begin with what earlier starts have learned."""
        self.curves = {**curves, **self.curves}

    def note_answer(self, kind: Kind, age: timedelta | None) -> None:
        """A task of *kind* has an answer, which came at *age*; None if the reply does not say."""
        self._answers += 1
        if age is not None:
            self.note_age(kind, age)

    def note_age(self, kind: Kind, age: timedelta) -> None:
        """An answer of *kind* came at *age*, whether it was asked for or delivered."""
        self.curves[kind] = self.curve(kind).add(max(timedelta(0), age))
        self._changed.add(kind)

    def note_vain(self, kind: Kind, now_s: float) -> None:
        """A task of *kind* that no list had shown was asked for, and was not finished."""
        self.curves.setdefault(kind, Curve())
        self._vain += 1
        self.trust.note_vain(now_s)

    def to_keep(self) -> dict[Kind, Kept]:
        """The curves that have changed since they were last kept."""
        return {
            kind: Kept(curve=self.curves[kind], first_ask=first_ask(self.curves[kind]))
            for kind in self._changed
        }

    def kept(self, curves: Mapping[Kind, Kept]) -> None:
        """*curves* are in the store."""
        self._changed -= {k for k, each in curves.items() if self.curves[k] is each.curve}

    @property
    def spare(self) -> int:
        """Asks in vain that guesses may still cost."""
        return max(0, int(SPARE + WASTE * self._answers) - self._vain)

    def guesses(self, wanted: int) -> int:
        """How many of *wanted* tasks may be asked for on the guess that they have finished."""
        return min(wanted, round(self.spare / (1 - LIKELY)))

    def likely_done(self, now: datetime) -> dict[Kind, datetime]:
        """Of each kind whose list is full, the moment of posting before which tasks have probably
        finished by *now*."""
        return {
            kind: now - age
            for kind, curve in self.curves.items()
            if (age := curve.age_by(LIKELY)) is not None and self._hidden(kind)
        }

    def _hidden(self, kind: Kind) -> bool:
        return self.lists.full(Endpoint.parse(kind.endpoint).provider)

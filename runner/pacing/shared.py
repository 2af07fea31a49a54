"""One limit for the processes of many hosts: who may make how many calls, and when.

    host A ── wants 200 ─▶ ┌ the account's row ┐ ─▶ 9 calls: one 0.70 s from now, one 0.73 s, …
    host B ── wants 3 ───▶ │ one schedule of   │ ─▶ 3 calls after those of A
    host C ── 40202! ────▶ └ all calls to come ┘ ─▶ none until the next minute; A and B neither

The row holds a bucket, and gives each call the earliest moment that the bucket allows, at most a
second ahead. So the moments of all hosts together keep the limit. A call may leave ``LATE_US``
after its moment and never later, which the bucket allows for: no minute at the server holds more
than the limit, however many hosts there are and however they end. What a host does not use is lost.

Pure: moments are microseconds of the store's clock, and *now* is an argument. A host knows its
calls by their distance from the store's now (``slices``), so no two clocks are ever compared.

Each waiting host may be ahead of the one that got least by its part of a second, and no more: busy
hosts share evenly, whatever their calls are for and whoever asks first. A host whose wishes are
met holds nobody back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from runner.pacing.bucket import MINUTE_US, SECOND_US, SPAN_US, Bucket
from runner.pacing.learning import AccountRate, CallLog, Lessons

AHEAD_US: Final = SECOND_US
"""How far ahead calls are given out."""

LATE_US: Final = 400_000
"""For so long after its moment a call may leave."""

BETWEEN_US: Final = 200_000
"""A host asks no more often; a busy one about once a second."""

EARLY_US: Final = 200_000
"""So long before its last call a host asks for more."""

_BUSY_US: Final = AHEAD_US - EARLY_US
"""How often a host asks whose part is never enough."""

_WAITING_US: Final = 2 * SECOND_US
"""Who waited when it last asked, and has not asked for so long, waits no more: it is gone."""

_PRESENT_US: Final = SPAN_US + LATE_US + AHEAD_US
"""For how long the setting of a host counts: until the server has forgotten all its calls."""

_CLOCK_SET_BACK_US: Final = 5 * SECOND_US
"""A smaller step back of the store's clock is waited out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a reply said of the account's minute."""

    calls: int
    """Limit − remaining."""
    left_ago_us: int
    """How long ago the call left that brought it."""
    came_ago_us: int
    """How long ago it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a host wants, and what it has learnt since it last asked."""

    host: str
    setting: int
    """Calls a minute at most, as this host was told."""
    wanted: int = 0
    """Callers that wait. 0: it only tells."""
    unused: int = 0
    """Calls given to it that never left."""
    stated: int | None = None
    """The limit that the API named, if that is news."""
    use: Use | None = None
    refused_ago_us: int | None = None
    """How long ago a call left that the API refused for the rate (40202)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What a host gets."""

    moments_us: tuple[int, ...] = ()
    """When each call may leave, microseconds after the store's now, in order."""
    again_us: int
    """When to ask again, if there is more to do then."""
    per_minute: int
    """What this host can count on while the others are as busy as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A host as it last asked."""

    asked_us: int
    setting: int
    waiting: int
    """Callers that got nothing."""
    served: int
    """Calls given to it, on a scale that is the same for all that wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRate:
    """The account's row. Moments are those of the store's clock."""

    since_us: int
    at_us: int
    """The newest now."""
    per_minute: int
    """The bucket's limit."""
    ceiling: int
    """The lowest setting of the hosts there are, or the stated limit if that is less."""
    credit: int
    credit_at_us: int
    """The bucket; at most ``AHEAD_US`` ahead of ``at_us``."""
    lessons: Lessons
    held_until_us: int
    """No call has a moment before it."""
    slowed_at_us: int | None = None
    """When a host last told of a 40202 that counted."""
    granted: int = 0
    """Calls ever given out."""
    calls: tuple[tuple[int, int], ...] = ()
    """Seconds, and the calls that have their moment in them."""
    hosts: Mapping[str, Seen] = field(default_factory=dict)


def grant(before: SharedRate | None, ask: Ask, now_us: int) -> tuple[SharedRate, Slice]:
    """The row after *ask*, and what the host gets. None as *before*: there is no row yet."""
    row = _begun(ask, now_us) if before is None else _at(before, now_us)
    # Another host may have come later and been first at the row.
    at_us = max(now_us, row.at_us)
    others = {
        host: seen
        for host, seen in row.hosts.items()
        if host != ask.host and at_us - seen.asked_us <= _PRESENT_US
    }
    setting = min([ask.setting, *(seen.setting for seen in others.values())])
    rate = AccountRate(setting, at_us, row.lessons)
    log = CallLog(row.calls)
    log.take_back(ask.unused)
    row = _learn(row, rate, log, ask, at_us)
    bucket = _bucket(row, rate, log, at_us)
    waiting = [
        seen for seen in others.values() if seen.waiting and at_us - seen.asked_us <= _WAITING_US
    ]
    served = _level(row.hosts.get(ask.host), waiting, others, at_us)
    part = -(-bucket.limit * AHEAD_US // (MINUTE_US * (len(waiting) + 1)))
    allowed = ask.wanted
    if waiting:
        ahead = served - min(seen.served for seen in waiting)
        allowed = max(0, min(allowed, part, part - ahead))
    moments = _moments(bucket, allowed, max(now_us, row.held_until_us), now_us + AHEAD_US)
    for moment_us in moments:
        log.add(moment_us)
    seen = Seen(
        asked_us=at_us,
        setting=ask.setting,
        waiting=ask.wanted - len(moments),
        served=served + len(moments),
    )
    after = replace(
        row,
        at_us=at_us,
        per_minute=bucket.limit,
        ceiling=rate.ceiling,
        credit=bucket.credit,
        credit_at_us=bucket.at_us,
        lessons=rate.lessons,
        granted=row.granted + len(moments),
        calls=log.seconds,
        hosts=others | {ask.host: seen},
    )
    return after, Slice(
        moments_us=tuple(moment_us - now_us for moment_us in moments),
        again_us=_again_us(after, bucket, ask.wanted, part, moments, now_us),
        per_minute=max(1, bucket.limit // (len(waiting) + 1)),
    )


def _begun(ask: Ask, now_us: int) -> SharedRate:
    """An empty bucket: what the server still remembers of others is not handed out again."""
    return SharedRate(
        since_us=now_us,
        at_us=now_us,
        per_minute=ask.setting,
        ceiling=ask.setting,
        credit=0,
        credit_at_us=now_us,
        lessons=Lessons(share_at_us=now_us, foreign_at_us=now_us),
        held_until_us=now_us,
    )


def _at(row: SharedRate, now_us: int) -> SharedRate:
    """The same row where the store's clock was set back: as if no time had passed since."""
    back_us = row.at_us - now_us
    if back_us <= _CLOCK_SET_BACK_US:
        return row
    return replace(
        row,
        since_us=row.since_us - back_us,
        at_us=row.at_us - back_us,
        credit_at_us=row.credit_at_us - back_us,
        lessons=replace(
            row.lessons,
            share_at_us=row.lessons.share_at_us - back_us,
            foreign_at_us=row.lessons.foreign_at_us - back_us,
        ),
        held_until_us=row.held_until_us - back_us,
        slowed_at_us=None if row.slowed_at_us is None else row.slowed_at_us - back_us,
        calls=tuple((second - back_us // SECOND_US, number) for second, number in row.calls),
        hosts={
            host: replace(seen, asked_us=seen.asked_us - back_us)
            for host, seen in row.hosts.items()
        },
    )


def _learn(row: SharedRate, rate: AccountRate, log: CallLog, ask: Ask, at_us: int) -> SharedRate:
    """Teach *rate* what the host has learnt; the row with what a refusal holds back."""
    if ask.stated is not None:
        rate.state(ask.stated)
    if ask.use is not None:
        left_us = at_us - ask.use.left_ago_us
        from_us = left_us - SPAN_US - LATE_US
        # Calls from before the row was made cannot be told from foreign ones.
        if from_us >= row.since_us and ask.use.left_ago_us <= CallLog.SLOWEST_REPLY_US:
            own = log.between(from_us, at_us - ask.use.came_ago_us)
            rate.see_foreign(ask.use.calls - own, at_us)
    if ask.refused_ago_us is None:
        return row
    # Of several calls that were under way together, at whatever hosts, only the first counts.
    slowed_us = row.slowed_at_us
    if slowed_us is not None and (
        at_us < row.held_until_us or at_us - ask.refused_ago_us <= slowed_us
    ):
        return row
    rate.slow_down(at_us)
    rest_us = MINUTE_US - at_us % MINUTE_US
    # A second at least: the store's minute and the server's hardly begin together.
    return replace(row, slowed_at_us=at_us, held_until_us=at_us + max(SECOND_US, rest_us))


def _bucket(row: SharedRate, rate: AccountRate, log: CallLog, at_us: int) -> Bucket:
    bucket = Bucket(row.per_minute, row.credit_at_us, late_us=LATE_US, credit=row.credit)
    then_us = max(at_us, row.credit_at_us)
    lowered = rate.ceiling < row.ceiling
    recent = log.since(then_us - SPAN_US - LATE_US) if lowered else None
    bucket.set_limit(rate.per_minute(at_us), then_us, recent)
    return bucket


def _level(me: Seen | None, waiting: list[Seen], others: Mapping[str, Seen], at_us: int) -> int:
    """Where a host stands. Who has waited since its last ask stays where it was; else nothing is
    saved up: it begins beside the one that got least, or, where nobody waits, most."""
    stood = me.served if me else 0
    if me and me.waiting and at_us - me.asked_us <= _WAITING_US:
        return stood
    if waiting:
        return max(stood, min(seen.served for seen in waiting))
    return max([stood, *(seen.served for seen in others.values())])


def _moments(bucket: Bucket, allowed: int, from_us: int, until_us: int) -> list[int]:
    moments: list[int] = []
    moment_us = max(from_us, bucket.at_us)
    while len(moments) < allowed and moment_us <= until_us:
        if wait_us := bucket.reserve(moment_us):
            moment_us += wait_us
        else:
            moments.append(moment_us)
    return moments


def _again_us(
    row: SharedRate, bucket: Bucket, wanted: int, part: int, got: list[int], now_us: int
) -> int:
    """When a host that *wanted* so many calls, of which a *part* was its own, asks again."""
    if not got:
        free_us = bucket.at_us + bucket.wait_us(bucket.at_us, min(wanted, part))
        again_us = free_us - AHEAD_US - now_us
    else:
        again_us = got[-1] - EARLY_US - now_us
        if wanted >= part:
            # It is not to have more, so it need not come before the others had their turn.
            again_us = max(again_us, _BUSY_US * len(got) // part)
    again_us = max(again_us, row.held_until_us - AHEAD_US - now_us)
    return min(max(again_us, BETWEEN_US), AHEAD_US)

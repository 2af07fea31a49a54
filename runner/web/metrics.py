"""What a monitor reads: counts and sums in Prometheus' text format (version 0.0.4)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Final

from runner.money import exact
from runner.store.care import Health
from runner.store.inbox import Gauges
from runner.store.pacing import Rate

CONTENT_TYPE: Final = "text/plain; version=0.0.4"


@dataclass(slots=True)
class Counts:
    """What the receiver has counted since it began."""

    accepted: int = 0
    """Postbacks and pingbacks that were answered with 200."""
    forged: int = 0
    """Without a valid signature: 404."""
    refused: int = 0
    """Signed, but empty, too large, no gzip, or too slow: 400, 408, 413."""
    overload: int = 0
    """Sent away for want of room or of a store that can be written: 503."""


def metrics_text(
    counts: Counts,
    gauges: Gauges,
    health: Health,
    *,
    rates: Sequence[Rate] = (),
    calls: int | None,
    now: datetime,
) -> str:
    """All metrics; *calls* are those of an engine in this process, None if there is none. *rates*:
    where many hosts share the limit of an account."""
    lines = chain(_lines(counts, gauges, calls, now), _of_the_store(health, now), _shared(rates))
    return "".join(f"{line}\n" for line in lines)


def _lines(counts: Counts, gauges: Gauges, calls: int | None, now: datetime) -> Iterator[str]:
    yield from _head("runner_tasks", "gauge", "Tasks by state.")
    for state, number in gauges.states.items():
        yield f'runner_tasks{{state="{state}"}} {number}'
    yield from _head("runner_usd", "gauge", "Money in US dollars: charged, reserved, at risk.")
    for kind, amount in (
        ("charged", gauges.charged),
        ("reserved", gauges.reserved),
        ("at_risk", gauges.at_risk),
    ):
        yield f'runner_usd{{kind="{kind}"}} {exact(amount)}'
    yield from _head("runner_posts_total", "counter", "Posts and Live calls ever intended.")
    yield f"runner_posts_total {gauges.posts}"
    if calls is not None:
        yield from _head("runner_calls_total", "counter", "Calls of the engine in this process.")
        yield f"runner_calls_total {calls}"
    yield from _head("runner_postbacks_total", "counter", "Deliveries, by what became of them.")
    for name in ("accepted", "forged", "refused", "overload"):
        yield f'runner_postbacks_total{{outcome="{name}"}} {getattr(counts, name)}'
    yield from _head("runner_inbox", "gauge", "Deliveries that wait to be booked.")
    yield f"runner_inbox {gauges.inbox}"
    yield from _head("runner_oldest_seconds", "gauge", "Age of the oldest that waits.")
    for name, moment in (
        ("delivery", gauges.oldest_delivery_at),
        ("posted", gauges.oldest_posted_at),
    ):
        age_s = 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
        yield f'runner_oldest_seconds{{what="{name}"}} {age_s:.3f}'


def _shared(rates: Sequence[Rate]) -> Iterator[str]:
    if not rates:
        return
    name = "runner_account_calls_total"
    yield from _head(name, "counter", "Calls that were given out to all hosts.")
    for rate in rates:
        yield f'{name}{{account="{rate.account}"}} {rate.granted}'
    name = "runner_account_calls_per_minute"
    yield from _head(name, "gauge", "What all hosts together may use.")
    for rate in rates:
        yield f'{name}{{account="{rate.account}"}} {rate.per_minute}'


def _of_the_store(health: Health, now: datetime) -> Iterator[str]:
    yield from _head("runner_store_bytes", "gauge", "Size of the store.")
    yield f"runner_store_bytes {health.bytes}"
    yield from _head("runner_store_warnings", "gauge", "What runner workers warns of.")
    yield f"runner_store_warnings {len(list(health.warnings()))}"
    if health.oldest_transaction is not None:
        name = "runner_store_oldest_transaction_seconds"
        yield from _head(name, "gauge", "For how long the oldest transaction has been open.")
        yield f"{name} {health.oldest_transaction.total_seconds():.3f}"
    if not health.tables:
        return
    yield from _head("runner_store_rows", "gauge", "Rows of what is rewritten most, estimated.")
    for each in health.tables:
        yield f'runner_store_rows{{table="{each.name}",kind="live"}} {each.live}'
        yield f'runner_store_rows{{table="{each.name}",kind="dead"}} {each.dead}'
    yield from _head("runner_store_vacuumed_seconds", "gauge", "Time since the last vacuum.")
    for each in health.tables:
        if each.vacuumed_at is not None:
            age_s = max(0.0, (now - each.vacuumed_at).total_seconds())
            yield f'runner_store_vacuumed_seconds{{table="{each.name}"}} {age_s:.0f}'


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"

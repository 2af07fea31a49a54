"""What a monitor reads: counts and sums in Prometheus' text format (version 0.0.4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from runner.money import exact
from runner.store.inbox import Gauges

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


def metrics_text(counts: Counts, gauges: Gauges, *, calls: int | None, now: datetime) -> str:
    """All metrics; *calls* are those of an engine in this process, None if there is none."""
    return "".join(f"{line}\n" for line in _lines(counts, gauges, calls, now))


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


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"

"""How many calls may leave, and whose turn it is.

    callers ──▶ line, by priority ──▶ allowance ──▶ call leaves ── up to 1 s ──▶ server counts 60 s
                 (pacer)                 ▲
            one process (SQLite):  a bucket of its own                       (own)
            many (PostgreSQL):     slices of one row that all of them share  (shared, slices)
                                         ▲
            min(setting, stated limit) lowered by 40202 and by foreign use   (learning)

The server counts what arrives, we see what leaves. What arrives within 60 s left within 61 s if
the way takes up to a second more for one call than for another, so the limit has to hold for any
61 s of ours. A bucket for b calls that gains g calls in 61 s lets at most ⌊b + g⌋ out in 61 s. It
is empty when a process starts: the calls of a process before it, which only the server remembers,
are then as if from the same bucket.

Sources: DESIGN.md §8; API.md §3 (POST and GET share one limit per account; headers are optional;
whether the server's minute slides or is fixed is unknown, so the harder, sliding one is assumed).
"""

from runner.pacing.bucket import Bucket
from runner.pacing.learning import AccountRate
from runner.pacing.pacer import Allowance, Pacer, Priority
from runner.pacing.shared import Ask, SharedRate, Slice, grant
from runner.pacing.slices import Slices
from runner.pacing.slots import LIMITS_PER_KIND, Kind, next_slot, set_back_ms

__all__ = [
    "LIMITS_PER_KIND",
    "AccountRate",
    "Allowance",
    "Ask",
    "Bucket",
    "Kind",
    "Pacer",
    "Priority",
    "SharedRate",
    "Slice",
    "Slices",
    "grant",
    "next_slot",
    "set_back_ms",
]

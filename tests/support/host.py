"""`runner` as on a machine of its own: ``python -m tests.support.host NAME=NUMBER … ARGUMENTS…``

ahead_s=600     its wall clock is so many seconds ahead of this machine's
hurry=10        it takes silent workers for dead so many times sooner
few=1000        so many calls a minute of each kind that has a small limit of its own
"""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from runner import clock
from runner.pacing import LIMITS_PER_KIND, Kind
from runner.store import workers


def _ahead(seconds: float) -> None:
    def now(_clock: clock.SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=seconds)

    vars(clock)["SystemClock"].now = now


def _hurry(times: float) -> None:
    for name in ("BEAT", "SILENCE", "GRACE", "OVERDUE", "LEASE", "RENEW"):
        vars(workers)[name] /= times
    # Whoever imports them from here on has the shortened ones; this one is not among them.
    from runner.app import presence

    vars(presence)["LOOK"] /= times


def _few(calls: float) -> None:
    assert isinstance(LIMITS_PER_KIND, dict)
    LIMITS_PER_KIND.update(dict.fromkeys(Kind, round(calls)))


CHANGES: Final[Mapping[str, Callable[[float], None]]] = {
    "ahead_s": _ahead,
    "hurry": _hurry,
    "few": _few,
}


def main(*words: str) -> int:
    """Be that machine; the exit code of the command."""
    left = list(words)
    while "=" in left[0]:
        name, _, number = left.pop(0).partition("=")
        CHANGES[name](float(number))
    from runner.cli import main as run

    return run(left)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""`runner` as it is, but for the API's limits: python3 -m bench.ours ARGUMENTS OF RUNNER.

What is measured is our overhead, so what keeps a polite distance to the API is taken away: the pace
of the calls, the wait before a task is asked for, the wait for what the ready list shows, and the
room that asking by age leaves to other calls. Everything else, every sync among it, is as a user
has it.
"""

import sys
from contextlib import ExitStack
from datetime import timedelta
from unittest.mock import patch

from runner.app import pacers
from runner.cli import main
from runner.pacing import Pacer, Priority
from runner.pipeline import planner, poller
from runner.pipeline.planner import Trust
from runner.store.sqlite import ready_list


class Unpaced(Pacer):
    """Lets every call out at once."""

    async def take(self, priority: Priority) -> None:
        """Return."""


def lift(stack: ExitStack) -> None:
    """Take the limits away until *stack* is closed."""
    stack.enter_context(patch.object(pacers, "Pacer", Unpaced))
    stack.enter_context(patch.object(ready_list, "FIRST_POLL", timedelta(0)))
    # What takes its place once enough answers have come.
    stack.enter_context(patch.object(planner, "first_ask", lambda _curve: timedelta(0)))
    stack.enter_context(patch.object(poller, "SPECULATIVE", 1_000_000))
    stack.enter_context(patch.object(Trust, "asks_by_age", lambda _self, most, _now_s: most))


if __name__ == "__main__":
    with ExitStack() as patches:
        lift(patches)
        sys.exit(main())

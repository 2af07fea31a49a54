"""Opens store, client and clock, starts the stages, and ends them in good order.

    settings ─▶ store (one engine) ─▶ load ─▶ account checked ─▶ the stages ─▶ export

One start of a job ends when nothing can be done any more, when its time is over, or when somebody
stops it; whatever it leaves is in the store, and the next start goes on from there.
"""

from runner.app.dry import dry_run
from runner.app.running import retry_run, run_job
from runner.app.values import (
    DryRun,
    Failures,
    Progress,
    Reporter,
    RunOptions,
    RunSummary,
    StopSwitch,
)

__all__ = [
    "DryRun",
    "Failures",
    "Progress",
    "Reporter",
    "RunOptions",
    "RunSummary",
    "StopSwitch",
    "dry_run",
    "retry_run",
    "run_job",
]

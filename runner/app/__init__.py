"""Opens store, client and clock, starts the stages, and ends them in good order.

    settings ─▶ store (one engine) ─▶ load ─▶ account checked ─▶ the stages ─▶ export

One start of a job ends when nothing can be done any more, when its time is over, or when somebody
stops it; whatever it leaves is in the store, and the next start goes on from there.
"""

from runner.app.asking import Account, ModelList, list_models, read_account
from runner.app.auditing import audit_now
from runner.app.daemon import Watch, work
from runner.app.dry import dry_run
from runner.app.limits import Limits
from runner.app.loading import load_job
from runner.app.planning import Broken, Plan, plan_job
from runner.app.receiving import serve
from runner.app.running import refuse_twice, retry_run, run_job, run_jobs
from runner.app.steps import Step, collect, submit
from runner.app.values import (
    DryRun,
    Failures,
    Loaded,
    Progress,
    Reporter,
    RunOptions,
    RunSummary,
    Spending,
    StepSummary,
    StopSwitch,
    Working,
    WorkSummary,
)
from runner.app.whose import bears_tag

__all__ = [
    "Account",
    "Broken",
    "DryRun",
    "Failures",
    "Limits",
    "Loaded",
    "ModelList",
    "Plan",
    "Progress",
    "Reporter",
    "RunOptions",
    "RunSummary",
    "Spending",
    "Step",
    "StepSummary",
    "StopSwitch",
    "Watch",
    "WorkSummary",
    "Working",
    "audit_now",
    "bears_tag",
    "collect",
    "dry_run",
    "list_models",
    "load_job",
    "plan_job",
    "read_account",
    "refuse_twice",
    "retry_run",
    "run_job",
    "run_jobs",
    "serve",
    "submit",
    "work",
]

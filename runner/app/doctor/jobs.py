"""A job as tonight's run would take it up: its file, every row of its input, its limits."""

from pathlib import Path
from shlex import quote
from typing import Final

from runner.app.accounts import check_accounts
from runner.app.doctor.finding import Finding, doubtful, fine, of_error, wrong
from runner.app.planning import Plan, plan_job
from runner.app.values import Progress, RunOptions
from runner.clock import Clock
from runner.errors import CredentialsRefused, Problem, RunnerError, WrongInput
from runner.jobfile import load_job
from runner.money import short
from runner.pipeline.loader import LoadReport
from runner.settings import ApiKind, Settings
from runner.store.values import Run, RunStatus
from runner.task import Gateway

_BALANCE: Final = "balance"


class _Counting:
    """Hears what loading tells, and keeps only how many mistakes there were."""

    def __init__(self) -> None:
        self.problems = 0

    def problem(self, problem: Problem) -> None:
        self.problems += 1

    def note(self, text: str) -> None:
        """Said by the run itself."""

    def begun(self, run: Run, load: LoadReport | None, status: RunStatus) -> None:
        """Nothing begins."""

    def progress(self, progress: Progress) -> None:
        """Nothing moves."""


async def look_at_job(
    reference: str, settings: Settings, *, ask: bool, clock: Clock
) -> list[Finding]:
    """What would stop or spoil a run of the job that *reference* means; the balance is looked at
    only if the API may be *asked*."""
    heard = _Counting()
    try:
        job = load_job(reference, workspace=settings.workspace)
        check_accounts(job, settings)
        through = {target.endpoint.gateway for target in job.targets}
        if Gateway.AISA in through and settings.api.kind is not ApiKind.SIM:
            settings.aisa()
        plan = await plan_job(
            job,
            RunOptions(source=str(Path(reference))),
            samples=0,
            settings=settings,
            clock=clock,
            reporter=heard,
            ask=ask,
        )
    except CredentialsRefused as error:
        return [of_error("job", error)]
    except WrongInput as error:
        mistakes = heard.problems or len(error.problems)
        how = f"runner check {quote(reference)}" if mistakes else error.how
        return [wrong("job", f"{reference}: {error.what}", how)]
    except RunnerError as error:
        return [of_error("job", error)]
    return _about(plan, reference)


def _about(plan: Plan, reference: str) -> list[Finding]:
    name = plan.status.run.name
    parts = [plan.formula, f"{plan.to_post:,} to post"]
    if plan.to_post and plan.cost:
        parts.append(f"expected {short(plan.cost.expected)}")
    findings = [fine("job", f"{name}: {', '.join(filter(None, parts))}")]
    if changed := plan.status.changed:
        text = f"{name}: {changed:,} edited since they were asked are left alone"
        findings.append(
            doubtful("job", text, f"runner run {quote(reference)} --changed ask, or keep")
        )
    for broken in plan.broken:
        text = f"{name}: {broken.limit} would stop it: {broken.why}"
        say = wrong if broken.limit == _BALANCE else doubtful
        findings.append(say("job", text, f"runner plan {quote(reference)}"))
    return findings

"""The limits of runs that nobody names a job file for: what `submit` and `work` must know."""

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from runner.app.starting import ceiling_of
from runner.errors import WrongInput
from runner.jobfile import Overrides, load_job
from runner.jobfile.job import CONFIRM_ABOVE
from runner.money import nanos
from runner.store.values import Ceiling, Run

_Known = tuple[Ceiling, int]
"""A job's limits, and the amount above which a person is asked."""


class Limits:
    """Looks up the job files of runs, each again only when it was changed."""

    def __init__(
        self,
        workspace: Path,
        overrides: Overrides | None = None,
        *,
        accounts: Collection[str] | None = None,
    ) -> None:
        """*accounts*: those that targets may name; None: any."""
        self._workspace = workspace
        self._accounts = accounts
        self._overrides = overrides or Overrides()
        self._known: dict[str, tuple[int, _Known]] = {}

    def of(self, run: Run) -> Ceiling:
        """What the job file of *run* allows to be spent and held; of a data file, what was given
        here.

        Raises:
            WrongInput: the job file is gone, broken, or another job's now: nothing says the limits.
        """
        ceiling, _ = self._of(run)
        given = self._overrides
        # What the latest start of the run was given goes before its job file, too.
        if given.budget_usd is None and run.given_budget is not None:
            ceiling = replace(ceiling, budget=run.given_budget)
        if given.max_hold_usd is None and run.given_hold is not None:
            ceiling = replace(ceiling, hold=run.given_hold)
        return ceiling

    def confirm_above(self, run: Run) -> int:
        """Above which amount a person is asked before tasks of *run* are posted, nano-dollars.

        Raises:
            WrongInput: as ``of``.
        """
        return self._of(run)[1]

    def _of(self, run: Run) -> "_Known":
        if not run.job_file:
            given = self._overrides
            ceiling = Ceiling(budget=_nanos(given.budget_usd), hold=_nanos(given.max_hold_usd))
            return ceiling, CONFIRM_ABOVE
        try:
            changed_at = Path(run.job_file).stat().st_mtime_ns
        except OSError as error:
            raise _unknown(run, error.strerror or str(error)) from error
        known = self._known.get(run.job_file)
        if known is None or known[0] != changed_at:
            known = changed_at, self._read(run)
            self._known[run.job_file] = known
        return known[1]

    def _read(self, run: Run) -> "_Known":
        try:
            job = load_job(run.job_file, workspace=self._workspace, overrides=self._overrides)
        except WrongInput as error:
            raise _unknown(run, error.what) from error
        if job.name != run.job:
            raise _unknown(run, f"it is the job {job.name} now")
        known = self._accounts
        missing = {each.account for each in job.targets if each.account} - set(known or ())
        if known is not None and missing:
            raise WrongInput(
                f"nothing of {run.name} is posted: a target's account is not in [accounts] here",
                where=run.job_file,
                why=f"it names {', '.join(sorted(missing))}",
                how="put it into [accounts] of runner.toml, and start again",
            )
        return ceiling_of(job), job.confirm_above_nanousd


def _nanos(amount: Decimal | None) -> int | None:
    return None if amount is None else nanos(amount)


def _unknown(run: Run, why: str) -> WrongInput:
    key = f" --run {run.key}" if run.key else ""
    return WrongInput(
        f"nothing of {run.name} is posted: its job file does not say the budget any more",
        where=run.job_file,
        why=why,
        how=f"mend that file, or start it from where it is now: runner run FILE.toml{key}",
    )

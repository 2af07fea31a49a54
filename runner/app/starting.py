"""Which run a start belongs to, and what loading makes of it."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from runner import parameters
from runner.api.models import always_reasons
from runner.api.wire import Model
from runner.app.accounts import check_accounts
from runner.app.asking import kept_models
from runner.app.values import RunOptions
from runner.clock import Clock
from runner.errors import WrongInput
from runner.jobfile.job import Job
from runner.lifecycle import WAITING
from runner.money import ADVANCE, BASE_PRICE_LIVE, BASE_PRICE_STANDARD
from runner.settings import Settings
from runner.store.protocol import TaskStore
from runner.store.values import Ceiling, Run
from runner.task import Method, Target

ASSUME_EXPENSIVE: Final = 50_000_000
"""Reserve of an attempt with web search, reasoning or Live: $0.05 (DESIGN.md §5)."""


def least_price(method: Method) -> int:
    """What the API takes for a task at once, in nano-dollars (API.md §5 Cost)."""
    return BASE_PRICE_LIVE if method is Method.LIVE else ADVANCE + BASE_PRICE_STANDARD


def reserve_of(
    target: Target,
    *,
    columns: Sequence[str] = (),
    assumed: int | None = None,
    models: Sequence[Model] = (),
) -> int:
    """The least that is set aside for one attempt, in nano-dollars: the advance is no ceiling.

    *columns* override request fields row by row; *assumed* is what the job says an answer costs;
    *models* are those of the provider, as far as they are known. The store sets aside more where
    answers of this kind have cost more.
    """
    endpoint = target.endpoint
    if assumed is None:
        reasons = always_reasons(endpoint.provider, target.model, models)
        asked = (target.parameters, dict.fromkeys(columns, True))
        dear = any(parameters.expensive(each, reasoning_model=reasons) for each in asked)
        assumed = ASSUME_EXPENSIVE if dear or endpoint.method is Method.LIVE else 0
    return max(least_price(endpoint.method), assumed)


def ceiling_of(job: Job) -> Ceiling:
    """The limits on a run's money that the job sets."""
    return Ceiling(
        budget=job.budget_nanousd,
        hold=job.max_hold_nanousd,
        day=job.day_budget_nanousd,
        floor=job.balance_floor_nanousd,
    )


async def plan_run(
    store: TaskStore, job: Job, options: RunOptions, settings: Settings, clock: Clock
) -> Run:
    """The run that this start belongs to; if it is not there yet, as it will be, with id 0.

    Nothing is written: a start that is refused leaves no run behind that a later one would go on
    with.

    Raises:
        WrongInput: ``--run`` names none, ``--fresh`` would leave an unfinished run behind, the run
            was begun with another API, or a target names an account that there is not.
    """
    check_accounts(job, settings)
    key = job.run_key(clock.now()) if options.key is None else options.key
    newest = await store.newest_run(job.name, key)
    if options.key is not None and newest is None:
        raise WrongInput(
            f"{job.name} has no run {options.key}", how="see which there are: runner status"
        )
    if newest is not None and not options.fresh:
        _refuse_another_api(newest, settings)
        return replace(newest, source=options.source)
    if newest is not None:
        await _refuse_if_unfinished(store, newest, options)
    return Run(
        id=0,
        job=job.name,
        source=options.source,
        key=key,
        fresh=newest.fresh + 1 if newest else 0,
        api=str(settings.api),
        key_columns=job.key_columns,
        created_at=clock.now(),
    )


async def begin_run(
    store: TaskStore, job: Job, planned: Run, settings: Settings, clock: Clock
) -> Run:
    """Make *planned* if it is not there yet; bring its targets up to date.

    Raises:
        WrongInput: a target of that name asks another API now.
    """
    lists = kept_models(settings=settings, clock=clock)
    models = {provider: each.models for provider, each in lists.items()}
    return await store.begin_run(
        job=planned.job,
        key=planned.key,
        fresh=planned.fresh,
        api=planned.api,
        key_columns=planned.key_columns,
        targets=[
            (
                target,
                reserve_of(
                    target,
                    columns=job.input.parameters,
                    assumed=job.assume_nanousd,
                    models=models.get(target.endpoint.provider, ()),
                ),
            )
            for target in job.targets
        ],
        tries=job.tries,
        live_resend=job.live_resend,
        source=planned.source,
        now=clock.now(),
    )


def _refuse_another_api(run: Run, settings: Settings) -> None:
    """What a rehearsal has answered must never be taken for answers of the real API, or paid."""
    # A store is bound to its accounts only when one is called, and a finished run calls none.
    if run.api in {str(each.api) for each in (settings, *settings.each_account())}:
        return
    raise WrongInput(
        f"{run.name} was begun with the API {run.api}, and this start would call {settings.api}",
        where=settings.store_name,
        why="answers and costs of two APIs must not mix in one run",
        how=f"the same command with --api {run.api}, or with another store: --store FILE",
    )


async def _refuse_if_unfinished(store: TaskStore, newest: Run, options: RunOptions) -> None:
    status = await store.status(newest.id)
    waiting = sum(status.states[state] for state in WAITING)
    if waiting and not options.pay_again:
        raise WrongInput(
            f"{newest.name} is not finished: "
            + ("1 task waits" if waiting == 1 else f"{waiting:,} tasks wait"),
            why="a fresh run would ask, and pay for, the same questions again",
            how=f"{options.again or shlex.join(['runner', 'run', newest.job])}   "
            "(--pay-again insists on a new one)",
        )


def for_run(job: Job, run: Run) -> Job:
    """The job with the key columns that its run began with."""
    return replace(job, key_columns=run.key_columns)

"""What a start of a job would send, hold and cost, told before anything is spent.

job ─▶ a copy of the store, loaded for real ─▶ per target: tasks, cost, hold, calls
API ─▶ one free call for the balance ─────────▶ which limit would it break?
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date
from typing import Final

import anyio

from runner.api.errors import ApiError
from runner.api.wire import AccountData
from runner.app.identity import check_identity
from runner.app.loading import decide
from runner.app.opening import free_calls
from runner.app.rehearsing import rehearsal
from runner.app.starting import begin_run, ceiling_of, for_run, plan_run
from runner.app.values import Reporter, RunOptions
from runner.clock import Clock
from runner.errors import CredentialsRefused, RunnerError
from runner.jobfile.job import Job
from runner.lifecycle import UNSUCCESSFUL, WAITING, State
from runner.money import short
from runner.pipeline.loader import check_input, load
from runner.reports.estimate import Range, TargetEstimate, estimate, total
from runner.settings import ApiKind, Settings
from runner.store.history import FirstRequest
from runner.store.values import Ceiling, RunStatus
from runner.task import Gateway

_PATIENCE_S: Final = 20.0
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the API said of the account."""

    account: AccountData | None
    """None if it was not asked, or did not answer."""
    trouble: RunnerError | None
    """Why not."""
    asked: bool = True
    """Whether the API was called: it cannot be without credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A limit that would stop the start before its last task."""

    limit: str
    """As the job file calls it; ``balance`` where the API sets it."""
    why: str
    enough: int
    """What would do in its place, nano-dollars; of a floor, what is missing to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a start would come to; nothing was sent, and nothing kept."""

    status: RunStatus
    """Of the run as it would be once the input is queued."""
    formula: str
    """``50 rows × 3 targets = 150 tasks``; empty for a run that is only gone on with."""
    targets: tuple[TargetEstimate, ...]
    cost: Range | None
    """Of all tasks to post; None where of some targets nothing is known."""
    ceiling: Ceiling
    calls_per_minute: int
    known: Known
    broken: tuple[Broken, ...]
    samples: tuple[FirstRequest, ...]

    @property
    def to_post(self) -> int:
        """Tasks that would be posted."""
        return sum(each.history.to_post for each in self.targets)

    @property
    def done(self) -> int:
        """Tasks of the run that are answered already."""
        return self.status.states[State.COMPLETED]

    @property
    def failed(self) -> int:
        """Tasks that ended without an answer, cancelled ones aside."""
        return sum(self.status.states[state] for state in UNSUCCESSFUL)

    @property
    def cancelled(self) -> int:
        """Tasks that a person dropped, and follow-ups that came to nothing."""
        return self.status.states[State.CANCELLED]

    @property
    def waiting(self) -> int:
        """Tasks that have not ended and would not be posted: they are out, in doubt, or held."""
        return sum(self.status.states[state] for state in WAITING) - self.to_post

    @property
    def hold(self) -> int:
        """What posting them all would take from the balance, nano-dollars."""
        return sum(each.hold for each in self.targets)

    @property
    def posts(self) -> int:
        """Calls that post."""
        return sum(each.posts for each in self.targets)

    @property
    def fetches(self) -> int:
        """Calls that fetch, at least."""
        return sum(each.fetches for each in self.targets)

    def seconds(self, calls: int) -> float:
        """How long *calls* take at least, at the rate that is used."""
        return calls * 60 / self.calls_per_minute


async def plan_job(
    job: Job,
    options: RunOptions,
    *,
    samples: int,
    settings: Settings,
    clock: Clock,
    reporter: Reporter,
    ask: bool = True,
) -> Plan:
    """Work out what starting *job* now would come to. Nothing is sent but one free call, and not
    even that unless *ask*.

    Raises:
        WrongInput: as ``run_job`` would, for the job and its input.
    """
    async with rehearsal(job, options, settings=settings, clock=clock) as copy:
        store = copy.store
        run = await plan_run(store, job, options, settings, clock)
        await check_identity(store, [(job, run, options)], reporter, planning=True)
        formula, source = "", None
        if options.key is None:
            as_run = for_run(job, run)
            source = await check_input(
                as_run,
                reporter.problem,
                key_columns=run.key_columns,
                # What is left out is told, and written by the start that does leave it out.
                skip_bad=options.skip_bad and copy.folder / "rejects",
                again=options.again,
            )
            run = await begin_run(store, job, run, settings, clock)
            as_run = for_run(job, run)
            report = await load(store, as_run, run, source, clock=clock, limit=options.limit)
            formula = report.formula
        await decide(store, job, run, source, options, clock)
        status = await store.status(run.id)
        estimates = tuple(estimate(each) for each in await store.target_history(run.id))
        requests = await store.first_requests(run.id, samples)
        today = (clock.now().astimezone(UTC).date() - _EPOCH).days
        spent_today = await store.spent_on(job.name, today)
    known = Known(account=None, trouble=None, asked=False)
    if ask:
        known = await _ask(settings, clock, counted=copy.original)
    stated = known.account.calls_per_minute if known.account else None
    ceiling = ceiling_of(job)
    return Plan(
        status=status,
        formula=formula,
        targets=estimates,
        cost=total(estimates),
        ceiling=ceiling,
        calls_per_minute=min(filter(None, [settings.calls_per_minute, stated])),
        known=known,
        broken=tuple(_broken(ceiling, status, estimates, known, spent_today)),
        samples=tuple(requests),
    )


async def _ask(settings: Settings, clock: Clock, *, counted: bool) -> Known:
    """The account, if it can be had: a plan is worth something without it, too."""
    if settings.api.kind is ApiKind.SIM and not settings.store.exists():
        # Asking would make the simulated account, and a plan makes nothing.
        return Known(account=None, trouble=None, asked=False)
    try:
        with anyio.fail_after(_PATIENCE_S):
            return Known(account=await _account(settings, clock, counted=counted), trouble=None)
    except (ApiError, CredentialsRefused) as error:
        return Known(account=None, trouble=error, asked=isinstance(error, ApiError))
    except TimeoutError:
        silent = RunnerError(f"the API did not answer within {_PATIENCE_S:.0f} seconds")
        return Known(account=None, trouble=silent)


async def _account(settings: Settings, clock: Clock, *, counted: bool) -> AccountData:
    """What the API says of the account; of several the sums, as any of them may pay."""
    found = []
    for one in settings.each_account():
        async with free_calls(one, clock=clock, counted=counted) as api:
            found.append(await api.user_data())
    balances = [each.balance_nanousd for each in found if each.balance_nanousd is not None]
    calls = [each.calls_per_minute for each in found if each.calls_per_minute is not None]
    return replace(
        found[0],
        balance_nanousd=sum(balances) if len(balances) == len(found) else None,
        calls_per_minute=sum(calls) if len(calls) == len(found) else None,
    )


def _broken(
    ceiling: Ceiling,
    status: RunStatus,
    targets: tuple[TargetEstimate, ...],
    known: Known,
    spent_today: int,
) -> list[Broken]:
    """The limits that would be reached, by the expected cost; by what is set aside for each task
    where nothing is expected."""
    left = [each for each in targets if each.history.to_post]
    if not left:
        return []
    money, to_come = status.money, _to_come(left)
    dearest = max(each.history.reserve for each in left)
    gone = money.charged + money.reserved + money.at_risk
    found = []
    # A task is posted while its whole reserve fits, though it may cost less.
    if ceiling.budget is not None and gone + max(to_come, dearest) > ceiling.budget:
        why = f"{short(gone)} gone and {short(to_come)} to come, of {short(ceiling.budget)}"
        found.append(Broken(limit="budget_usd", why=why, enough=gone + max(to_come, dearest)))
    if ceiling.day is not None and spent_today + max(to_come, dearest) > ceiling.day:
        why = f"{short(spent_today)} gone today and {short(to_come)} to come"
        why += f", of {short(ceiling.day)}"
        enough = spent_today + max(to_come, dearest)
        found.append(Broken(limit="budget_usd_per_day", why=why, enough=enough))
    if ceiling.hold is not None and ceiling.hold < dearest:
        why = f"not even one task fits into {short(ceiling.hold)}: {short(dearest)} is set aside"
        found.append(Broken(limit="max_hold_usd", why=why, enough=dearest))
    # Only DataForSEO tells a balance.
    ours = [each for each in left if each.history.endpoint.gateway is Gateway.DATAFORSEO]
    balance = known.account.balance_nanousd if known.account else None
    if balance is not None and ours:
        hold = sum(each.hold for each in ours)
        if ceiling.hold is not None:
            hold = min(hold, max(0, ceiling.hold - money.reserved - money.at_risk))
        needed, floor = max(hold, _to_come(ours)), ceiling.floor or 0
        if balance - needed < floor:
            why = f"{short(balance)} is there, {short(needed)} will be held or spent"
            why += f", and {short(floor)} is to stay" if floor else ""
            limit = "balance_floor_usd" if floor else "balance"
            found.append(Broken(limit=limit, why=why, enough=needed + floor - balance))
    return found


def _to_come(targets: Sequence[TargetEstimate]) -> int:
    return sum(
        each.history.reserve * each.history.to_post if each.cost is None else each.cost.expected
        for each in targets
    )

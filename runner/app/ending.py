"""How a start ended: the exit code, computed from the store and from what stopped the stages."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from runner.app.values import RunOptions, StopSwitch
from runner.errors import Exit, MoneyStopped, RunnerError, TryLater, gravest
from runner.lifecycle import UNSUCCESSFUL, WAITING, State
from runner.money import ADVANCE, BASE_PRICE_STANDARD, NANOS_PER_DOLLAR, short
from runner.pipeline.engine import Signals
from runner.store.reconciling import Incident
from runner.store.values import Idle, RunStatus

LEAST_RESERVE: Final = ADVANCE + BASE_PRICE_STANDARD
"""Nothing is known of a run's prices before its first answer but what posting takes."""

RESERVES_OF_ROOM: Final = 10


def exit_of(
    statuses: Iterable[RunStatus],
    options: RunOptions,
    *,
    reason: RunnerError | None,
    stop: StopSwitch,
) -> Exit:
    """The gravest code that applies (DESIGN.md §11)."""
    codes = [exit_of_run(status, options) for status in statuses]
    if reason is not None:
        codes.append(reason.exit_code)
    if stop.exit is not None:
        codes.append(stop.exit)
    return gravest(codes)


def exit_of_run(status: RunStatus, options: RunOptions) -> Exit:
    """0, 1 or 3, from the run's tasks alone."""
    # What only a person's decision lets go on is no reason to be quiet: the next start would not
    # pick it up, nor the one after it.
    if waiting(status) > status.undecided:
        return Exit.NOT_FINISHED
    unsuccessful = sum(status.states[state] for state in UNSUCCESSFUL) + status.rejected
    failed = options.failures.too_many(unsuccessful, status.tasks + status.rejected)
    # What --limit leaves out of this start is left out on purpose.
    due = status.undecided - (status.gone if options.limit is not None else 0)
    return Exit.SOME_FAILED if failed or due else Exit.DONE


def waiting(status: RunStatus) -> int:
    """Tasks that have not ended; those in doubt count."""
    return sum(status.states[state] for state in WAITING)


class Unsaved(RunnerError):
    """The store could not be written, so posting stopped; what waits is safe."""

    exit_code = Exit.NOT_FINISHED


def reason_of(
    signals: Signals, status: RunStatus, *, limit: int | None = None
) -> RunnerError | None:
    """What kept the start from going on, if anything did; *limit*: it read so many rows only."""
    if signals.fatal is not None:
        return signals.fatal
    pending = status.states[State.PENDING] - status.held
    if signals.blocked is not None and pending:
        return signals.blocked
    if signals.withheld is not None and status.states[State.POSTED]:
        return signals.withheld
    if pending and signals.short_of(status.run.id) is not None:
        return _limit_reached(signals, status, pending, limit)
    if not waiting(status):
        return None
    if pending and signals.halted:
        return next(iter(signals.halted.values()))
    if not signals.reached and (signals.unreachable is not None or signals.calls):
        trouble = signals.unreachable
        return TryLater(
            "the API was not reached in this start",
            why=(trouble.why or trouble.what) if trouble else "no call was answered in its time",
            how="start the same command again later; nothing is lost",
        )
    if signals.unlisted is not None and pending:
        return signals.unlisted
    if signals.unwritable is not None:
        return Unsaved(
            "the store could not be written, so nothing more was posted",
            why=signals.unwritable.what,
            how="see to the disk, then start the same command again",
        )
    return None


def quarantine_note(status: RunStatus) -> str | None:
    """What a person should know of tasks that nobody can decide about; None if there are none."""
    held = status.states[State.QUARANTINED]
    if not held:
        return None
    return (
        f"{held:,} {'task is' if held == 1 else 'tasks are'} quarantined: nobody can tell whether "
        f"the API took them; {short(status.money.at_risk)} of this run is at risk. See them with: "
        f"runner tasks {status.run.name} --state quarantined; decide with: runner resolve TASK"
    )


def incidents_note(incidents: Sequence[Incident]) -> str | None:
    """What a person should know of open *incidents*; None if there are none."""
    if not incidents:
        return None
    are = "incident is" if len(incidents) == 1 else "incidents are"
    total = sum(each.amount for each in incidents)
    return f"{len(incidents):,} {are} open, {short(total)}: runner incidents"


_NAMES: Final = {
    Idle.BUDGET: "budget_usd",
    Idle.HOLD: "max_hold_usd",
    Idle.DAY: "budget_usd_per_day",
    Idle.BALANCE: "balance_floor_usd",
}
_WHY: Final = {
    Idle.HOLD: "reserved and at-risk money together would pass it",
    Idle.DAY: "what was posted today (UTC) has cost, and may cost, as much as is allowed",
    Idle.BALANCE: "the balance, less what may still be charged, would fall below it",
}


def _limit_reached(
    signals: Signals, status: RunStatus, pending: int, limit: int | None
) -> MoneyStopped:
    short_of = signals.short_of(status.run.id) or Idle.BUDGET
    name, run = _NAMES[short_of], status.run
    command = "the same command again"
    if run.job_file:
        key = ["--run", run.key] if run.key else []
        rows = ["--limit", str(limit)] if limit is not None else []
        command = shlex.join(["runner", "run", run.job_file, *key, *rows])
    again = f"then: {command}"
    match short_of:
        case Idle.HOLD if run.given_hold is not None:
            how = f"{command} --max-hold USD, with more than {short(run.given_hold)}"
            if not run.job_file:
                how = f"{command}, with a --max-hold of more than {short(run.given_hold)}"
        case Idle.HOLD:
            how = f"raise it in the job file, {again}   (or at once: --max-hold USD)"
        case Idle.DAY:
            how = f"after 00:00 UTC: {command}   (or raise it in the job file first)"
        case Idle.BALANCE:
            how = f"top up the account, or lower it in the job file, {again}"
        case _:
            enough = f"--budget {_enough(status, pending)}"
            how = f"{command} {enough}"
            if not run.job_file:
                how = f"{command}, with {enough}"
            elif run.given_budget is None:
                how += "   (or raise it in the job file)"
    why = _WHY.get(short_of, "charged, reserved and at-risk money together would pass it")
    if short_of is Idle.BALANCE and (signals.balance is None or signals.balance.stated is None):
        why = "the API does not state the balance"
    left = "1 task is" if pending == 1 else f"{pending:,} tasks are"
    return MoneyStopped(
        f"{name} leaves no room for another task; {left} not posted", why=why, how=how
    )


def _enough(status: RunStatus, pending: int) -> str:
    """A budget in dollars that would do, if the rest costs what its like has cost so far."""
    money, done = status.money, status.states[State.COMPLETED]
    each = -(-money.charged // done) if done else 0
    each = max(each, LEAST_RESERVE if not done else 0)
    # A little more than that: a task is only posted while its whole reserve fits in.
    rest = each * pending * 11 // 10 + RESERVES_OF_ROOM * max(each, LEAST_RESERVE)
    needed = money.charged + money.reserved + money.at_risk + rest
    return f"{-(-needed // NANOS_PER_DOLLAR)}"

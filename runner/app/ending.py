"""How a start ended: the exit code, computed from the store and from what stopped the stages."""

from collections.abc import Iterable, Sequence

from runner.app.values import RunOptions, StopSwitch
from runner.errors import Exit, MoneyStopped, RunnerError, TryLater, gravest
from runner.lifecycle import UNSUCCESSFUL, WAITING, State
from runner.money import short
from runner.pipeline.engine import Signals
from runner.store.reconciling import Incident
from runner.store.values import Idle, RunStatus


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
    if waiting(status):
        return Exit.NOT_FINISHED
    unsuccessful = sum(status.states[state] for state in UNSUCCESSFUL) + status.rejected
    if options.failures.too_many(unsuccessful, status.tasks + status.rejected):
        return Exit.SOME_FAILED
    return Exit.DONE


def waiting(status: RunStatus) -> int:
    """Tasks that have not ended; those in doubt count."""
    return sum(status.states[state] for state in WAITING)


class Unsaved(RunnerError):
    """The store could not be written, so posting stopped; what waits is safe."""

    exit_code = Exit.NOT_FINISHED


def reason_of(signals: Signals, status: RunStatus) -> RunnerError | None:
    """What kept the start from going on, if anything did."""
    if signals.fatal is not None:
        return signals.fatal
    pending = status.states[State.PENDING] - status.held
    if signals.blocked is not None and pending:
        return signals.blocked
    if signals.withheld is not None and status.states[State.POSTED]:
        return signals.withheld
    if pending and not signals.room(status.run.id):
        return _limit_reached(signals.no_room(status.run.id), pending)
    if not waiting(status):
        return None
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


def _limit_reached(short_of: Idle | None, pending: int) -> MoneyStopped:
    hold = short_of is Idle.HOLD
    which, flag = ("max_hold_usd", "--max-hold") if hold else ("budget_usd", "--budget")
    return MoneyStopped(
        f"{which} leaves no room for another task; {pending:,} are not posted",
        why="charged, reserved and at-risk money together would pass it",
        how=f"raise {which} in the job file (or with {flag}), then start it again",
    )

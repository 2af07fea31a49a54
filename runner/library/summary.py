"""How a start of a job ended, in the types of Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Self

from runner.app import RunSummary
from runner.errors import Exit, RunnerError
from runner.lifecycle import UNSUCCESSFUL, WAITING, State
from runner.money import dollars
from runner.store.values import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How one start of a job ended. Counts and money are those of its whole run so far."""

    run: Run
    exit: Exit
    """What `runner run` would have ended with."""
    reason: RunnerError | None
    """What stopped the start, if it did not simply end."""
    states: Mapping[State, int]
    """How many tasks are in each state; every state is there."""
    rejected: int
    """Bad rows that were left out."""
    changed: int
    """Tasks edited since they were asked; nothing is sent for them until that is decided."""
    charged_usd: Decimal
    reserved_usd: Decimal
    """May still be charged: tasks under way."""
    at_risk_usd: Decimal
    """Perhaps taken, or failed with the refund not yet shown."""
    files: tuple[Path, ...]
    """The exports written."""
    notes: tuple[str, ...]
    """What a person should know, such as a field that a provider has not."""
    elapsed: timedelta

    @property
    def tasks(self) -> int:
        return sum(self.states.values())

    @property
    def completed(self) -> int:
        return self.states[State.COMPLETED]

    @property
    def unsuccessful(self) -> int:
        """Tasks that ended without an answer, cancelled ones aside."""
        return sum(self.states[state] for state in UNSUCCESSFUL)

    @property
    def waiting(self) -> int:
        """Tasks that have not ended: the next start goes on with them."""
        return sum(self.states[state] for state in WAITING)

    def raise_for_exit(self) -> Self:
        """The summary itself if the exit is 0.

        Raises:
            JobNotDone: it is not.
        """
        if self.exit is not Exit.DONE:
            raise JobNotDone(self) from self.reason
        return self


class JobNotDone(RunnerError):
    """A start ended with another exit code than 0: ``summary`` has all of it.

    Exit 3 and 75 (``exit_code``) want the same start again later; the others want a person.
    """

    def __init__(self, summary: Summary) -> None:
        reason = summary.reason
        super().__init__(
            f"{summary.run.name} ended with exit code {int(summary.exit)}: tasks: "
            f"{summary.tasks:,} in all, {summary.completed:,} answered, "
            f"{summary.unsuccessful:,} without an answer, {summary.waiting:,} waiting; "
            f"rows rejected: {summary.rejected:,}",
            why=". ".join(filter(None, (reason.what, reason.why))) if reason else None,
            how=reason.how if reason else None,
        )
        self.summary = summary
        self.exit_code = summary.exit

    def __reduce__(self) -> tuple[type["JobNotDone"], tuple[Summary]]:
        # Orchestrators carry errors from one process to another.
        return JobNotDone, (self.summary,)


def summary_of(ended: RunSummary, notes: tuple[str, ...]) -> Summary:
    """*ended* as a program reads it."""
    status = ended.status
    return Summary(
        run=status.run,
        exit=ended.exit,
        reason=ended.reason,
        states=dict(status.states),
        rejected=status.rejected,
        changed=status.changed,
        charged_usd=dollars(status.money.charged),
        reserved_usd=dollars(status.money.reserved),
        at_risk_usd=dollars(status.money.at_risk),
        files=ended.files,
        notes=notes,
        elapsed=timedelta(seconds=ended.elapsed_s),
    )

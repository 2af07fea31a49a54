"""What `pause`, `resume`, `cancel` and `prune` have in common: the store, and what is meant."""

import shlex
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from runner.cli.actions.looking import nothing_yet, same_store
from runner.cli.layout import count
from runner.cli.select import job_name, matching
from runner.cli.session import Session
from runner.errors import TryLater
from runner.store.control import Pause
from runner.store.opening import AnyStore, open_store
from runner.store.values import Run, StoreUnwritable


@asynccontextmanager
async def store_to_change(session: Session) -> AsyncIterator[AnyStore]:
    """The store, for short writes beside an engine that may be at work.

    Raises:
        WrongInput: nothing was run here yet.
        StoreBroken: it cannot be opened.
        TryLater: it could not be written.
    """
    settings = session.settings()
    if not settings.has_store:
        raise nothing_yet(settings)
    try:
        async with open_store(settings.place, clock=session.clock) as store:
            yield store
    except StoreUnwritable as error:
        raise TryLater(
            "the store cannot be written now",
            where=settings.store_name,
            why=error.what,
            how="the same command again, later; what was done so far is kept",
        ) from error


@dataclass(frozen=True, slots=True)
class Scope:
    """What RUN or JOB means: a run, a job with all its runs, or the whole store."""

    job: str | None
    run: Run | None
    runs: Sequence[Run]
    """All that are in it, oldest first."""

    @property
    def name(self) -> str:
        """For people."""
        if self.run is not None:
            return f"{self.run.name} ({self.run.number})"
        return self.job or "everything in this store"

    def keys(self, session: Session) -> dict[str, object]:
        """For programs: ``run=…``, ``job=…`` or ``store=…``."""
        if self.run is not None:
            return {"run": self.run.name, "number": self.run.number}
        if self.job is not None:
            return {"job": self.job}
        return {"store": str(session.settings().store)}


def scope_of(reference: str | None, runs: Sequence[Run]) -> Scope:
    """What *reference* means.

    Raises:
        WrongInput: nothing.
    """
    found = matching(reference, runs)
    if reference is None:
        return Scope(None, None, found)
    numbered = len(found) == 1 and found[0].number == reference
    if not numbered and found[-1].job in (reference, job_name(reference)):
        return Scope(found[-1].job, None, found)
    return Scope(None, found[-1], found[-1:])


def concerns(pause: Pause, scope: Scope) -> bool:
    """Whether *pause* holds something in *scope*."""
    if pause.run is not None:
        return pause.run in {run.id for run in scope.runs}
    return pause.job is None or pause.job in {run.job for run in scope.runs}


def resume_command(session: Session, pause: Pause) -> str:
    """What to paste to end *pause*."""
    scope = f" {shlex.quote(pause.scope)}" if pause.scope else ""
    return f"runner{same_store(session)} resume{scope}"


def names_of(runs: Iterable[Run]) -> str:
    """``brands (r3)``, or ``4 runs of brands, prices``."""
    listed = list(runs)
    if len(listed) == 1:
        return f"{listed[0].name} ({listed[0].number})"
    jobs = ", ".join(sorted({run.job for run in listed}))
    return f"{count(len(listed), 'run')} of {jobs}"

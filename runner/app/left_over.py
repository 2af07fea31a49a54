"""What earlier runs of a job have left: tasks that nobody asks any more unless a person says so.

never posted ............. left over: a night's questions are that night's (DESIGN.md §10)
failed, with tries left .. posted by the next start of the job, whichever run that belongs to
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from runner.errors import Exit
from runner.lifecycle import State
from runner.store.protocol import TaskStore
from runner.store.values import Run, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOver:
    """Pending tasks of a run that no later start posts."""

    run: Run
    tasks: int
    newest: bool
    """Whether its key alone names it: no ``--fresh`` has begun another one under it."""


_UNHEARD: Final = frozenset({Exit.DONE, Exit.NOT_FINISHED, Exit.TRY_LATER})
"""Nobody looks after these: neither cron nor systemd tells of them."""


async def left_over(
    store: TaskStore, statuses: Iterable[RunStatus], *, runs: Iterable[Run], now_in: str
) -> tuple[LeftOver, ...]:
    """What is left over in *statuses*, in their order; they are of *runs*, all those of one job.

    *now_in*: the key that its starts belong to now; they go on with the newest run under it.
    """
    found = []
    newest = {run.key: run.id for run in sorted(runs, key=lambda run: run.id)}
    for status in statuses:
        run = status.run
        under_its_key = newest[run.key] == run.id
        if not status.states[State.PENDING] or (under_its_key and run.key == now_in):
            continue
        waits = status.paused is not None or status.loading
        retried = 0 if waits else await store.to_retry(run.id)
        if left := status.states[State.PENDING] - retried:
            found.append(LeftOver(run=run, tasks=left, newest=under_its_key))
    return tuple(found)


async def left_over_of_jobs(
    store: TaskStore, statuses: Iterable[RunStatus]
) -> tuple[LeftOver, ...]:
    """The same for runs of any jobs, whose files are not looked at: the newest run of a job is
    taken for the one that its starts belong to."""
    found: list[LeftOver] = []
    waiting = [status for status in statuses if status.states[State.PENDING]]
    for job in dict.fromkeys(status.run.job for status in waiting):
        runs = await store.runs(job=job)
        newest = max(runs, key=lambda run: run.id)
        its = [status for status in waiting if status.run.job == job]
        found += await left_over(store, its, runs=runs, now_in=newest.key)
    return tuple(found)


def heard(code: Exit, left: Iterable[LeftOver]) -> Exit:
    """*code*, or one that somebody hears of where a person has to decide about what is *left*."""
    return Exit.SOME_FAILED if code in _UNHEARD and any(left) else code

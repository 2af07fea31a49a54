"""Failures that may pass: the API's own trouble at the moment of asking, or the task's end.

    5xxxx at task_get ──▶ noted with the attempt, asked for again after 1 min, 2 min ... 1 h
                            ├─ an answer, or the word that it runs ... forgotten
                            └─ said for 12 h ........................ it has failed

Both read the same (API.md §5). Believed at once, an outage of some seconds would pay anew for every
task that was asked for meanwhile, whose answers are there. What is noted is durable and goes by the
API's time, so that neither a start nor a wrong clock makes it believed early.
"""

from datetime import datetime

from runner.api.fetching import TaskFailed
from runner.backoff import BELIEVED_AFTER, FEWEST_SAID, doubt_interval
from runner.pipeline.engine import Engine
from runner.pipeline.packing import packed
from runner.store.endings import Failing, Posted, StillRunning


def believed(engine: Engine, task: Posted) -> bool:
    """Whether a failure of *task* that may pass was said for long enough, now that it is again."""
    since, api_now = task.failing_since, engine.api_now()
    if since is None or api_now is None:
        return False
    return api_now - since >= BELIEVED_AFTER and task.polls + 1 >= FEWEST_SAID


def doubted(engine: Engine, task: Posted, failed: TaskFailed, now: datetime) -> StillRunning:
    """*task* goes on waiting; that *failed* was said of it is noted."""
    since = task.failing_since or engine.api_now()
    said = task.polls + 1 if task.failing_since else 1
    failing = None
    if since is not None:
        failing = Failing(since=since, code=failed.code, message=failed.message, said=said)
    return StillRunning(
        task=task.task,
        attempt=task.attempt,
        # Where the API tells no time nothing is noted, and what counts is the asks in vain.
        ask_again_at=now + doubt_interval(said if failing else task.polls + 1),
        reply=packed(failed.raw),
        failing=failing,
    )

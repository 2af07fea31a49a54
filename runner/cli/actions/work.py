"""``runner work``: the engine as a daemon."""

import asyncio
from typing import TYPE_CHECKING, Final

from runner import app
from runner.cli.actions import steps
from runner.cli.actions.listening import listen_of
from runner.cli.actions.sending import stoppable
from runner.cli.actions.systemd import notify
from runner.cli.actions.uncollected import tell_uncollected
from runner.cli.actions.watching import EVERY_S, Watcher
from runner.cli.layout import count, span
from runner.cli.session import Session
from runner.errors import Exit, RunnerError
from runner.jobfile import Overrides
from runner.lifecycle import State
from runner.store.workers import Role

if TYPE_CHECKING:
    from runner.cli.commands.work import WorkOptions

_NEVER: Final = float("-inf")


def work(session: Session, given: "WorkOptions") -> Exit:
    """Post and collect everything in the store until somebody stops it, or until nothing waits.

    Raises:
        RunnerError: as ``app.work`` does.
    """
    settings = session.settings()
    overrides = Overrides(max_hold_usd=given["max_hold"], budget_usd=given["budget"])
    listen = listen_of(given)
    session.open_log()
    told = _Told(session)

    async def start(reporter: app.Reporter, stop: app.StopSwitch) -> app.WorkSummary:
        step = app.Step(
            settings=settings,
            clock=session.clock,
            reporter=reporter,
            stop=stop,
            wait_lock_s=given["wait_lock"],
            roles=frozenset(map(Role, given["role"])),
            listen=listen,
        )
        watch = app.Watch(ready=told.ready, progress=told.progress, warn=told.warn)
        names = [each.name for each in settings.accounts]
        limits = app.Limits(settings.workspace, overrides, accounts=names)
        return await app.work(step, limits, watch, drain=given["drain"])

    with Watcher(session, "none", bad_rows_are_fine=False) as watcher:
        summary = asyncio.run(stoppable(session, start, watcher, stopping=told.stopping))
    told.ended(summary)
    return summary.exit


class _Told:
    """What the daemon says of itself: to stderr, to the log, to systemd."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._said_at = _NEVER

    def ready(self) -> None:
        self._log("work.start", {"store": self._session.settings().store_name})
        notify("READY=1", self._session.environ)

    def stopping(self) -> None:
        notify("STOPPING=1", self._session.environ)

    def warn(self, error: RunnerError) -> None:
        self._session.voice.warn("; ".join(filter(None, (error.what, error.why))))

    def progress(self, working: app.Working) -> None:
        """One line a minute, the first at once."""
        now_s = self._session.clock.monotonic()
        if now_s - self._said_at < EVERY_S:
            return
        self._said_at = now_s
        keys = _keys(working)
        self._log("work.progress", keys)
        self._session.voice.event("progress", keys)

    def ended(self, summary: app.WorkSummary) -> None:
        session, voice = self._session, self._session.voice
        notify("STOPPING=1", session.environ)
        reason = summary.reason or (steps.STOPPED.get(summary.exit) if voice.quiet else None)
        if reason is not None:
            voice.error(reason, summary.exit)
        if warning := tell_uncollected(session, summary.exit):
            voice.event("warning", {"message": warning})
        keys = _keys(summary.working)
        keys |= {"duration": f"{int(summary.elapsed_s)}s", "exit": int(summary.exit)}
        line = session.line("info", "work.end", keys)
        session.log_to_file(line)
        error = summary.reason and voice.error_document(summary.reason, summary.exit)
        voice.event("result", keys | {"error": error})
        if voice.for_people:
            ended, left = summary.working.ended, sum(summary.working.states.values())
            text = f"{count(ended, 'task')} ended, {left:,} left in {span(summary.elapsed_s)}"
            code = "" if summary.exit is Exit.DONE else f" · exit {summary.exit:d}"
            voice.last_word(text + code)
        else:
            voice.last_word(line)

    def _log(self, event: str, keys: dict[str, object]) -> None:
        voice, wish = self._session.voice, self._session.shared.progress
        self._session.log("info", event, keys, to_stderr=not voice.quiet and wish != "none")


def _keys(working: app.Working) -> dict[str, object]:
    keys: dict[str, object] = {
        "runs": working.runs,
        "ended": working.ended,
        "pending": working.states[State.PENDING],
        "waiting": working.states[State.POSTED] + working.states[State.POSTING],
        "unknown": working.states[State.UNKNOWN],
        "calls": working.calls,
    }
    if working.oldest_posted_at is not None:
        age_s = max(0.0, (working.now - working.oldest_posted_at).total_seconds())
        keys["oldest"] = f"{int(age_s)}s"
    return keys | ({"note": working.note} if working.note else {})

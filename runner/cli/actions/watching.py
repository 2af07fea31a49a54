"""What a person or a log is told while a start goes on.

bar ........ two bars on a terminal's stderr, repainted about twice a second
lines ...... run.start, a run.progress each minute, the last state at the end; plain log lines
none ....... notes and mistakes only
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from runner.app import Progress, RunSummary
from runner.cli.counts import ended, held, sent, together, unsuccessful, waiting
from runner.cli.layout import amount, count
from runner.cli.session import Session
from runner.cli.terminal import can_move, is_terminal, wants_colour
from runner.errors import Problem
from runner.jobfile.formula import has_several_factors
from runner.lifecycle import State
from runner.pipeline.loader import LoadReport
from runner.reports.documents import status_document
from runner.store.values import Run, RunStatus

if TYPE_CHECKING:
    from runner.cli.actions.bars import Bars

EVERY_S: Final = 60.0
"""Between two lines of progress."""

Mode = Literal["bar", "lines", "none"]


def mode_of(session: Session) -> Mode:
    """How progress is shown, by ``--progress``, ``-q`` and what stderr can do."""
    wish = session.shared.progress
    if wish == "none" or session.voice.quiet:
        return "none"
    both = session.voice.json and is_terminal(session.voice.stdout)
    movable = can_move(session.voice.stderr, session.environ) and not both
    return "bar" if movable and wish in ("auto", "bar") else "lines"


class Watcher(AbstractContextManager["Watcher"]):
    """A ``runner.app.Reporter`` for the command line."""

    def __init__(self, session: Session, mode: Mode, *, bad_rows_are_fine: bool) -> None:
        """*bad_rows_are_fine*: they are written to a file, so ``-q`` need not tell them."""
        self.mode = mode
        self._session = session
        self._voice = session.voice
        self._mute_problems = bad_rows_are_fine and session.voice.quiet
        self._bars: Bars | None = None
        # By run: several may go on together.
        self._last: dict[int, Progress] = {}
        self._told_at: dict[int, float] = {}
        self._told: dict[int, Progress] = {}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._voice.keep_above(None)
            self._bars.stop()
            self._bars = None
        for run, last in self._last.items():
            if run not in self._told or self._told[run].status != last.status:
                self._tell(last)

    def __enter__(self) -> Self:
        return self

    # -- runner.app.Reporter -----------------------------------------------------------------

    def problem(self, problem: Problem) -> None:
        if not self._mute_problems:
            self._voice.problem(problem)

    def note(self, text: str) -> None:
        self._voice.note(text)
        self._voice.event("note", {"message": self._voice.to_paste(text)})

    def begun(self, run: Run, load: LoadReport | None, status: RunStatus) -> None:
        keys = start_keys(run, load, status)
        self._session.log("info", "run.start", keys, to_stderr=self.mode == "lines")
        self._voice.event("start", keys)
        if self.mode != "lines" and is_terminal(self._voice.stderr):
            self._voice.note(start_sentence(run, load, status))

    def progress(self, progress: Progress) -> None:
        run = progress.status.run.id
        self._last[run] = progress
        if self.mode == "bar":
            self._paint()
        if progress.elapsed_s - self._told_at.get(run, 0.0) >= EVERY_S:
            self._told_at[run] = progress.elapsed_s
            self._tell(progress)

    # -- what the application does not tell --------------------------------------------------

    def stopping(self) -> None:
        """Somebody asked for the stop."""
        self._last = {run: replace(last, stopping=True) for run, last in self._last.items()}
        if self._last and self.mode == "bar":
            self._paint()

    def ended(self, summary: RunSummary) -> None:
        """The last state, which stays on the screen."""
        run = summary.status.run.id
        if run in self._last:
            self._last[run] = replace(
                self._last[run],
                status=summary.status,
                elapsed_s=max(self._last[run].elapsed_s, summary.elapsed_s),
                calls=summary.calls,
                stopping=True,
                note=None,
            )
            if self.mode == "bar":
                self._paint()

    # -- how ---------------------------------------------------------------------------------

    def _paint(self) -> None:
        if self._bars is None:
            from runner.cli.actions.bars import Bars

            voice = self._voice
            colour = wants_colour(voice.stderr, self._session.shared.color, voice.environ)
            self._bars = Bars(voice.stderr, colour=colour, environ=voice.environ)
            self._bars.start()
            voice.keep_above(self._bars.print)
        *_, newest = self._last.values()
        statuses = [each.status for each in self._last.values()]
        self._bars.update(replace(newest, status=together(statuses)))

    def _tell(self, progress: Progress) -> None:
        self._told[progress.status.run.id] = progress
        keys = progress_keys(progress)
        self._session.log("info", "run.progress", keys, to_stderr=self.mode == "lines")
        self._voice.event(
            "progress",
            {
                **status_document([progress.status], progress.now),
                "schema": "runner.event/1",
                "run": progress.status.run.name,
                "elapsed_s": round(progress.elapsed_s, 3),
                "calls": progress.calls,
                "calls_per_minute": progress.calls_per_minute,
                "stopping": progress.stopping,
                "note": progress.note,
            },
        )


def start_keys(run: Run, load: LoadReport | None, status: RunStatus) -> dict[str, object]:
    """What ``run.start`` says."""
    keys: dict[str, object] = {"run": run.name, "number": run.number, "tasks": status.tasks}
    if load is not None:
        keys |= {"new": load.added.new, "known": status.tasks - load.added.new}
        if has_several_factors(load.formula):
            keys["formula"] = load.formula
    return keys | {"rejected": status.rejected, "pending": status.states[State.PENDING]}


def start_sentence(run: Run, load: LoadReport | None, status: RunStatus) -> str:
    """The same for a person: ``demo (r1) · 66 tasks: 66 new, 0 known``."""
    text = f"{run.name} ({run.number}) · {count(status.tasks, 'task')}"
    if load is not None:
        text += f": {load.added.new:,} new, {status.tasks - load.added.new:,} known"
    if status.rejected:
        text += f" · {count(status.rejected, 'row')} rejected"
    if load is not None and load.added.duplicates:
        text += f" · {count(load.added.duplicates, 'duplicate row')} asked once"
    if load is not None and has_several_factors(load.formula):
        text += f" · {load.formula}"
    return text


def progress_keys(progress: Progress) -> Mapping[str, object]:
    """What ``run.progress`` says."""
    status = progress.status
    oldest = status.oldest_posted_at
    keys: dict[str, object] = {
        "run": status.run.name,
        "sent": sent(status),
        "answered": ended(status),
        "failed": unsuccessful(status),
        "waiting": waiting(status),
    }
    if oldest is not None:
        keys["oldest"] = f"{max(0, int((progress.now - oldest).total_seconds()))}s"
    if status.states[State.UNKNOWN]:
        keys["unknown"] = status.states[State.UNKNOWN]
    keys |= {
        "spent": amount(status.money.charged),
        "held": amount(held(status)),
        "calls": progress.calls,
    }
    return keys | ({"note": progress.note} if progress.note else {})

"""Two bars and a line on a terminal's stderr, repainted in place."""

from collections.abc import Mapping
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from runner.app import Progress
from runner.cli.actions.rates import Pace, Rates
from runner.cli.counts import ended, held, sent, unsuccessful, waiting
from runner.cli.layout import count, span
from runner.cli.terminal import fitted
from runner.lifecycle import State
from runner.logs import printable
from runner.money import short

_BAR_WIDTH = 28


class Bars:
    """The display; lines that must stay go above it by ``print``."""

    def __init__(self, stderr: TextIO, *, colour: bool, environ: Mapping[str, str]) -> None:
        self._console = Console(
            file=stderr,
            force_terminal=True,
            color_system="auto" if colour else None,
            no_color=not colour,
            highlight=False,
            markup=False,
            emoji=False,
            _environ=environ,
        )
        self._encoding = stderr.encoding
        self._rates = Rates()
        # No thread of its own: it is repainted when there is something new.
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )

    def start(self) -> None:
        """Begin to paint."""
        self._live.start()

    def stop(self) -> None:
        """Leave the last state standing and give the cursor back."""
        self._live.stop()

    def print(self, line: str) -> None:
        """A whole line above the bars, in colour if it has any."""
        text = Text.from_ansi(fitted(line, self._encoding))
        self._console.print(text, soft_wrap=True)

    def update(self, progress: Progress) -> None:
        """Paint *progress*."""
        self._live.update(self.picture(progress, self._rates.note(progress)), refresh=True)

    def picture(self, progress: Progress, pace: Pace) -> RenderableType:
        """What is painted."""
        status = progress.status
        bars = Table.grid(padding=(0, 2))
        bars.add_row(*self._row("sent", sent(status), status.tasks, count(progress.calls, "call")))
        bars.add_row(*self._row("answered", ended(status), status.tasks, _speed(progress, pace)))
        lines = [_state_line(progress, pace)]
        if progress.note:
            lines.append(f"! {printable(progress.note)}")
        if not progress.stopping:
            lines.append("Ctrl-C once to stop politely; run the same command to continue")
        return Group(bars, *(self._text(line) for line in lines))

    def _row(self, name: str, done: int, total: int, rest: str) -> list[RenderableType]:
        # The theme's own colours look alike where there are only sixteen.
        bar = ProgressBar(
            total=max(total, 1),
            completed=done,
            width=_BAR_WIDTH,
            style="bright_black",
            complete_style="green",
            finished_style="green",
        )
        return [Text(name), bar, Text(f"{done:,}/{total:,}", justify="right"), self._text(rest)]

    def _text(self, line: str) -> Text:
        return Text(fitted(line, self._encoding), no_wrap=True, overflow="ellipsis")


def _speed(progress: Progress, pace: Pace) -> str:
    tasks = progress.status.tasks
    parts = [f"{ended(progress.status) * 100 // tasks if tasks else 100} %"]
    if pace.answers_per_minute:
        parts.append(f"{pace.answers_per_minute:,.0f}/min")
    if pace.left_s is not None:
        parts.append(f"about {span(pace.left_s)} left")
    return "   ".join(parts)


def _state_line(progress: Progress, pace: Pace) -> str:
    status = progress.status
    parts = [f"waiting {waiting(status):,}"]
    if status.oldest_posted_at is not None:
        age = (progress.now - status.oldest_posted_at).total_seconds()
        parts.append(f"oldest {span(age)} (of 72 h)")
    if status.states[State.UNKNOWN]:
        parts.append(f"in doubt {status.states[State.UNKNOWN]:,}")
    parts += [
        f"failed {unsuccessful(status):,}",
        f"spent {short(status.money.charged)}",
        f"held {short(held(status))}",
        f"{pace.calls_per_minute:,} of {progress.calls_per_minute:,} calls/min",
    ]
    return " · ".join(parts)

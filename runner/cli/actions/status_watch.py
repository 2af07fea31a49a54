"""``runner status --watch``: the same answer again and again, on stdout like the answer itself.

a terminal ..... the table, repainted in place; what stays in the end is the last state
elsewhere ...... the lines of `status` with the time, for runs in which something changed
--json ......... a document a look, each on a line of its own
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Final

from runner.cli.actions.status import status_keys, status_table, tell
from runner.cli.counts import waiting
from runner.cli.layout import pairs
from runner.cli.session import Session
from runner.cli.terminal import can_move, fitted, size_of
from runner.clock import to_text
from runner.store.values import RunStatus

if TYPE_CHECKING:
    from rich.text import Text

ON_A_TERMINAL_S: Final = 2.0
ELSEWHERE_S: Final = 60.0

Look = Callable[[], Awaitable[list[RunStatus]]]
Show = Callable[[Sequence[RunStatus], datetime], None]


async def watch(session: Session, look: Look, *, every_s: float) -> list[RunStatus]:
    """Show what *look* brings until no run waits any more; returns the last of it.

    *every_s* 0: as often as what it is shown on can bear.

    Raises:
        RunnerError: as *look* does.
    """
    voice = session.voice
    moving = voice.for_people and not voice.quiet and can_move(voice.stdout, voice.environ)
    wait_s = every_s or (ON_A_TERMINAL_S if moving else ELSEWHERE_S)
    with _repainted(session) if moving else nullcontext(_told(session)) as show:
        while True:
            statuses = await look()
            show(statuses, session.clock.now())
            if not any(map(waiting, statuses)):
                return statuses
            await session.clock.sleep(wait_s)


def _told(session: Session) -> Show:
    """What is shown where nothing can be repainted."""
    voice = session.voice
    last: dict[int, RunStatus] = {}

    def show(statuses: Sequence[RunStatus], now: datetime) -> None:
        if voice.json:
            tell(session, statuses)
            return
        for each in statuses:
            if last.get(each.run.id) != each:
                keys = {"at": to_text(now), **status_keys(each, now)}
                voice.answer(pairs("status", keys))
            last[each.run.id] = each

    return show


@contextmanager
def _repainted(session: Session) -> Iterator[Show]:
    """The table on a terminal, over and over in the same place."""
    from rich.console import Console
    from rich.live import Live

    voice = session.voice
    console = Console(
        file=voice.stdout,
        force_terminal=True,
        color_system=None,
        no_color=True,
        highlight=False,
        markup=False,
        emoji=False,
        _environ=voice.environ,
    )
    # No thread of its own: it is repainted when there is something new.
    with Live(
        console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    ) as live:

        def show(statuses: Sequence[RunStatus], now: datetime) -> None:
            _, lines = size_of(voice.stdout, voice.environ)
            live.update(_picture(session, statuses, now, lines), refresh=True)

        yield show


def _picture(session: Session, statuses: Sequence[RunStatus], now: datetime, lines: int) -> "Text":
    """As many of the newest runs as *lines* of a terminal hold, under when that was."""
    from rich.text import Text

    room = max(1, lines - 4)
    shown = statuses[-room:]
    over = len(statuses) - len(shown)
    told = [f"{to_text(now)} · Ctrl-C to leave"]
    if over:
        told.append(f"… and {over:,} earlier")
    if shown:
        told.append(status_table(shown, now, session.voice.width))
    text = fitted(session.voice.mask("\n".join(told)), session.voice.stdout.encoding)
    return Text(text, no_wrap=True, overflow="ellipsis")

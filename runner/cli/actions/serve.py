"""``runner serve``: receives postbacks until somebody stops it."""

import asyncio
import signal
from typing import TYPE_CHECKING

from runner import app
from runner.cli.actions.listening import listen_of
from runner.cli.actions.systemd import notify
from runner.cli.layout import pairs
from runner.cli.session import Session
from runner.errors import Exit

if TYPE_CHECKING:
    from runner.cli.verbs import ListenOptions


def serve(session: Session, given: "ListenOptions") -> Exit:
    """Listen until SIGINT or SIGTERM.

    Raises:
        RunnerError: as ``app.serve`` does.
    """
    settings = session.settings()
    listen = listen_of(given)
    assert listen is not None, "the option has a default"
    session.open_log()
    stop = app.StopSwitch()

    def ready(url: str) -> None:
        _tell(session, url)
        notify("READY=1", session.environ)

    async def until_stopped() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.request)
        await app.serve(
            settings,
            listen,
            clock=session.clock,
            stop=stop,
            ready=ready,
            told=lambda text: None if text.startswith("listening") else session.voice.note(text),
        )

    asyncio.run(until_stopped())
    notify("STOPPING=1", session.environ)
    return Exit.DONE


def _tell(session: Session, url: str) -> None:
    voice, public = session.voice, session.settings().receiving.public_url
    if voice.json:
        voice.document({"schema": "runner.serve/1", "url": url, "public_url": public})
    elif not voice.for_people:
        voice.answer(pairs("serve.start", {"url": url, "public_url": public or ""}))
    else:
        voice.answer(f"listening on {url}, store {session.settings().store}")
        if public:
            voice.answer(f"answers are delivered to {public}/postback/…")
        voice.answer("Ctrl-C stops it")

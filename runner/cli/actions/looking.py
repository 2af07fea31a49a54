"""How commands that only look open the store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from runner.cli.pasting import folder_flags, store_flags
from runner.cli.session import Session
from runner.errors import WrongInput

if TYPE_CHECKING:
    from runner.settings import Settings
    from runner.store.opening import AnyStore


@asynccontextmanager
async def store_to_look(session: Session) -> "AsyncIterator[AnyStore]":
    """The store, to be read only.

    Raises:
        WrongInput: nothing was run here yet.
        StoreBroken: it cannot be read.
    """
    from runner.store.opening import open_store_to_look

    settings = session.settings()
    if not settings.has_store:
        raise nothing_yet(settings)
    async with open_store_to_look(settings.place, clock=session.clock) as store:
        yield store


def nothing_yet(settings: "Settings") -> WrongInput:
    """There is no store; perhaps the one of a rehearsal was meant."""
    path = settings.store
    for api in ("sim", "sandbox"):
        if path.with_name(f"{path.stem}-{api}{path.suffix}").exists():
            return WrongInput(
                f"nothing was run with the {settings.api} API here yet",
                where=str(path),
                how=f"--api {api}, which shows the rehearsal",
            )
    return WrongInput("nothing was run here yet", where=str(path), how="runner run demo --api sim")


def same_store(session: Session) -> str:
    """Flags that a command within an answer needs to reach the same store: `` --api sim``, or
    nothing. In notes and errors the voice adds them."""
    return folder_flags(session.shared) + store_flags(session.shared)

"""Care of the store's file itself: a copy made this host's own, a backup."""

from contextlib import AsyncExitStack
from pathlib import Path

from runner.app.hosts import host_of
from runner.app.opening import held_elsewhere
from runner.app.stopping import store_may_be_full
from runner.clock import Clock
from runner.errors import WrongInput
from runner.settings import Settings
from runner.store.lock import EngineElsewhere, engine_lock
from runner.store.sqlite.copying import copy_store
from runner.store.sqlite.store import open_store


async def claim_store(settings: Settings, *, clock: Clock) -> str:
    """Let the store be used on this host, as a store of its own; returns its new install id.

    Before its next post the account is listed for what the other copy may have posted.

    Raises:
        TryLater: an engine is at work in it, or the disk is full.
        StoreBroken: it cannot be opened.
    """
    with store_may_be_full(settings):
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(open_store(settings.store, clock=clock))
            lock = engine_lock(settings.store, wait_s=0.0, clock=clock)
            try:
                await stack.enter_async_context(lock)
            except EngineElsewhere:
                raise await held_elsewhere(store, settings.store) from None
            return await store.claim(host_of(settings))


async def back_up(settings: Settings, to: Path, *, force: bool) -> int:
    """Copy the store as it stands at one moment to *to*, while it may be in use; returns bytes.

    Raises:
        WrongInput: there is a file already, or none can be made there.
        StoreBroken: the store cannot be read.
    """
    if to.exists() and not force:
        raise WrongInput(f"{to} is there already", how="name another file, or add --force")
    if to.resolve() == settings.store.resolve():
        raise WrongInput(f"{to} is the store itself", how="name another file")
    half = to.with_name(f"{to.name}.part")
    try:
        half.unlink(missing_ok=True)
        await copy_store(settings.store, half)
        half.replace(to)
    except OSError as error:
        raise WrongInput(f"{to} cannot be written: {error.strerror or error}") from error
    return to.stat().st_size

"""Care of the store itself: a copy made this host's own, a backup, another place."""

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from runner.app.hosts import host_of
from runner.app.opening import held_elsewhere
from runner.app.stopping import store_may_be_full
from runner.clock import Clock
from runner.errors import RunnerError, WrongInput
from runner.money import short
from runner.pipeline.recovery import WHY
from runner.settings import Settings
from runner.settings.server import is_server
from runner.store.care import Care
from runner.store.lock import EngineElsewhere, LoaderElsewhere, engine_lock, loading_lock
from runner.store.mark import Mark
from runner.store.opening import check_installed, gone_elsewhere, open_left_store
from runner.store.opening import open_store as open_any_store
from runner.store.recovering import Stake, Unlisted
from runner.store.sqlite.copying import copy_store, note_that_it_is_a_copy
from runner.store.sqlite.store import SqliteStore, open_store
from runner.store.values import StoreUnwritable

if TYPE_CHECKING:
    from runner.store.postgres.moving import Moved


async def claim_store(settings: Settings, *, clock: Clock) -> str:
    """Let the store be used on this host, as a store of its own; returns its new install id.

    Before its next post the account is listed for what the other copy may have posted.

    Raises:
        TryLater: an engine is at work in it, or the disk is full.
        StoreBroken: it cannot be opened.
    """
    with store_may_be_full(settings):
        async with AsyncExitStack() as stack:
            opened = open_left_store(settings.place, clock=clock)
            store = await stack.enter_async_context(opened)
            if not isinstance(store, SqliteStore):
                if await store.living_workers(now=clock.now()):
                    raise await held_elsewhere(store, settings.store_name)
                return await store.claim(None)
            lock = engine_lock(settings.store, wait_s=0.0, clock=clock)
            try:
                await stack.enter_async_context(lock)
            except EngineElsewhere:
                raise await held_elsewhere(store, settings.store_name) from None
            return await store.claim(host_of(settings))


async def trust_store(settings: Settings, *, pay_again: bool, clock: Clock) -> Stake | None:
    """Take a store that may not know all that was posted in its name at its word; returns what may
    be paid twice, or None if there was no doubt about it.

    Raises:
        WrongInput: *pay_again* was not said, or it was copied from another host.
        TryLater: an engine is at work in it, or the disk is full.
        StoreBroken: it cannot be opened.
    """
    with store_may_be_full(settings):
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(open_any_store(settings.place, clock=clock))
            if isinstance(store, SqliteStore):
                lock = engine_lock(settings.store, wait_s=0.0, clock=clock)
                try:
                    await stack.enter_async_context(lock)
                except EngineElsewhere:
                    raise await held_elsewhere(store, settings.store_name) from None
                await store.check_host(host_of(settings))
                # The doubt may be one that no start has seen yet.
                await store.keep_mark(stack.enter_context(closing(Mark.beside(settings.store))))
            unlisted = await store.unlisted()
            if unlisted is None:
                return None
            stake = await store.at_stake()
            if not pay_again:
                raise _would_pay_again(unlisted, stake)
            await store.listed()
            return stake


def _would_pay_again(unlisted: Unlisted, stake: Stake) -> WrongInput:
    wait = "1 task waits" if stake.tasks == 1 else f"{stake.tasks:,} tasks wait"
    return WrongInput(
        "the store may not know all that was posted in its name: what waits may be paid for twice",
        why=f"{WHY[unlisted.why]}; {wait}, and {short(stake.reserve)} would be reserved for that",
        how="runner db trust --pay-again, which accepts that",
    )


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
        note_that_it_is_a_copy(half)
        half.replace(to)
    except OSError as error:
        raise WrongInput(f"{to} cannot be written: {error.strerror or error}") from error
    finally:
        # As large as the store, and nobody would look for it.
        with suppress(OSError):
            half.unlink(missing_ok=True)
    return to.stat().st_size


async def copy_to(settings: Settings, to: str, *, clock: Clock) -> "Moved":
    """Copy the whole store from its file to the server *to*, or from its server to the file *to*.

    The one that was left is marked, and refused from then on: only one of them may go on.

    Raises:
        WrongInput: *to* is no such place, or not empty; a post is under way.
        TryLater: an engine or a load is at work in it, or the disk is full.
        StoreBroken: one of them cannot be used, or not everything arrived.
    """
    if is_server(to) == (settings.server is not None):
        raise WrongInput(
            "a copy goes from a file to a server, or from a server to a file",
            how="for a copy from file to file: runner db backup FILE",
        )
    with store_may_be_full(settings):
        async with AsyncExitStack() as stack:
            check_installed()
            if settings.server is None:
                return await _to_server(settings, to, stack, clock)
            return await _to_file(settings.server, settings, Path(to), clock)


async def _to_server(settings: Settings, to: str, stack: AsyncExitStack, clock: Clock) -> "Moved":
    from runner.store.postgres.address import Address
    from runner.store.postgres.connection import connect
    from runner.store.postgres.moving import to_server
    from runner.store.postgres.store import open_store as open_server

    store = await stack.enter_async_context(open_store(settings.store, clock=clock))
    try:
        await stack.enter_async_context(engine_lock(settings.store, wait_s=0.0, clock=clock))
        await stack.enter_async_context(loading_lock(settings.store, wait_s=0.0, clock=clock))
    except (EngineElsewhere, LoaderElsewhere):
        raise await held_elsewhere(store, settings.store_name) from None
    # It is made, or brought up to date.
    async with open_server(to, clock=clock):
        pass
    address = Address.parse(to)
    async with _leaving(store, address.place), connect(address) as server:
        return await server.write(to_server, settings.store)


async def _to_file(server: str, settings: Settings, to: Path, clock: Clock) -> "Moved":
    from runner.store.postgres.address import Address
    from runner.store.postgres.connection import connect
    from runner.store.postgres.moving import to_file
    from runner.store.postgres.store import open_store as open_server

    if to.exists():
        raise WrongInput(f"{to} is there already", how="name another file")
    place = f"{to.resolve()} on {socket.gethostname()}"
    async with open_server(server, clock=clock) as store, _leaving(store, place):
        if await store.living_workers(now=clock.now()):
            raise await held_elsewhere(store, settings.store_name)
        half = to.with_name(f"{to.name}.part")
        half.unlink(missing_ok=True)
        async with open_store(half, clock=clock):
            pass
        async with connect(Address.parse(server), read_only=True) as reader:
            moved = await reader.read(to_file, half)
        # Nothing was posted that is not in it: the account need not be looked through first.
        with closing(Mark.beside(to)) as mark:
            async with open_store(half, clock=clock) as copied:
                await copied.renew_mark(mark)
        half.replace(to)
        return moved


@asynccontextmanager
async def _leaving(store: Care, place: str) -> AsyncIterator[None]:
    """The store goes on at *place*, unless nothing comes of that.

    Marked before the first row is read: whoever starts meanwhile is refused, and a copy that was
    killed leaves the one store or the other, never both.
    """
    before = await store.moved_to()
    # The same place again: the copy before was killed on its way.
    if before not in (None, place):
        raise gone_elsewhere(before)
    await store.mark_moved(place)
    try:
        yield
    except (RunnerError, OSError) as error:
        if not (isinstance(error, StoreUnwritable) and error.perhaps_saved):
            await store.mark_moved(before)
        raise

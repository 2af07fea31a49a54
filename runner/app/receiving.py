"""The receiver of postbacks: inside an engine's process, or in one of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from runner.app.stopping import store_may_be_full
from runner.app.values import StopSwitch
from runner.clock import Clock
from runner.settings import Settings
from runner.store.care import Watched
from runner.store.opening import open_store
from runner.web.listen import Listen

Told = Callable[[str], None]
"""Is told what a person should know."""


@asynccontextmanager
async def receiving(
    settings: Settings,
    store: Watched,
    listen: Listen | None,
    *,
    clock: Clock,
    told: Told,
    calls: Callable[[], int] | None = None,
) -> AsyncIterator[str | None]:
    """Listen as *listen* says for as long as the context lasts; yields the URL, None for nowhere.

    Raises:
        WrongInput: the address cannot be had, or the certificate not be used.
    """
    if listen is None:
        yield None
        return
    from runner.web.receiver import Receiver

    known = settings.receiving
    receiver = Receiver(
        store,
        listen,
        secrets=known.accepted,
        clock=clock,
        prefix=urlsplit(known.public_url or "").path,
        calls=calls,
    )
    async with receiver:
        told(f"listening on {receiver.url}")
        if known.public_url is None:
            told(
                "no answers will be delivered here: RUNNER_PUBLIC_URL is not set; "
                "/healthz and /metrics work"
            )
        yield receiver.url


async def serve(
    settings: Settings,
    listen: Listen,
    *,
    clock: Clock,
    stop: StopSwitch,
    ready: Callable[[str], None],
    told: Told,
) -> None:
    """Receive until somebody stops it, beside an engine or without one: no lock is taken.

    *ready* is told the URL once it listens.

    Raises:
        WrongInput: the address cannot be had, or the certificate not be used.
        TryLater: the disk is full.
        StoreBroken: the store cannot be opened.
    """
    new = not settings.has_store
    async with AsyncExitStack() as stack:
        with store_may_be_full(settings):
            store = await stack.enter_async_context(open_store(settings.place, clock=clock))
        if new:
            told(
                f"the store {settings.place} is new: answers for tasks of another store would be "
                "taken here, and missing there until they are asked for"
            )
        url = await stack.enter_async_context(
            receiving(settings, store, listen, clock=clock, told=told)
        )
        ready(url or "")
        await stop.wait()

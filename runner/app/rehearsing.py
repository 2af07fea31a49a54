"""A copy of the store that a rehearsal may write to, and that is thrown away."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.app.values import RunOptions
from runner.clock import Clock
from runner.jobfile.job import Job
from runner.settings import Settings
from runner.store.opening import check_installed
from runner.store.sqlite.copying import copy_store
from runner.store.sqlite.store import SqliteStore, open_store


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The copy, and a folder for whatever else is made."""

    store: SqliteStore
    folder: Path
    original: bool
    """Whether there is a store that it is a copy of."""


@asynccontextmanager
async def rehearsal(
    job: Job, options: RunOptions, *, settings: Settings, clock: Clock
) -> AsyncIterator[Rehearsal]:
    """A copy of the store, in a file wherever the store itself is; nothing is made there.

    From a server comes what the job's run needs, and no answers.

    Raises:
        StoreBroken: the store cannot be read.
        WrongInput: its address cannot be read, or the extra is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="runner-rehearsal-") as name:
        folder = Path(name)
        scratch = folder / "store.db"
        if settings.server is None:
            await copy_store(settings.store, scratch)
        async with open_store(scratch, clock=clock) as store:
            original = settings.has_store
            if settings.server is not None:
                key = job.run_key(clock.now()) if options.key is None else options.key
                original = await _sketch(settings.server, scratch, job.name, key, clock)
            yield Rehearsal(store, folder, original)


async def _sketch(server: str, scratch: Path, job: str, key: str, clock: Clock) -> bool:
    """Fill *scratch* with the newest run of *job* under *key*; False if there is no store."""
    check_installed()
    from runner.store.postgres.address import Address
    from runner.store.postgres.connection import connect
    from runner.store.postgres.sketching import is_empty, sketch
    from runner.store.postgres.store import open_store_to_look

    async with connect(Address.parse(server), read_only=True) as view:
        if await view.read(is_empty):
            return False
        async with open_store_to_look(server, clock=clock) as store:
            newest = await store.newest_run(job, key)
        await view.read(sketch, scratch, newest.id if newest else 0)
    return True

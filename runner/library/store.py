"""A store as a program opens it: where runs are started and results are read."""

import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import WeakSet

from runner.clock import Clock, SystemClock
from runner.library.logs import log_to_python
from runner.library.results import Result, result_of
from runner.settings import Settings
from runner.store.opening import AnyStore
from runner.store.opening import open_store as open_file
from runner.store.values import Run


class Store:
    """An open store, made by ``open_store``."""

    def __init__(self, settings: Settings, clock: Clock, file: AnyStore) -> None:
        self.settings = settings
        """Whom it calls, how fast, in which workspace. Shows no secret."""
        self.clock = clock
        self._file = file
        self._readings: WeakSet[AsyncGenerator[Result, None]] = WeakSet()

    @property
    def path(self) -> Path:
        """The store's file."""
        return self.settings.store

    async def runs(self, job: str | None = None) -> list[Run]:
        """All runs, or those of the job of that name, oldest first."""
        return await self._file.runs(job=job)

    def results(self, run: Run) -> AsyncGenerator[Result, None]:
        """Every line of *run*, in the order of its latest load, whatever its state.

        One view of the data from the first line to the last, some thousand of them in memory at a
        time.
        """
        reading = self._read(run)
        self._readings.add(reading)
        return reading

    async def _read(self, run: Run) -> AsyncGenerator[Result, None]:
        pages = self._file.export(run.id)
        try:
            async for page in pages:
                for line in page:
                    yield result_of(line, run)
        finally:
            if isinstance(pages, AsyncGenerator):
                await pages.aclose()

    async def close(self) -> None:
        """End what somebody began to read and left. ``open_store`` does it."""
        for reading in tuple(self._readings):
            await reading.aclose()


@asynccontextmanager
async def open_store(
    path: str | Path | None = None,
    *,
    api: str | None = None,
    workspace: str | Path | None = None,
) -> AsyncIterator[Store]:
    """Open the store, made or brought up to date if need be.

    Settings are found as the command line finds them: *path* stands for ``--store``, *api* for
    ``--api`` (``live``, ``sandbox``, ``sim`` or a URL); the rest comes from the environment and
    from the runner.toml of the folder *workspace*, by default the current one. Any number of
    processes may have a store open; a start needs it for itself.

    Raises:
        WrongInput: a setting is wrong.
        StoreBroken: it is no store, was made by a newer runner, or cannot be opened.
    """
    settings = read_settings(path=path, api=api, workspace=workspace)
    log_to_python(settings)
    clock = SystemClock()
    async with open_file(settings.place, clock=clock) as file:
        store = Store(settings, clock, file)
        try:
            yield store
        finally:
            await store.close()


def read_settings(
    *,
    path: str | Path | None = None,
    api: str | None = None,
    workspace: str | Path | None = None,
) -> Settings:
    """The settings as the command line would find them.

    Raises:
        WrongInput: a setting is wrong.
    """
    return Settings.load(
        environ=os.environ,
        flags={"api": api, "store": None if path is None else str(path)},
        workspace=Path.cwd() if workspace is None else Path(workspace).absolute(),
    )

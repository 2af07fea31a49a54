"""Opens a store of either kind, by where it is: a file, or a PostgreSQL server's address.

psycopg comes with the extra ``postgres``, and is imported only for an address.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from runner.clock import Clock
from runner.errors import WrongInput
from runner.store.sqlite import store as sqlite

if TYPE_CHECKING:
    from runner.store.postgres.store import PostgresStore

AnyStore: TypeAlias = "sqlite.SqliteStore | PostgresStore"

INSTALL: Final = "pip install 'psycopg[binary]>=3.3,<4'"
"""What the extra brings, by its own name: that helps wherever ``runner`` itself came from."""


@asynccontextmanager
async def open_store(place: Path | str, *, clock: Clock) -> AsyncIterator[AnyStore]:
    """Open the store at *place*, made or brought up to date if need be.

    Raises:
        StoreBroken: too new, edited, not reached, or not to be opened.
        WrongInput: *place* is an address that cannot be read, the extra is not installed, or the
            store went on elsewhere.
    """
    async with open_left_store(place, clock=clock) as store:
        moved_to = await store.moved_to()
        if moved_to is not None:
            raise gone_elsewhere(moved_to)
        yield store


@asynccontextmanager
async def open_left_store(place: Path | str, *, clock: Clock) -> AsyncIterator[AnyStore]:
    """The same, though the store may have gone on elsewhere.

    Raises:
        StoreBroken: too new, edited, not reached, or not to be opened.
        WrongInput: *place* is an address that cannot be read, or the extra is not installed.
    """
    if isinstance(place, Path):
        async with sqlite.open_store(place, clock=clock) as file:
            yield file
        return
    check_installed()
    from runner.store.postgres import store as postgres

    async with postgres.open_store(place, clock=clock) as server:
        yield server


@asynccontextmanager
async def open_store_to_look(
    place: Path | str, *, clock: Clock | None = None
) -> AsyncIterator[AnyStore]:
    """Open an existing store for commands that only read; nothing in it is changed.

    Raises:
        StoreBroken: there is none, it cannot be read, or its schema is not the one we know.
        WrongInput: *place* is an address that cannot be read, or the extra is not installed.
    """
    if isinstance(place, Path):
        async with sqlite.open_store_to_look(place, clock=clock) as file:
            yield file
        return
    check_installed()
    from runner.store.postgres import store as postgres

    async with postgres.open_store_to_look(place, clock=clock) as server:
        yield server


def gone_elsewhere(place: str) -> WrongInput:
    """The store was copied to *place*, and what was left must not go on."""
    return WrongInput(
        f"this store was moved to {place}",
        why="what is still to be posted would be posted, and paid, by both",
        how="that store, named with --store or RUNNER_STORE; only where nothing uses it any more,"
        " this one again after: runner db claim",
    )


def check_installed() -> None:
    """Raise ``WrongInput`` where psycopg is not there."""
    if find_spec("psycopg") is None:
        raise WrongInput(
            "the store is on PostgreSQL, and the package that speaks to it is not installed",
            how=INSTALL,
        )

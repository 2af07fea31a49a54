"""Copies of a store as it stands at one moment: a backup, for rehearsals that must not touch the
original, and as it was before an update."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import structlog

from runner.store.migrate import Migration, to_apply
from runner.store.sqlite.connection import connect
from runner.store.sqlite.recovering import note_copy
from runner.store.values import StoreUnwritable

log = structlog.get_logger()

_MIB: Final = 1024 * 1024


async def copy_store(path: Path, to: Path) -> None:
    """Copy the store in *path* to the new file *to*; where there is none, make none.

    Raises:
        StoreBroken: *path* is no store, or cannot be read.
    """
    if not path.exists():
        return
    async with connect(path, read_only=True) as source:
        await source.call(_backup, to)


def note_that_it_is_a_copy(path: Path) -> None:
    """Whoever puts the store in *path* in the place of its original looks through the account
    first, with that one's side file or without."""
    with closing(sqlite3.connect(path)) as copy, copy:
        note_copy(copy)


def copy_before_update(db: sqlite3.Connection, path: Path, migrations: list[Migration]) -> None:
    """Copy the store in *path*, open in *db*, if it lacks some of *migrations* and has anything in
    it: to ``STORE.before-NNNN.db``, by the first that it lacks.

    Raises:
        StoreBroken: as ``migrate``.
        StoreUnwritable: there is no room for the copy; nothing was changed.
    """
    # Nobody else brings it up to date meanwhile, nor copies what another has begun to.
    db.execute("BEGIN IMMEDIATE")
    try:
        lacking = to_apply(db, migrations)
        if not lacking or len(lacking) == len(migrations) or not _holds_anything(db):
            return
        to = path.with_name(f"{path.name}.before-{lacking[0].number:04}.db")
        _keep(path, to)
        log.warning(
            "store.copied_before_update",
            copy=str(to),
            mib=round(to.stat().st_size / _MIB, 1),
            migrations=len(lacking),
            how="delete it when the new version has proved itself",
        )
    finally:
        db.execute("ROLLBACK")


def _holds_anything(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is not None


def _keep(path: Path, to: Path) -> None:
    """Make *to* a copy of the store in *path*, whole or not at all."""
    half = to.with_name(f"{to.name}.{os.getpid()}.part")
    try:
        half.unlink(missing_ok=True)
        # A connection of its own: what is being written is seen by nobody else.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as source:
            _backup(source, half)
        note_that_it_is_a_copy(half)
        half.replace(to)
    except (OSError, sqlite3.OperationalError) as error:
        half.unlink(missing_ok=True)
        size = sum(file.stat().st_size for file in (path, Path(f"{path}-wal")) if file.exists())
        raise StoreUnwritable(
            f"the store {path} cannot be copied before it is brought up to date: {error}",
            why=f"the copy needs {size / _MIB:,.0f} MiB in {to.parent}; the store is as it was",
            how="make room there, then start the same command again",
        ) from error


def _backup(source: sqlite3.Connection, to: Path) -> None:
    to.touch(mode=0o600)
    with closing(sqlite3.connect(to)) as target:
        source.backup(target)

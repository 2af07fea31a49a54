"""A copy of a store as it stands at one moment: a backup, or for rehearsals that must not touch the
original."""

import sqlite3
from contextlib import closing
from pathlib import Path

from runner.store.sqlite.connection import connect
from runner.store.sqlite.recovering import note_copy


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


def _backup(source: sqlite3.Connection, to: Path) -> None:
    to.touch(mode=0o600)
    with closing(sqlite3.connect(to)) as target:
        source.backup(target)

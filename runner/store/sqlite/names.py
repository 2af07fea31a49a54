"""Names of runs for the shell's completion: the standard library only, quick, never in the way."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

_WAIT_S: Final = 0.05
"""Somebody holds a finger on TAB: better no names than late ones."""


class RunName(NamedTuple):
    """As `runner.store.values.Run` calls a run."""

    name: str
    number: str
    job: str


def run_names(store: Path, *, limit: int = 200) -> list[RunName]:
    """The newest *limit* runs of the store, the newest first; nothing in it is changed.

    Raises:
        sqlite3.Error: there is no store, or it cannot be read right now.
    """
    path = store.resolve()
    # Without a log beside it nobody has the store open. Read as a file that does not change, it is
    # left without a log as well: a mere look must leave nothing behind.
    still = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    where = f"{path.as_uri()}?mode=ro{still}"
    with closing(sqlite3.connect(where, uri=True, timeout=_WAIT_S)) as db:
        rows = db.execute(
            """
            SELECT j.name || iif(r.key = '', '', '@' || r.key)
                          || iif(r.fresh = 0, '', '~' || r.fresh),
                   'r' || r.id,
                   j.name
              FROM runs r JOIN jobs j ON j.id = r.job_id
             ORDER BY r.id DESC
             LIMIT ?
            """,
            (limit,),
        )
        return [RunName(*row) for row in rows]

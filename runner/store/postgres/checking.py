"""What a server has to be: new enough, keeping what it says it keeps, and the one we talk to."""

from typing import TYPE_CHECKING, Final

from runner.errors import StoreBroken

if TYPE_CHECKING:
    from runner.store.postgres.connection import Db

OLDEST_SERVER: Final = 140_000
"""PostgreSQL 14, in libpq's numbers; older ones get no fixes any more."""


def check_server(db: "Db", *, may_lose: bool) -> None:
    """
    Raises:
        StoreBroken: too old, or it would forget what it saved, or cannot keep every text, or a
            pooler is between.
    """
    version, fsync, commits, encoding, pid = db.execute(
        """
        SELECT current_setting('server_version_num')::int, current_setting('fsync'),
               current_setting('synchronous_commit'), current_setting('server_encoding'),
               pg_backend_pid()
        """
    ).fetchone()
    if version < OLDEST_SERVER:
        raise StoreBroken(
            f"PostgreSQL {version // 10_000} is too old: 14 or newer is needed",
            how="use a newer server",
        )
    for name, value in (("fsync", fsync), ("synchronous_commit", commits)):
        if value == "off" and not may_lose:
            raise StoreBroken(
                f"the PostgreSQL server has {name} = off",
                why="what it says is saved can be lost, and would then be paid for twice",
                how=f"set {name} = on for this database",
            )
    if encoding != "UTF8":
        raise StoreBroken(
            f"the database keeps texts as {encoding}, and has to keep them as UTF8",
            why="an answer that is paid for could not be saved",
            how="make one for the store: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
        )
    # A pooler answers the login itself, and names a process of its own making.
    if pid != db.told_pid:
        raise StoreBroken(
            "a connection pooler stands before the PostgreSQL server",
            why="time limits and the sign that a worker lives belong to one session, and a pooler"
            " hands each transaction to another one",
            how="name the server itself; a worker takes three connections",
        )

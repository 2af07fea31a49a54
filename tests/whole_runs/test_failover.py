"""A server that went on from a state of before: restored, or a standby that was behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.support.commands import workspace
from tests.support.postgres import Server, serving
from tests.whole_runs.test_reconciling import QUICK


@contextmanager
def behind(server: Server, dsn: str) -> Iterator[str]:
    """A copy of the database at *dsn* as it is now."""
    name = f"runner_behind_{os.getpid()}"
    original = urlsplit(dsn).path.strip("/")
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {original}".encode())
        try:
            yield urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_what_a_standby_has_not_heard_of_is_found_after_a_claim_and_not_paid_again(
    tmp_path: Path,
) -> None:
    """F28: intents of the last moments are gone with the primary, and their posts are not."""
    with (
        workspace(tmp_path) as work,
        serving(durable=True) as server,
        server.database(empty=True) as dsn,
    ):
        primary = QUICK | {"RUNNER_STORE": dsn}
        assert work.runner("load", "brands.toml", **primary).returncode == 0
        assert work.runner("submit", "--limit", "2", **primary).returncode == 0
        with behind(server, dsn) as standby:
            night = work.runner("run", "brands.toml", **primary)
            assert night.returncode == 0, night.stderr
            assert work.api.ledger()["created"] == 12
            promoted = QUICK | {"RUNNER_STORE": standby}
            claimed = work.runner("db", "claim", **promoted)
            assert claimed.returncode == 0, claimed.stderr
            ended = work.runner("run", "brands.toml", **promoted)
            assert ended.returncode == 0, ended.stdout + ended.stderr
            ledger = work.api.ledger()
            assert (ledger["created"], ledger["duplicate_tags"]) == (12, 0)
            with psycopg.connect(standby) as db:
                states = db.execute("SELECT state, count(*) FROM tasks GROUP BY 1").fetchall()
                assert states == [("completed", 12)]
                assert db.execute("SELECT count(*) FROM incidents").fetchone() == (0,)

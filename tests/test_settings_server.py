"""A store on a server: told from a file, never repeated, and never taken for a rehearsal's."""

from pathlib import Path

import pytest

from runner.settings import Settings
from runner.settings.server import secrets_of, side_name

DSN = "postgresql://me:p%40ss-w0rd@db.example:5433/queue"


def load(folder: Path, variable: str | None, **flags: object) -> Settings:
    environ = {} if variable is None else {"RUNNER_STORE": variable}
    return Settings.load(environ=environ, flags=flags, workspace=folder)


def test_an_address_is_where_the_store_is_opened(tmp_path: Path) -> None:
    """Whatever else a process keeps beside its store stays in the workspace."""
    settings = load(tmp_path, DSN)
    assert settings.place == DSN
    assert settings.has_store
    assert settings.store == tmp_path / "queue@db.example_5433.postgresql"
    assert settings.store_name == "postgresql://me@db.example:5433/queue"


def test_a_file_is_still_a_file(tmp_path: Path) -> None:
    """SQLite stays the default."""
    settings = load(tmp_path, None)
    assert settings.place == settings.store == tmp_path / "runner.db"
    assert not settings.has_store


def test_a_rehearsal_leaves_the_server_alone_unless_a_flag_names_it(tmp_path: Path) -> None:
    """Simulated answers among paid ones could not be told apart."""
    assert load(tmp_path, DSN, api="sim").place == tmp_path / "runner-sim.db"
    assert load(tmp_path, None, api="sim", store=DSN).place == DSN


@pytest.mark.parametrize(
    ("dsn", "secrets"),
    [
        (DSN, {"p%40ss-w0rd", "p@ss-w0rd"}),
        ("postgres://db/queue?user=me&password=hidden-one", {"hidden-one"}),
        ("postgresql://me@db/queue", set[str]()),
    ],
)
def test_a_password_is_a_secret_however_it_is_written(
    tmp_path: Path, dsn: str, secrets: set[str]
) -> None:
    """The log's masker hides what it is told of."""
    # What holds no secret may be named whole.
    assert secrets_of(dsn) == secrets | ({dsn} if secrets else set())
    settings = load(tmp_path, dsn)
    assert secrets <= settings.secrets()
    assert all(secret not in f"{settings!r} {side_name(dsn)}" for secret in secrets)

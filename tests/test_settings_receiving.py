"""Settings of the receiver: where it is reached from outside, and its secrets."""

from pathlib import Path

import pytest

from runner.errors import Exit, WrongInput
from runner.settings import Settings

SECRET = "0123456789abcdef-planted"
URL = "https://runner.example.com/hooks/"


def load(folder: Path, **environ: str) -> Settings:
    return Settings.load(environ=environ, flags={}, workspace=folder)


def test_a_public_url_without_a_secret_is_refused(tmp_path: Path) -> None:
    """Anybody could send answers to it: exit 2, with the way to make a secret."""
    with pytest.raises(WrongInput) as caught:
        load(tmp_path, RUNNER_PUBLIC_URL=URL)
    assert caught.value.exit_code is Exit.WRONG_INPUT
    assert "RUNNER_SECRET" in caught.value.what


def test_with_both_tasks_are_posted_with_an_address(tmp_path: Path) -> None:
    """Both secrets are accepted, the newer one signs, and neither shows anywhere."""
    previous = "fedcba9876543210-planted"
    settings = load(
        tmp_path,
        RUNNER_PUBLIC_URL=URL,
        RUNNER_SECRET=SECRET,
        RUNNER_SECRET_PREVIOUS=previous,
    )
    address = settings.receiving.address
    assert address is not None
    assert address.public_url == URL.rstrip("/")
    assert address.secret == SECRET
    assert settings.receiving.accepted == (SECRET, previous)
    assert {SECRET, previous} <= settings.secrets()
    assert SECRET not in repr(settings)
    assert settings.warnings == ()


def test_without_a_public_url_nothing_is_delivered(tmp_path: Path) -> None:
    """A secret alone asks nobody for anything."""
    assert load(tmp_path, RUNNER_SECRET=SECRET).receiving.address is None


@pytest.mark.parametrize(
    "url", ["ftp://x", "runner.example.com", "https://me:pw@x", "https://x/?a=1", "https://x:y"]
)
def test_what_cannot_be_an_address_is_refused(tmp_path: Path, url: str) -> None:
    """It would be found out only by answers that never come."""
    with pytest.raises(WrongInput, match="public_url"):
        load(tmp_path, RUNNER_PUBLIC_URL=url, RUNNER_SECRET=SECRET)


def test_a_short_secret_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """It can be guessed, and then it proves nothing."""
    with pytest.raises(WrongInput) as caught:
        load(tmp_path, RUNNER_SECRET="hunter2")
    assert "hunter2" not in "\n".join(caught.value.lines())


def test_plain_http_is_for_this_machine_else_warned_about(tmp_path: Path) -> None:
    """Who reads the address on the way can send an answer there himself."""
    near = load(tmp_path, RUNNER_PUBLIC_URL="http://127.0.0.1:8090", RUNNER_SECRET=SECRET)
    far = load(tmp_path, RUNNER_PUBLIC_URL="http://runner.example.com", RUNNER_SECRET=SECRET)
    assert near.warnings == ()
    assert "not encrypted" in far.warnings[0]


def test_a_secret_may_not_stand_in_runner_toml(tmp_path: Path) -> None:
    """That file is copied and committed."""
    (tmp_path / "runner.toml").write_text(f'secret = "{SECRET}"\n')
    with pytest.raises(WrongInput) as caught:
        load(tmp_path)
    assert any("RUNNER_SECRET" in str(problem) for problem in caught.value.problems)

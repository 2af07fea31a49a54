"""AIsa's key and address: read as the others are, and shown nowhere."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.errors import CredentialsRefused, WrongInput
from runner.settings import Settings

KEY = "sk-aisa-0123456789"


def load(folder: Path, environ: Mapping[str, str]) -> Settings:
    return Settings.load(environ=environ, flags={}, workspace=folder)


def test_the_key_may_stand_in_a_file_without_its_line_end(tmp_path: Path) -> None:
    """As the password may; an editor adds the line end."""
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    settings = load(tmp_path, {"AISA_API_KEY_FILE": "key"})
    assert settings.aisa()[1] == KEY
    assert settings.warnings == ()
    file.chmod(0o644)
    (warning,) = load(tmp_path, {"AISA_API_KEY_FILE": "key"}).warnings
    assert "AIsa key file" in warning


def test_the_key_is_among_what_no_output_may_show(tmp_path: Path) -> None:
    """In clear and as the header that carries it, with or without a login beside it."""
    settings = load(tmp_path, {"AISA_API_KEY": KEY})
    assert {KEY, f"Bearer {KEY}"} <= settings.secrets()
    assert KEY not in repr(settings) + repr(settings.found_aisa)


def test_a_key_in_the_workspace_s_file_is_refused_unseen(tmp_path: Path) -> None:
    """That file is committed."""
    (tmp_path / "runner.toml").write_text(f'aisa_api_key = "{KEY}"\n')
    with pytest.raises(WrongInput) as caught:
        load(tmp_path, {})
    said = "\n".join([*caught.value.lines(), *map(str, caught.value.problems)])
    assert "aisa_api_key_file" in said
    assert KEY not in said


@pytest.mark.parametrize("key", ["two words", "schlüssel", "tab\there"])
def test_a_key_that_no_header_can_carry_is_no_key(tmp_path: Path, key: str) -> None:
    """Sent along it would be another header, or another key."""
    with pytest.raises(CredentialsRefused) as caught:
        load(tmp_path, {"AISA_API_KEY": key}).aisa()
    assert key not in "\n".join(caught.value.lines())


@pytest.mark.parametrize(
    "url",
    ["http://api.aisa.one/apis/v1", "https://key@api.aisa.one/apis/v1", "api.aisa.one", "https://"],
)
def test_an_address_that_a_key_must_not_be_sent_to_is_refused(tmp_path: Path, url: str) -> None:
    """Plain HTTP is for this machine only, as it is for the password."""
    with pytest.raises(WrongInput) as caught:
        load(tmp_path, {"AISA_API_KEY": KEY, "AISA_BASE_URL": url})
    assert "AISA_BASE_URL" in "\n".join(caught.value.lines())


def test_clear_text_that_was_allowed_is_warned_of(tmp_path: Path) -> None:
    """Somebody may have forgotten the switch."""
    environ = {"AISA_BASE_URL": "http://aisa.test/apis/v1", "RUNNER_ALLOW_HTTP": "1"}
    (warning,) = load(tmp_path, environ).warnings
    assert "AIsa key travels in clear" in warning


def test_a_misspelt_variable_is_named(tmp_path: Path) -> None:
    """Else the key is looked for in vain."""
    (warning,) = load(tmp_path, {"AISA_APIKEY": KEY}).warnings
    assert "AISA_API_KEY" in warning

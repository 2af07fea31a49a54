"""Login and password: found when needed, refused unseen when useless, shown nowhere."""

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.errors import CredentialsRefused, Exit
from runner.settings import Settings

PASSWORD = "pl4nted-s3cret"
LOGIN = "me@example.com"
ACCOUNT = {"DATAFORSEO_LOGIN": LOGIN, "DATAFORSEO_PASSWORD": PASSWORD}


def load(folder: Path, environ: Mapping[str, str] | None = None, **flags: object) -> Settings:
    return Settings.load(environ=environ or {}, flags=flags, workspace=folder)


def whole_text(error: CredentialsRefused) -> str:
    """All that the command line would print."""
    return "\n".join([*error.lines(), repr(error)])


def test_credentials_are_needed_only_by_those_who_call(tmp_path: Path) -> None:
    """`status` and `export` work on a machine that has no password."""
    settings = load(tmp_path)
    with pytest.raises(CredentialsRefused) as caught:
        settings.credentials()
    assert caught.value.exit_code is Exit.CREDENTIALS
    for name in ["DATAFORSEO_LOGIN", "DATAFORSEO_PASSWORD", "DATAFORSEO_PASSWORD_FILE"]:
        assert name in whole_text(caught.value)
    only_login = load(tmp_path, {"DATAFORSEO_LOGIN": LOGIN})
    with pytest.raises(CredentialsRefused, match="login and password"):
        only_login.credentials()


def test_login_and_password_make_the_header_that_the_api_wants(tmp_path: Path) -> None:
    """HTTP Basic, in UTF-8; a colon in the password is allowed."""
    environ = {"DATAFORSEO_USERNAME": "jo", "DATAFORSEO_PASSWORD": "pä:ss"}
    settings = load(tmp_path, environ)
    expected = base64.b64encode("jo:pä:ss".encode()).decode()
    assert settings.credentials().authorization() == f"Basic {expected}"
    assert settings.origin("login") == "DATAFORSEO_USERNAME (environment)"
    both = load(tmp_path, {**environ, "DATAFORSEO_LOGIN": "ann"})
    assert both.credentials().login == "ann"


def test_the_simulator_inside_gets_made_up_credentials(tmp_path: Path) -> None:
    """A rehearsal needs no account, and the real password does not take part."""
    credentials = load(tmp_path, ACCOUNT, api="sim").credentials()
    assert PASSWORD not in credentials.password
    assert load(tmp_path, api="sim").credentials() == credentials


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_password_file_is_read_without_its_line_end(tmp_path: Path, ending: bytes) -> None:
    """Every editor adds one; sent along it is a wrong password."""
    file = tmp_path / "password"
    file.write_bytes(PASSWORD.encode() + ending)
    file.chmod(0o600)
    environ = {"DATAFORSEO_LOGIN": LOGIN, "DATAFORSEO_PASSWORD_FILE": "password"}
    settings = load(tmp_path, environ)
    assert settings.credentials().password == PASSWORD
    assert settings.warnings == ()
    assert PASSWORD in settings.secrets()


def test_a_password_file_that_everybody_can_read_gets_a_warning(tmp_path: Path) -> None:
    """It works, and the person should know."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o644)
    (tmp_path / "runner.toml").write_text(f'login = "{LOGIN}"\npassword_file = "password"\n')
    settings = load(tmp_path)
    assert settings.credentials().login == LOGIN
    (warning,) = settings.warnings
    assert "chmod 600" in warning
    assert "runner.toml:2:1" in warning
    assert PASSWORD not in warning


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two\nlines", b"x" * 5000, b"\xff\xfe", b"tab\there"]
)
def test_a_file_that_holds_no_password_is_refused_when_it_is_needed(
    tmp_path: Path, content: bytes
) -> None:
    """A wrong path must not send some other file's content over the network."""
    (tmp_path / "password").write_bytes(content)
    settings = load(tmp_path, {"DATAFORSEO_LOGIN": LOGIN, "DATAFORSEO_PASSWORD_FILE": "password"})
    with pytest.raises(CredentialsRefused) as caught:
        settings.credentials()
    assert "DATAFORSEO_PASSWORD_FILE" in whole_text(caught.value)


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The commonest mistake under cron: another home folder."""
    settings = load(tmp_path, {"DATAFORSEO_LOGIN": LOGIN, "DATAFORSEO_PASSWORD_FILE": "nowhere"})
    with pytest.raises(CredentialsRefused) as caught:
        settings.credentials()
    assert str(tmp_path / "nowhere") in whole_text(caught.value)


@pytest.mark.parametrize(
    "environ",
    [
        {"DATAFORSEO_LOGIN": "a:b", "DATAFORSEO_PASSWORD": PASSWORD},
        {"DATAFORSEO_LOGIN": "a\nb", "DATAFORSEO_PASSWORD": PASSWORD},
        {"DATAFORSEO_LOGIN": LOGIN, "DATAFORSEO_PASSWORD": f"{PASSWORD}\r\nX: y"},
        {**ACCOUNT, "DATAFORSEO_PASSWORD_FILE": "password"},
    ],
)
def test_credentials_that_no_header_can_carry_are_refused_unseen(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    """A line end in a header would start another one."""
    settings = load(tmp_path, environ)
    with pytest.raises(CredentialsRefused) as caught:
        settings.credentials()
    assert PASSWORD not in whole_text(caught.value)
    assert any(PASSWORD in secret for secret in settings.secrets())


def test_no_repr_shows_login_or_password(tmp_path: Path) -> None:
    """A repr is one careless log line away from everybody."""
    settings = load(tmp_path, ACCOUNT)
    for text in [repr(settings), repr(settings.credentials()), repr(settings.found)]:
        assert PASSWORD not in text
        assert LOGIN not in text


def test_the_secrets_are_named_in_every_form_they_travel_in(tmp_path: Path) -> None:
    """The masker can only hide what it is told."""
    settings = load(tmp_path, ACCOUNT)
    header = settings.credentials().authorization()
    assert settings.secrets() == {PASSWORD, LOGIN, header, header.removeprefix("Basic ")}
    assert "demo" not in load(tmp_path, {**ACCOUNT, "DATAFORSEO_LOGIN": "demo"}).secrets()
    assert load(tmp_path, {"DATAFORSEO_LOGIN": LOGIN}).secrets() == {LOGIN}
    assert load(tmp_path).secrets() == frozenset()


def test_an_environment_that_is_not_utf8_still_yields_secrets(tmp_path: Path) -> None:
    """Python hands its bytes on as surrogates, which no strict encoder takes."""
    settings = load(tmp_path, {**ACCOUNT, "DATAFORSEO_PASSWORD": "caf\udce9-secret"})
    assert "caf\udce9-secret" in settings.secrets()
    assert settings.credentials().authorization().startswith("Basic ")

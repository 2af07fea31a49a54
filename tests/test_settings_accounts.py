"""`[accounts]` of runner.toml: several logins, each under a name, and no password in the file."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.errors import CredentialsRefused, WrongInput
from runner.settings import Settings

ENVIRON = {
    "DATAFORSEO_LOGIN_AGENCY": "agency@example.org",
    "DATAFORSEO_PASSWORD_AGENCY": "s3cret-of-agency",
    "DATAFORSEO_LOGIN_THE_BRAND": "brand@example.org",
    "DATAFORSEO_PASSWORD_THE_BRAND": "s3cret-of-brand",
}
TWO = "[accounts.agency]\n\n[accounts.the-brand]\n"


def load(
    folder: Path, text: str, environ: Mapping[str, str] = ENVIRON, **flags: object
) -> Settings:
    (folder / "runner.toml").write_text(text, encoding="utf-8")
    return Settings.load(environ=environ, flags=flags, workspace=folder)


def problems(folder: Path, text: str, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    with pytest.raises(WrongInput) as caught:
        load(folder, text, environ)
    assert "s3cret" not in "\n".join(caught.value.lines())
    return [f"{p.line}:{p.column}: {p.message}" for p in caught.value.problems]


def test_each_account_has_its_own_login_under_its_name(tmp_path: Path) -> None:
    """The environment carries them, as it does the one login of others."""
    agency, brand = load(tmp_path, TWO).each_account()
    assert (agency.account, brand.account) == ("agency", "the-brand")
    assert agency.credentials().login == "agency@example.org"
    assert brand.credentials().password == "s3cret-of-brand"
    assert agency.each_account() == (agency,)
    assert load(tmp_path, TWO).of_account("the-brand") == brand


def test_without_the_table_there_is_one_account_as_ever(tmp_path: Path) -> None:
    """Nobody who has one login needs to know of any of this."""
    settings = load(tmp_path, "", {"DATAFORSEO_LOGIN": "me", "DATAFORSEO_PASSWORD": "x"})
    assert settings.accounts == ()
    assert settings.each_account() == (settings,)
    assert settings.of_account(None) == settings
    assert settings.credentials().login == "me"


def test_a_login_beside_the_table_is_said_to_mean_nothing(tmp_path: Path) -> None:
    """Else a person exchanges the wrong password, and wonders."""
    assert load(tmp_path, TWO).warnings == ()
    both = {**ENVIRON, "DATAFORSEO_LOGIN": "me", "DATAFORSEO_PASSWORD": "s3cret"}
    login, password = load(tmp_path, TWO, both).warnings
    assert login.startswith("DATAFORSEO_LOGIN is not used: the accounts of [accounts]")
    assert password.startswith("DATAFORSEO_PASSWORD is not used")
    assert "s3cret" not in login + password
    (told,) = load(tmp_path, 'login = "me"\n' + TWO).warnings
    assert told.startswith("login (runner.toml:1:1) is not used")


def test_the_file_may_name_a_login_and_where_the_secrets_are(tmp_path: Path) -> None:
    """A container gets its secrets as files, or under names of its own."""
    (tmp_path / "password").write_text("s3cret in a file\n")
    text = """
        [accounts.one]
        login = "one@example.org"
        password_file = "password"
        base_url = "https://elsewhere.example.org/"
        calls_per_minute = 60
        [accounts.two]
        login_env = "SECOND_LOGIN"
        password_env = "SECOND_PASSWORD"
    """
    environ = {"SECOND_LOGIN": "two@example.org", "SECOND_PASSWORD": "s3cret two"}
    one, two = load(tmp_path, text, environ).each_account()
    assert one.credentials().login == "one@example.org"
    assert one.credentials().password == "s3cret in a file"
    assert (one.api.base_url, one.calls_per_minute) == ("https://elsewhere.example.org", 60)
    assert two.credentials().password == "s3cret two"
    assert (two.api.base_url, two.calls_per_minute) == ("https://api.dataforseo.com", 2000)
    # The variable that is named after the account goes before what the file says.
    first, _ = load(
        tmp_path, text, {**environ, "DATAFORSEO_LOGIN_ONE": "new@example.org"}
    ).each_account()
    assert first.credentials().login == "new@example.org"


def test_a_flag_is_about_all_accounts(tmp_path: Path) -> None:
    """A rehearsal must not call anybody's real account."""
    text = '[accounts.agency]\nbase_url = "https://a.example.org"\n[accounts.the-brand]\n'
    settings = load(tmp_path, text, api="sim")
    agency, brand = settings.each_account()
    assert agency.api.base_url is None
    assert brand.api.base_url is None
    logins = {each.credentials().login for each in (agency, brand)}
    assert logins == {"simulated-agency", "simulated-the-brand"}
    limited = load(tmp_path, text + "calls_per_minute = 60\n", calls_per_minute=30)
    assert [each.calls_per_minute for each in limited.each_account()] == [30, 30]


def test_a_password_in_the_file_is_refused_at_its_place(tmp_path: Path) -> None:
    """The file is committed and copied."""
    (told,) = problems(tmp_path, '[accounts.agency]\npassword = "s3cret"\n')
    assert told.startswith("2:1: account agency: password may not stand here")


def test_every_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    """One at a time would take as many starts."""
    told = problems(
        tmp_path,
        "[accounts.agency]\n"
        "  logn = 'x'\n"
        "calls_per_minute = 0\n"
        '[accounts."no spaces"]\n'
        "[accounts.both]\n"
        "login = 'a'\n"
        "login_env = 'A'\n"
        "[accounts.clear]\n"
        "base_url = 'http://far.example.org'\n",
    )
    assert told[0] == ("2:3: account agency: logn: unknown setting; did you mean login?")
    assert any(each.startswith("4:2: account no spaces: a name has letters") for each in told)
    assert any("7:1: account both: login and login_env are both given" in each for each in told)
    assert any(each.startswith("9:1: account clear: base_url must begin with") for each in told)


@pytest.mark.parametrize("text", ["accounts = 3\n", "[accounts]\n"])
def test_accounts_that_are_no_tables_are_refused(tmp_path: Path, text: str) -> None:
    """It would otherwise be one nameless account, silently."""
    (told,) = problems(tmp_path, text)
    assert "accounts must be tables: [accounts.NAME]" in told


def test_one_login_under_two_names_is_refused(tmp_path: Path) -> None:
    """Each would wait for the other's tasks, and bill them."""
    text = "[accounts.a]\nlogin = 'me@example.org'\n[accounts.b]\nlogin = 'me@example.org'\n"
    (told,) = problems(tmp_path, text)
    assert "accounts a and b have the same login and base URL" in told
    assert "me@example.org" not in told
    apart = text + "base_url = 'https://other.example.org'\n"
    assert len(load(tmp_path, apart).accounts) == 2


def test_names_that_share_a_variable_are_refused(tmp_path: Path) -> None:
    """One's password would be sent as the other's."""
    told = problems(tmp_path, "[accounts.a-b]\n[accounts.a_b]\n", {})
    assert any("would share DATAFORSEO_LOGIN_A_B" in each for each in told)


def test_a_missing_password_says_whose(tmp_path: Path) -> None:
    """And it is only missed by who calls the API."""
    environ = {k: v for k, v in ENVIRON.items() if "PASSWORD_THE" not in k}
    _, brand = load(tmp_path, TWO, environ).each_account()
    with pytest.raises(CredentialsRefused) as caught:
        brand.credentials()
    text = "\n".join(caught.value.lines())
    assert "password of account the-brand" in text
    assert "DATAFORSEO_PASSWORD_THE_BRAND" in text


def test_a_password_file_that_others_can_read_says_whose_it_is(tmp_path: Path) -> None:
    """Of several files one is the careless one."""
    file = tmp_path / "pw"
    file.write_text("s3cret-of-agency\n", "utf-8")
    file.chmod(0o644)
    text = "[accounts.agency]\nlogin = 'a@example.org'\npassword_file = 'pw'\n"
    (told,) = load(tmp_path, text, {}).warnings
    assert told == (
        f"the password file {file} (runner.toml:3:1) of account agency can be read by everybody "
        f"on this machine; chmod 600 {file}"
    )


def test_secrets_of_every_account_are_hidden(tmp_path: Path) -> None:
    """The log's masker is told all of them."""
    settings = load(tmp_path, TWO)
    assert {"s3cret-of-agency", "s3cret-of-brand", "agency@example.org"} <= settings.secrets()
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in repr(settings.accounts)
    assert "s3cret" not in repr(settings.each_account())


def test_variables_of_accounts_are_no_misspellings(tmp_path: Path) -> None:
    """A warning at every start would soon be read by nobody."""
    assert load(tmp_path, TWO).warnings == ()
